"""The equity curve: a row per boundary of the run's timeframe and per fill, valued in columns.

Between two changes of the account only marks move. So changes are remembered as they come, and the rows in between
are computed a window of ticks at a time: the same integers as row by row, without a row's worth of Python each.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.account.exposure import ExposureSink, ExposureWindow, GreekSeries, base_units
from backtester.core.board import Board
from backtester.core.events import TRANSFER, Cashflow, Fill
from backtester.core.folds import FLAT, Ledger, Position
from backtester.core.instruments import InstrumentId
from backtester.core.market import Marks
from backtester.core.numbers import RATE_SCALE, mul_div_half_even
from backtester.core.time import grid_offset_us
from backtester.core.valuation import Conversion

# Arrays of one length: ts, then 1e-8 of the account's currency: equity, cash, unrealised, exposure (gross notional).
EquityColumns = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]
EquitySink = Callable[[EquityColumns], None]
EquityRow = tuple[int, int, int, int, int]

_INT64_SAFE = 2**62
_NEVER: Final = -1, -1


_Rate = tuple[NDArray[Any] | int, NDArray[Any] | int]  # by what an amount is multiplied, then divided


class _Change(NamedTuple):
    """The account after a fill or a cashflow. settled: the last boundary before it; cash: as `Ledger.loose_cash`."""

    settled: int
    row: EquityRow
    cash: dict[str, int]
    positions: dict[InstrumentId, Position]


class EquityCurve:
    """Turns changes of a ledger and windows of marks into equity rows, in time order."""

    def __init__(
        self,
        ledger: Ledger,
        timeframe: int,
        start: int,
        sink: EquitySink,
        exposures: ExposureSink | None = None,
        greeks: GreekSeries | None = None,
    ) -> None:
        """exposures: takes what the account is exposed to at each boundary; greeks: of the options that are held."""
        self._exposures = exposures
        self._greeks = {} if greeks is None else greeks
        self._bases = {spec.base for spec in ledger.instruments.values()} - {ledger.valuation.currency}
        self._ledger = ledger
        self._instruments = ledger.instruments
        self._valuation = ledger.valuation
        self._timeframe = timeframe
        self._start = start
        self._sink = sink
        self._changes: list[_Change] = []
        self._cash: dict[str, int] = {}
        self._positions: dict[InstrumentId, Position] = {}

    def also(self, sink: EquitySink) -> None:
        """Hand the rows on to another sink, too."""
        first = self._sink

        def both(columns: EquityColumns) -> None:
            first(columns)
            sink(columns)

        self._sink = both

    def change(self, now: int, settled: int, prices: Mapping[InstrumentId, int], *, goes_on: bool = False) -> None:
        """Remember the ledger as it is after a fill or a cashflow, and the row that this makes.

        goes_on: the change before this one was only a part of it, so that its row is no state of the account.
        """
        if goes_on and self._changes:
            self._changes.pop()
        worth, loose = self._valuation.worth, self._ledger.loose_cash()
        cash = sum(worth(asset, units, prices) for asset, units in loose.items())
        equity, unrealised, exposure = cash, 0, 0
        positions = dict(self._ledger.positions)
        for instrument_id, position in positions.items():
            spec = self._instruments[instrument_id]
            price = prices[spec.listed]
            value = spec.notional_units(position.qty_units, price)
            profit = worth(spec.settle, spec.gain * (value - position.basis_units), prices)
            value = worth(spec.settle, value, prices)
            equity += value if spec.is_paid else profit
            unrealised += profit
            exposure += abs(value)
        if now == self._start and self._changes:
            self._changes.pop()  # what an account starts with is one row, however many deposits make it
        self._changes.append(_Change(settled, (now, equity, cash, unrealised, exposure), loose, positions))

    def value(self, marks: Marks) -> None:
        """Value every boundary of a window, with the rows of its changes between them, and hand the rows on."""
        ticks = marks.ticks
        kept = (ticks > self._start) & ((ticks - grid_offset_us(self._timeframe)) % self._timeframe == 0)
        ticks = ticks[kept]
        changes, self._changes = self._changes, []
        at = np.searchsorted(ticks, [c.settled for c in changes], side="right")
        lengths = np.diff(np.concatenate(([0], at, [len(ticks)])))
        held = [self._positions, *(change.positions for change in changes)]
        cashes = [self._cash, *(change.cash for change in changes)]
        assets = sorted({asset for cash in cashes for asset, units in cash.items() if units})
        listed = {i: self._instruments[i].listed for i in sorted({i for positions in held for i in positions})}
        closes = {i: marks.closes[seen][kept] for i, seen in listed.items()}
        rates = self._rates(assets, closes, marks, kept)
        kind = self._integers(cashes, held, closes, rates, changes)
        window = ExposureWindow(ticks, self._greeks)
        cash: NDArray[Any] = np.zeros(len(ticks), dtype=kind)
        for asset in assets:
            amounts = _spread([c.get(asset, 0) for c in cashes], lengths, kind)
            worth = _worth(amounts, rates.get(asset))
            cash += worth
            if asset in self._bases:
                window.add(asset, worth, base_units(amounts))
        equity, unrealised, exposure = cash.copy(), np.zeros_like(cash), np.zeros_like(cash)
        for instrument_id, prices in closes.items():
            spec, rate = self._instruments[instrument_id], rates.get(self._instruments[instrument_id].settle)
            here = [positions.get(instrument_id, FLAT) for positions in held]
            qty = _spread([p.qty_units * spec.notional_mul for p in here], lengths, kind)
            if spec.is_inverse:
                value = mul_div_half_even(qty, 1, np.maximum(prices, 1))
            else:
                value = mul_div_half_even(qty, prices, spec.notional_den)
            profit = _worth(spec.gain * (value - _spread([p.basis_units for p in here], lengths, kind)), rate)
            worth = _worth(value, rate)
            equity += worth if spec.is_paid else profit
            unrealised += profit
            exposure += abs(worth)
            window.add_position(spec, worth, value, _spread([p.qty_units for p in here], lengths, np.float64))
        if self._exposures is not None and (exposed := window.columns()) is not None:
            self._exposures(exposed)
        columns = [ticks.astype(kind), equity, cash, unrealised, exposure]
        if changes:
            rows = zip(*(change.row for change in changes), strict=True)
            columns = [np.insert(c, at, np.array(row, dtype=kind)) for c, row in zip(columns, rows, strict=True)]
            self._cash, self._positions = cashes[-1], held[-1]
        if len(columns[0]):
            self._sink((columns[0], columns[1], columns[2], columns[3], columns[4]))

    def _rates(
        self,
        assets: list[str],
        closes: dict[InstrumentId, NDArray[np.int64]],
        marks: Marks,
        kept: NDArray[np.bool_],
    ) -> dict[str, _Rate]:
        """Return what each asset is worth at each tick, of those that are not the account's currency."""
        found: dict[str, _Rate] = {}
        for asset in sorted({*assets, *(self._instruments[i].settle for i in closes)}):
            if asset == self._valuation.currency:
                continue
            found[asset] = _rate_of(self._valuation.conversions[asset], marks, kept)
        return found

    def _integers(
        self,
        cashes: list[dict[str, int]],
        held: list[dict[InstrumentId, Position]],
        closes: dict[InstrumentId, NDArray[np.int64]],
        rates: dict[str, _Rate],
        changes: list[_Change],
    ) -> type:
        """Return int64 where nothing on the way can pass it, else Python's own integers: slower, never wrong."""

        def most_of(asset: str) -> int:
            rate = rates.get(asset)
            return 1 if rate is None else int(np.max(rate[0], initial=1))

        bound = sum(max(abs(c.get(a, 0)) for c in cashes) * most_of(a) for a in {a for c in cashes for a in c})
        for instrument_id, prices in closes.items():
            spec, here = self._instruments[instrument_id], [p.get(instrument_id, FLAT) for p in held]
            most = max(abs(p.qty_units) for p in here) * spec.notional_mul
            most *= 1 if spec.is_inverse else int(abs(prices).max(initial=0))
            bound += (most + max(abs(p.basis_units) for p in here)) * most_of(spec.settle)
        bound = max(bound, *(abs(value) for change in changes for value in change.row), 0)
        return np.int64 if bound < _INT64_SAFE else object

    def close(self) -> None:
        """Hand on changes that no window followed."""
        changes, self._changes = self._changes, []
        if changes:
            rows = zip(*(change.row for change in changes), strict=True)
            ts, equity, cash, unrealised, exposure = (np.array(row, dtype=object) for row in rows)
            self._sink((ts, equity, cash, unrealised, exposure))


