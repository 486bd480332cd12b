"""What the account loop needs of a run: its candles, its assumptions, and what a signal wants, as arrays of integers.

`uncovered` says why a run is none for the loop; all that it lets through the loop does as the event engine.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import split_holding
from backtester.core.numbers import MONEY_EXPONENT, decimal_of, decimals_of, exact_units
from backtester.core.time import DAY, grid_offset_us, timeframe_us
from backtester.data.columns import CandleColumns
from backtester.data.feeds.units import price_units
from backtester.engine.exchange_setup import exchange_rules
from backtester.engine.prepare import PreparedRun
from backtester.engine.risk_setup import breaker_terms, limits_of
from backtester.search.kernel.state import BETWEEN, NEVER, NO_ROW, Market, Terms, Wishes
from backtester.sim.brackets import max_size
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets
from backtester.strategy.signals.desk import ENTRY, EXIT, SIZE, STOP
from backtester.strategy.signals.targets import text_of

_SIZE_EXPONENT: Final = 18
_MOST: Final = 2**62
_FEW_LEVELS: Final = 32
_NONE: Final = np.empty(0, dtype=np.int64)


def uncovered(run: PreparedRun) -> str:
    """Return why the loop cannot run a config, whatever the parameters; empty when it can."""
    config, rules = run.config, exchange_rules(run)
    if len(run.instruments) != 1 or len(run.series) != 1:
        return "several instruments share the account"
    (spec,), (series,) = run.instruments.values(), run.series
    limits = list(run.rules[spec.id].values)
    deposits = {name: amount for name, amount in config.account.wallets.items() if amount}
    risk = config.risk
    for holds, why in (
        (not issubclass(run.sleeves[0].found.cls, SignalStrategy), "the strategy decides on events"),
        (spec.is_option or spec.is_inverse or spec.expiry > 0, "the contract is neither spot nor a linear perpetual"),
        (bool(series.tape), "trades execute"),
        (not spec.is_spot and spec.position_side is not None, "positions are hedged"),
        (run.margin.terms.leverage_of(spec.id) != 1 or spec.id in run.margin.terms.cross, "there is leverage"),
        (bool(config.futures.collateral), "other assets secure positions"),
        (set(deposits) != {str(spec.cash)} or split_holding(spec.cash)[1] != config.account.currency,
         "the account starts with other assets"),
        (len(rules.fees[spec.id].values) != 1 or len(rules.fees[spec.id].values[0].tiers) != 1, "fees change"),
        (rules.fee_from_received, "fees are taken from what is bought"),
        (bool(config.model_window) or rules.impact.coefficient != 0, "slippage depends on the market"),
        (rules.market_at_mid, "market orders fill in the middle of candles"),
        (bool(rules.delays) or config.execution.latency_ms + config.execution.latency_jitter_ms > 0, "orders travel"),
        (rules.strict, "execution.strict"),
        (bool(run.pauses.get(spec.id)), "entries pause after gaps"),
        (config.sizing.of(spec.listed).model != "none", "[sizing] finds the size"),
        (any(limits_of(risk)) or bool(risk.blackouts or breaker_terms(risk) or config.control), "[risk] sets limits"),
        (any(_too_many_filters(one) for one in limits), "the venue limits open orders or positions"),
        (run.funding is not None and timeframe_us(series.stored_timeframe) > DAY, "candles are longer than a day"),
        (not spec.is_spot and spec.id not in run.margin.brackets, "there is no leverage table"),
    ):  # fmt: skip
        if holds:
            return why
    return ""


def _too_many_filters(rules: Any) -> bool:
    filters = rules.filters
    return filters is not None and bool(filters.max_position_units or 0 < filters.max_orders <= 2)


def terms_of_run(run: PreparedRun) -> Terms:
    """Return the assumptions of a run that is covered."""
    (spec,) = run.instruments.values()
    rules = exchange_rules(run)
    tables = run.margin.brackets.get(spec.id)
    largest = NEVER if tables is None else min(NEVER, *(max_size(table, 1) for table in tables.values))
    return Terms(
        cash=exact_units(run.config.account.wallets[spec.cash], MONEY_EXPONENT),
        is_spot=spec.is_spot,
        allow_short=rules.allow_short,
        shift=spec.shift,
        qty_exponent=spec.scale.qty,
        mul=spec.notional_mul,
        den=spec.notional_den,
        slippage=rules.slippage.rate,
        fee_rate=rules.fees[spec.id].values[0].tiers[0].taker_rate,
        participation=rules.participation,
        max_wait=rules.max_wait_us[spec.id],
        max_size=largest,
        short_limit=_short_limit(run),
    )


def _short_limit(run: PreparedRun) -> int:
    """Return how much (1e-8) of what it was sold for a short may be worth before the event engine has to look at it.

    With all of the notional as margin B, a worth V and a maintenance rate r it is called at 80 %: r V = 0.8 (2B - V).
    """
    (spec,) = run.instruments.values()
    tables = run.margin.brackets.get(spec.id)
    if tables is None:
        return NEVER
    rate = max(bracket.maintenance_rate for table in tables.values for bracket in table if bracket.floor < _MOST // 4)
    small = max(table[0].maintenance_rate for table in tables.values)
    caps = min(table[0].cap for table in tables.values)
    cash = exact_units(run.config.account.wallets[spec.cash], MONEY_EXPONENT)
    worst = small if cash * 8 < caps else rate
    return int(160_000_000 * 10**8 // (worst + 80_000_000) * 98 // 100)


def market_of(run: PreparedRun, rows: NDArray[np.int64]) -> Market | str:
    """Return the candles of a covered run; or why its numbers do not fit. rows: when the signal's rows close."""
    (spec,), (series,) = run.instruments.values(), run.series
    batches = list(run.lake.read_candles(
        series.market, series.symbol, series.stored_timeframe, series.warmup_start, run.end
    ))  # fmt: skip
    if not batches:
        return "there are no candles"
    candles = CandleColumns.concat(batches)
    length = timeframe_us(series.stored_timeframe)
    closes = candles.open_time + length
    at_rows = _rows_of(run, closes, rows)
    if isinstance(at_rows, str):
        return at_rows
    high = price_units(candles.high, spec, candles.open_time)
    if spec.id in run.marks:  # whichever of the two is higher may bring a short near its liquidation
        high = np.maximum(high, run.marks[spec.id].highs(candles.open_time, length))
    traded = candles.volume > 0
    volume = np.rint(candles.volume * 10**spec.scale.qty)
    if not bool((volume < _MOST).all()) or int(high.max()) * spec.notional_mul > _MOST:
        return "prices or volumes have more than 62 bits"
    before = np.maximum.accumulate(np.where(traded, np.arange(len(volume)), -1))
    before = np.concatenate(([-1], before[:-1]))
    offered = np.where(before >= 0, volume.astype(np.int64)[np.maximum(before, 0)], -1)
    rules = run.rules[spec.id]
    at_market = [one.at_market for one in rules.values]
    first_day = -(-run.start // DAY) * DAY
    midnights = np.arange(first_day, run.end + 1, DAY, dtype=np.int64)
    dues = [] if run.funding is None else [due for due in run.funding.dues if due.instrument == spec.id]

    def column(values: Any) -> NDArray[np.int64]:
        return np.array(list(values), dtype=np.int64)

    begins = [-_MOST, *rules.dates[1:]]  # before all dates the first holds
    return Market(
        open_time=np.ascontiguousarray(candles.open_time),
        close_time=closes,
        open=price_units(candles.open, spec, candles.open_time),
        close=price_units(candles.close, spec, candles.open_time),
        high=high,
        traded=traded,
        offered=offered,
        first=int(np.searchsorted(closes, run.start, side="right")),
        row=at_rows,
        rules_from=column(begins),
        lot=column(one.lot_units for one in at_market),
        min_qty=column(one.min_qty_units for one in at_market),
        max_qty=column(one.max_qty_units for one in at_market),
        min_notional=column(one.min_notional_units for one in at_market),
        max_notional=column(one.max_notional_units for one in at_market),
        resting_lot=column(one.resting.lot_units for one in rules.values),
        midnights=midnights,
        day_candle=np.searchsorted(closes, midnights, side="right").astype(np.int64),
        funding_time=column(due.ts for due in dues),
        funding_rate=column(due.rate_units for due in dues),
        funding_mark=column(due.mark_units for due in dues),
    )


def _rows_of(run: PreparedRun, closes: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64] | str:
    """Return which row of the signal closes with each candle; nothing where each candle is one."""
    if run.series[0].stored_timeframe == run.config.run.timeframe:
        return _NONE if np.array_equal(rows, closes) else "not every candle that executes decides"
    at = np.searchsorted(closes, rows)
    if not len(closes) or bool((closes[np.minimum(at, len(closes) - 1)] != rows).any()):
        return "rows close where no candle does"
    length = run.timeframe_us
    found = np.where((closes - grid_offset_us(length)) % length == 0, NO_ROW, BETWEEN)
    found[at] = np.arange(len(rows))
    return found


def plan_uncovered(strategy: SignalStrategy, targets: Targets) -> str:
    """Return which exits of a signal the loop does not know; empty when it knows all."""
    plan: ExitPlan = strategy.plan
    for holds, what in (
        (targets.stop is not None or plan.stop_pct is not None or plan.trail_pct is not None, "stops"),
        (bool(plan.ladder), "a ladder of exits"),
        (decimals_of(decimal_of(strategy.min_change)) > _SIZE_EXPONENT, "min_change of so many decimals"),
    ):
        if holds:
            return f"its exits have {what}"
    return ""


def wishes_of(strategy: SignalStrategy, targets: Targets) -> Wishes | str:
    """Return what a signal wants, from checked targets; or why the loop cannot take it."""
    why = plan_uncovered(strategy, targets)
    if why:
        return why
    exposure = np.ascontiguousarray(targets.exposure)
    levels = _levels(exposure)
    decimals = [decimal_of(float(level)) for level in levels]
    if any(decimals_of(one) > _SIZE_EXPONENT for one in decimals):
        return "a target has more than 18 decimals"
    tags = _tags(np.asarray(targets.tag))
    if isinstance(tags, str):
        return tags
    flags = np.empty(0, dtype=np.int8)
    if targets.exit_long is not None or targets.exit_short is not None:
        flags = np.zeros(len(exposure), dtype=np.int8)
        flags += 0 if targets.exit_long is None else targets.exit_long.astype(np.int8)
        flags += 0 if targets.exit_short is None else 2 * targets.exit_short.astype(np.int8)
    plan = strategy.plan
    return Wishes(
        exposure=exposure,
        tag=tags,
        flags=flags,
        levels=levels,
        units=np.array([exact_units(one, _SIZE_EXPONENT) for one in decimals], dtype=np.int64),
        tags=max(1, int(tags.max()) + 1 if len(tags) else 1),
        one_trade_per_tag=plan.one_trade_per_tag,
        max_candles=plan.max_candles or 0,
        cooldown=plan.cooldown,
        min_change=exact_units(decimal_of(strategy.min_change), _SIZE_EXPONENT),
    )


def _levels(exposure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distinct sizes that are wanted, ascending; sorted all at once only where they are many."""
    left = np.abs(exposure[~np.isnan(exposure)])
    found: list[float] = []
    while len(left) and len(found) < _FEW_LEVELS:
        found.append(float(left[0]))
        left = left[left != left[0]]
    return np.unique(np.concatenate((np.array(found), left))) if len(left) else np.array(sorted(found or [0.0]))


def _tags(tags: NDArray[Any]) -> NDArray[np.int64] | str:
    """Return a number for the text of each row's tag; no rows where all have the same."""
    if not len(tags) or tags.strides == (0,):
        names, numbers = {text_of(tags[0])} if len(tags) else set(), _NONE
    else:
        distinct, inverse = np.unique(tags, return_inverse=True)
        texts = [text_of(one) for one in distinct]
        order = {text: number for number, text in enumerate(sorted(set(texts)))}
        numbers, names = np.array([order[text] for text in texts], dtype=np.int64)[inverse], set(order)
    if {"", ENTRY} <= names or any(name.endswith((EXIT, SIZE, STOP)) for name in names):
        return "tags look like those of its own orders"
    return numbers
