"""The simulated exchange's assumptions, from what the config says to what `sim` and `execution` take."""

from decimal import Decimal

from backtester.config.configs import BacktestConfig, SlippageSection
from backtester.config.instruments import date_of
from backtester.config.options_section import OptionsSection
from backtester.core.bus import Bus
from backtester.core.instruments import Instrument, InstrumentId, for_sides, split_id
from backtester.core.numbers import CEIL, MONEY_EXPONENT, RATE_SCALE, exact_units, mul_div
from backtester.core.option_rates import OptionRates
from backtester.core.time import timeframe_us
from backtester.core.timeline import Timeline
from backtester.engine.prepare import PreparedRun
from backtester.execution.conditions import MarketMemory
from backtester.execution.exchange_rules import ExchangeRules, OptionRules
from backtester.execution.latency import Delay
from backtester.sim.paths import NEAR_EXTREME_FIRST, OPTIMISTIC, PESSIMISTIC
from backtester.sim.sim_models import FeeModel, FeeTier, ImpactModel, SlippageModel

_PATHS = {
    "pessimistic": PESSIMISTIC,
    "optimistic": OPTIMISTIC,
    "open_near_extreme_first": NEAR_EXTREME_FIRST,
}
_BPS_DECIMALS = 4  # a rate of 1e-8 is 1e-4 basis points
_PCT_DECIMALS = 6  # and 1e-6 percent


def fee_models(config: BacktestConfig, instrument: InstrumentId) -> Timeline[FeeModel]:
    """Return the fee models of an instrument by date: its own rates, else those of `[fees]`, under the same tiers."""
    fees = config.fees
    regular = fees.of(split_id(instrument)[0])
    tiers = [(exact_units(t.volume, MONEY_EXPONENT), t.maker_bps, t.taker_bps) for t in fees.tiers]
    paid = exact_units(100 - fees.discount_pct, _PCT_DECIMALS)

    def rate(bps: Decimal) -> int:
        units = exact_units(bps, _BPS_DECIMALS)
        return units if units <= 0 else mul_div(units, paid, RATE_SCALE, CEIL)

    def model(maker_bps: Decimal, taker_bps: Decimal) -> FeeModel:
        return FeeModel(
            tuple(
                FeeTier(volume, rate(maker), rate(taker))
                for volume, maker, taker in [(0, maker_bps, taker_bps), *tiers]
            )
        )

    own = config.instruments[instrument].fees
    if not own:
        return Timeline.constant(model(regular.maker_bps, regular.taker_bps))
    return Timeline((date_of(version), model(version.maker_bps, version.taker_bps)) for version in own)


def exchange_rules(run: PreparedRun) -> ExchangeRules:
    """Return the exchange's declared assumptions of a resolved config."""
    config = run.config
    fees = {name: fee_models(config, name) for name in {described_by(spec) for spec in run.instruments.values()}}
    return ExchangeRules(
        rules=run.rules,
        fees={instrument: fees[described_by(spec)] for instrument, spec in run.instruments.items()},
        slippage=_slippage(config.slippage),
        impact=ImpactModel(exact_units(config.impact.coefficient, 8) if config.impact.model == "square_root" else 0),
        fee_from_received=config.fees.spot_asset == "received",
        allow_short=config.risk.allow_short,
        touch_fills=config.execution.touch_fills,
        stop_through_fills=config.execution.stop_through == "market",
        max_wait_us=for_sides(
            run.instruments,
            {
                item.instrument: config.execution.max_wait
                * timeframe_us(config.run.timeframe if item.tape else item.stored_timeframe)
                for item in run.series
            },
        ),
        path=_PATHS[config.execution.path],
        market_at_mid=config.execution.market_fill == "mid",
        participation=exact_units(config.execution.participation, 8),
        triggers_on_mark=config.execution.trigger_price == "mark",
        delays=modelled_delays(run),
        seed=config.run.seed,
        strict=config.execution.strict,
        tapes=frozenset(for_sides(run.instruments, {item.instrument: True for item in run.series if item.tape})),
        margin=run.margin.terms._replace(options=option_rates(config.options)),
        brackets=run.margin.brackets,
        liquidation_fees=run.margin.fees,
        mark_paths=run.marks,
        valuation=run.valuation,
        options=_option_rules(run),
        crosses=config.portfolio.netting == "cross" and len(run.sleeves) > 1,
    )


def described_by(spec: Instrument) -> InstrumentId:
    """Return whose config section says the rules of an instrument: of an option its chain, of a side its future."""
    return spec.underlying if spec.is_option else spec.listed


def option_rates(section: OptionsSection) -> OptionRates:
    """Return `[options]` in integers."""
    return OptionRates(
        allow_short=section.allow_short,
        fee_cap=exact_units(section.fee_cap_pct, _PCT_DECIMALS),
        exercise=exact_units(section.exercise_bps, _BPS_DECIMALS),
        liquidation=exact_units(section.liquidation_bps, _BPS_DECIMALS),
        initial=exact_units(section.initial_margin, 8),
        min_initial=exact_units(section.min_initial_margin, 8),
        maintenance=exact_units(section.maintenance_margin, 8),
        min_maintenance=exact_units(section.min_maintenance_margin, 8),
    )


def _option_rules(run: PreparedRun) -> OptionRules | None:
    if not run.chains:
        return None
    return OptionRules(
        option_rates(run.config.options),
        {name: chain.indices for name, chain in run.chains.items()},
        {key: settlement.price_units for key, settlement in run.option_settlements.items()},
    )


def _slippage(section: SlippageSection) -> SlippageModel:
    return SlippageModel(
        exact_units(section.bps, _BPS_DECIMALS),
        exact_units(section.volatility, 8) if section.model == "spread_volatility" else 0,
        exact_units(section.volume_impact, 8) if section.model == "volume_share" else 0,
    )


def modelled_delays(run: PreparedRun) -> dict[InstrumentId, Delay]:
    """Return how long orders travel, of the instruments whose execution data can show it: trades, or candles no
    longer than it.
    """
    execution = run.config.execution
    fixed, jitter = (exact_units(ms, 3) for ms in (execution.latency_ms, execution.latency_jitter_ms))
    if not fixed + jitter:
        return {}
    lengths = {item.instrument: 0 if item.tape else timeframe_us(item.stored_timeframe) for item in run.series}
    shown = {instrument: Delay(fixed, jitter) for instrument, length in lengths.items() if fixed + jitter >= length}
    return for_sides(run.instruments, shown)


def market_memory(run: PreparedRun, bus: Bus) -> MarketMemory | None:
    """Return what slippage and impact look at; None when they are fixed rates."""
    window = run.config.model_window
    return MarketMemory(run.instruments, run.config.run.timeframe, window, bus) if window else None
