"""One combination in the event engine, of which only the figures stay: no log, no tables."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from backtester.account.equity import EquityColumns
from backtester.core.errors import BacktesterError, EngineError, Interrupted
from backtester.core.events import Cashflow, Fill
from backtester.core.instruments import split_holding
from backtester.core.round_trips import RoundTrip, RoundTrips
from backtester.core.time import DAY
from backtester.core.topics import T_CASHFLOWS, T_FILLS
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import COMPLETE, Stopping, drive, hand_on_rows
from backtester.engine.wiring import Wired, wire
from backtester.search.grid import Combination
from backtester.search.outcome import FillRow, FillsDigest, Outcome, Trades, outcome_of


class NeverStops:
    """For who runs to the end."""

    asked = False


class EquityFold:
    """What stays of equity rows as they come: the first and the last, the deepest fall, and each day's.

    A day's is the last row at 00:00 UTC or before. Money in 1e-8.
    """

    def __init__(self, start: int, end: int) -> None:
        first = -(-start // DAY) * DAY
        self.first_units = self.last_units = 0
        self.max_drawdown = 0.0
        self._peak: float | None = None
        self._midnights: NDArray[np.int64] = np.arange(first, end + 1, DAY, dtype=np.int64)
        self._values: NDArray[np.int64] = np.zeros(len(self._midnights), dtype=np.int64)

    def take(self, columns: EquityColumns) -> None:
        """Take a chunk of equity rows, in time order."""
        ts, equity = columns[0].astype(np.int64), columns[1].astype(np.int64)
        if self._peak is None:
            self.first_units, self._peak = int(equity[0]), float(equity[0])
        self.last_units = int(equity[-1])
        values = equity.astype(np.float64)
        peaks = np.maximum(np.maximum.accumulate(values), self._peak)
        with np.errstate(divide="ignore", invalid="ignore"):
            falls = np.where(peaks > 0, values / peaks - 1.0, 0.0)
        self._peak = float(peaks[-1])
        self.max_drawdown = min(self.max_drawdown, float(falls.min()))
        begin = int(np.searchsorted(self._midnights, int(ts[0])))
        at = np.searchsorted(ts, self._midnights[begin:], side="right") - 1
        self._values[begin:] = equity[at]  # what comes after is laid over by the next chunk

    @property
    def daily(self) -> NDArray[np.int64]:
        """Equity, one for each midnight from the start to the end of the run."""
        return self._values


class Watcher:
    """Follows the fills of a trial."""

    def __init__(self, run: PreparedRun, *, keep: bool) -> None:
        """keep: remember every fill, not only its digest."""
        self.fills: list[FillRow] = []
        self.digest = FillsDigest(run.instruments)
        self._keep = keep
        self._closed = Trades()
        self._trips = RoundTrips(run.instruments, run.rules, self._on_trip)

    @property
    def trades(self) -> Trades:
        """The closed trades, and how many are open."""
        return self._closed._replace(n_open=self._trips.n_open)

    def on_fill(self, fill: Fill) -> None:
        """Take a fill."""
        row = FillRow(fill.ts, str(fill.instrument), fill.qty_units * fill.side.sign, fill.price_units, fill.fee_units)
        self.digest.add(row)
        if self._keep:
            self.fills.append(row)
        self._trips.on_fill(fill)

    def on_cashflow(self, flow: Cashflow) -> None:
        """Take what an open trade is paid or charged without a fill."""
        self._trips.on_cashflow(flow)

    def _on_trip(self, trip: RoundTrip) -> None:
        net, so_far = trip.net_units, self._closed
        self._closed = Trades(
            so_far.n_trades + 1,
            so_far.n_wins + (net > 0),
            so_far.n_losses + (net < 0),
            so_far.won_units + max(0, net),
            so_far.lost_units + max(0, -net),
        )


def run_trial(
    run: PreparedRun,
    combination: Combination,
    *,
    bail: str = "",
    keep_fills: bool = False,
    stop: Stopping | None = None,
) -> tuple[Outcome, list[FillRow]]:
    """Run a combination; return what it came to, and its fills when they are kept.

    A strategy that fails makes a failed combination.

    Raises:
        Interrupted: it was told to stop.
        EngineError: the engine broke one of its own promises.
    """
    watcher, equity = Watcher(run, keep=keep_fills), EquityFold(run.start, run.end)
    try:
        wired = wire(run, None)
        wired.bus.subscribe(T_FILLS, watcher.on_fill)
        wired.bus.subscribe(T_CASHFLOWS, watcher.on_cashflow)
        wired.account.curve.also(equity.take)
        if asyncio.run(drive(run, wired, None, stop or NeverStops())) != COMPLETE:
            raise Interrupted("the sweep was stopped")
        for one in wired.strategies:
            one.host.stop()
        if breaks := wired.account.ledger.identity_breaks():
            raise EngineError("money does not add up: " + "; ".join(breaks))
        hand_on_rows(wired)
    except (Interrupted, EngineError):
        raise
    except BacktesterError as error:
        failed = Outcome(
            number=combination.number, values=combination.values, status="failed", why=error.message, engine="event"
        )
        return failed, []
    return outcome_of(
        combination.number,
        combination.values,
        engine="event",
        bail=bail,
        first_units=equity.first_units,
        last_units=equity.last_units,
        max_drawdown=equity.max_drawdown,
        daily=equity.daily,
        trades=watcher.trades,
        fees_units=_worth(run, wired, "fees_units"),
        funding_units=_worth(run, wired, "funding_units"),
        n_fills=watcher.digest.n_fills,
        fills_digest=watcher.digest.hexdigest(),
    ), watcher.fills


def _worth(run: PreparedRun, wired: Wired, field: str) -> int:
    """Return one sum of the account in its currency at the end, 1e-8."""
    total = 0
    for holding, account in sorted(wired.account.ledger.assets.items()):
        asset = split_holding(holding)[1]
        total += run.valuation.worth(asset, getattr(account, field), wired.board.price_units)
    return total
