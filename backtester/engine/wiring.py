"""The composition root: builds the components of a backtest and wires them to the bus, in the order of delivery."""

from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from backtester.account.account import Account
from backtester.audit.log import AuditLog
from backtester.config.configs import BacktestConfig
from backtester.config.instruments import date_of
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.clock import Clock
from backtester.core.events import Cashflow
from backtester.core.feed import Feed
from backtester.core.folds import Ledger
from backtester.core.instruments import Asset, InstrumentId
from backtester.core.numbers import MONEY_EXPONENT, exact_units
from backtester.core.time import timeframe_us
from backtester.core.timeline import Timeline
from backtester.core.topics import T_CASHFLOWS
from backtester.engine.control_script import ControlScript
from backtester.engine.feeding import make_feeds
from backtester.engine.prepare import PreparedRun
from backtester.engine.risk_setup import breaker_terms, order_limiter
from backtester.engine.tables import EquityTable, Recorder
from backtester.execution.filling import ExchangeRules
from backtester.execution.simulated import SimulatedExchange
from backtester.risk.guard import Guard
from backtester.risk.order_validation import SymbolSpecs
from backtester.risk.risk import Risk
from backtester.sim.paths import NEAR_EXTREME_FIRST, OPTIMISTIC, PESSIMISTIC
from backtester.sim.sim_models import FeeModel, FeeTier, SlippageModel
from backtester.strategy.host import StrategyHost
from backtester.strategy.view import StrategyView

_PATHS = {
    "pessimistic": PESSIMISTIC,
    "optimistic": OPTIMISTIC,
    "open_near_extreme_first": NEAR_EXTREME_FIRST,
}
_BPS_DECIMALS = 4  # a rate of 1e-8 is 1e-4 basis points


class Wired(NamedTuple):
    """A run's components, ready to start."""

    bus: Bus
    board: Board
    clock: Clock
    feeds: list[Feed]
    host: StrategyHost
    exchange: SimulatedExchange
    account: Account
    log: AuditLog
    equity: EquityTable
    recorder: Recorder
    guard: Guard | None


def fee_models(config: BacktestConfig, instrument: InstrumentId) -> Timeline[FeeModel]:
    """Return the fee models of an instrument by date: its own rates, else those of `[fees]`, under the same tiers."""
    fees = config.fees
    assert fees.maker_bps is not None
    assert fees.taker_bps is not None
    tiers = [(exact_units(t.volume, MONEY_EXPONENT), t.maker_bps, t.taker_bps) for t in fees.tiers]

    def model(maker_bps: Decimal, taker_bps: Decimal) -> FeeModel:
        return FeeModel(
            tuple(
                FeeTier(volume, exact_units(maker, _BPS_DECIMALS), exact_units(taker, _BPS_DECIMALS))
                for volume, maker, taker in [(0, maker_bps, taker_bps), *tiers]
            )
        )

    own = config.instruments[instrument].fees
    if not own:
        return Timeline.constant(model(fees.maker_bps, fees.taker_bps))
    return Timeline((date_of(version), model(version.maker_bps, version.taker_bps)) for version in own)


def exchange_rules(run: PreparedRun) -> ExchangeRules:
    """Return the exchange's declared assumptions of a resolved config."""
    config = run.config
    return ExchangeRules(
        rules=run.rules,
        fees={instrument: fee_models(config, instrument) for instrument in run.instruments},
        slippage=SlippageModel(exact_units(config.slippage.bps, _BPS_DECIMALS)),
        fee_from_received=config.fees.spot_asset == "received",
        allow_short=config.risk.allow_short,
        touch_fills=config.execution.touch_fills,
        stop_through_fills=config.execution.stop_through == "market",
        max_wait_us={
            item.instrument: config.execution.max_wait * timeframe_us(item.stored_timeframe) for item in run.series
        },
        path=_PATHS[config.execution.path],
        market_at_mid=config.execution.market_fill == "mid",
    )


def wire(run: PreparedRun, folder: Path) -> Wired:
    """Build everything. On a topic, subscribers receive in the order in which they are built here.

    The exchange hears of orders first, then the account, risk and the strategy hear of what became of them, so that
    all folds are current before the strategy's answer is judged; observers come last and publish nothing.
    """
    config, instruments = run.config, run.instruments
    currency = Asset(config.account.currency)
    bus, board = Bus(), Board()
    board.now = board.dues_time = run.start
    log = AuditLog(folder / "audit.jsonl", board, bus)
    rules = exchange_rules(run)
    exchange = SimulatedExchange(rules, instruments, board, bus)
    equity = EquityTable(folder / "equity.parquet")
    account = Account(instruments, currency, run.timeframe_us, equity.write, board, bus)
    ledger = Ledger(instruments)
    limiter = order_limiter(config, ledger, board)
    risk = Risk(
        SymbolSpecs(instruments, run.rules),
        ledger,
        board,
        bus,
        currency=currency,
        worst_fee_rates={i: models.map(FeeModel.worst_rate) for i, models in rules.fees.items()},
        allow_short=config.risk.allow_short,
        paused=run.pauses,
        limiter=limiter,
    )
    guard = None
    if limiter is not None and (config.control or breaker_terms(config.risk)):
        ControlScript(config.control, run.start, board, bus)
        guard = Guard(
            breaker_terms(config.risk),
            limiter.restrictions,
            risk.open_orders,
            run.rules,
            ledger=ledger,
            board=board,
            bus=bus,
            currency=currency,
        )
    view = StrategyView(board, instruments, run.rules, currency)
    host = StrategyHost(run.make_strategy(), run.found.name, view, bus, start=run.start, seed=config.run.seed)
    recorder = Recorder(folder, instruments, run.rules, board, bus)
    feeds = make_feeds(run, {topic for topic, handlers in bus.handlers.items() if handlers})
    clock = Clock(bus, board, feeds, run.start)
    return Wired(bus, board, clock, feeds, host, exchange, account, log, equity, recorder, guard)


def deposit(wired: Wired, run: PreparedRun) -> None:
    """Publish the money that the account starts with: the first line of every log."""
    amount = exact_units(run.config.account.initial_cash, MONEY_EXPONENT)
    wired.bus.publish(
        T_CASHFLOWS,
        Cashflow(ts=run.start, kind="deposit", asset=Asset(run.config.account.currency), amount_units=amount),
    )