class ChangeLog:
    """Tells a curve of changes, and which of them are parts of one: what the exchange does to positions of its own, and
    what the insurance fund pays of it, happens at once; of a transfer both halves.
    """

    def __init__(self, curve: EquityCurve, board: Board) -> None:
        self._curve = curve
        self._board = board
        self._by_exchange = _NEVER  # when the last change was the exchange's own, and the last boundary before it

    def on_fill(self, fill: Fill) -> None:
        """Note the ledger as it is after a fill; orders of the exchange's own have ids below zero."""
        if fill.order_id < 0:
            self._changed_by_exchange(fill.ts)
        else:
            self._changed()

    def on_cashflow(self, flow: Cashflow) -> None:
        """Note the ledger as it is after a cashflow."""
        if flow.kind == "insurance":
            self._changed_by_exchange(flow.ts)
        else:
            self._changed(goes_on=flow.kind == TRANSFER and flow.amount_units > 0)

    def _changed_by_exchange(self, ts: int) -> None:
        at, settled = self._by_exchange, self._board.dues_time
        self._changed(goes_on=at == (ts, settled))
        self._by_exchange = ts, settled

    def _changed(self, *, goes_on: bool = False) -> None:
        board = self._board
        self._by_exchange = _NEVER
        self._curve.change(board.now, board.dues_time, board.price_units, goes_on=goes_on)


def _spread(values: list[int], lengths: NDArray[np.int64], kind: type) -> NDArray[Any]:
    """Return each value repeated over its stretch of ticks."""
    return np.repeat(np.array(values, dtype=kind), lengths)


def _rate_of(conversion: Conversion, marks: Marks, kept: NDArray[np.bool_]) -> _Rate:
    """Return `Conversion.ratio` at each tick; before its first price nothing is worth anything."""
    if conversion.instrument is None:
        return conversion.rate_units, RATE_SCALE
    prices, one = marks.closes[conversion.instrument][kept], int(10**conversion.decimals)
    rate: _Rate = (np.where(prices > 0, one, 0), np.maximum(prices, 1)) if conversion.is_inverted else (prices, one)
    if conversion.then is None:
        return rate
    more = _rate_of(conversion.then, marks, kept)
    mul, den = ((np.asarray(a, dtype=object) * b) for a, b in zip(rate, more, strict=True))  # beyond any fixed width
    return mul, den


def _worth(amounts: NDArray[Any], rate: _Rate | None) -> NDArray[Any]:
    """Return amounts of an asset in the account's currency."""
    return amounts if rate is None else mul_div_half_even(amounts, *rate)
