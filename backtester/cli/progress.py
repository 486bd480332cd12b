"""How far a command is, on a terminal's standard error; nothing elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtester.engine.wiring import Wired

_SECONDS_PER_LOOK = 0.1
_WIDE = 100


@contextmanager
def progress(what: str, *, show: bool) -> Iterator[Callable[[int, int, str], None] | None]:
    """Yield what takes (done, in all, name of the last one), or None where nobody looks."""
    if not show or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name or what)


class RunProgress:
    """A live line for a run: its name where it has one, simulated date, candles a second, equity, trades, time left.

    Nothing off a terminal. Candles are counted by the time that has passed in each instrument: a gap counts as well.
    """

    def __init__(self, start: int, end: int, *, quiet: bool, name: str = "") -> None:
        self._start, self._end = start, end
        self._name = f"{name} " if name else ""
        from backtester.cli.console import console

        out = console(stderr=True)
        self._bar: Any = None
        self._shown_at = 0.0
        self._wide = out.width >= _WIDE
        if not quiet and out.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=16 if self._wide else 4),
                TextColumn("{task.percentage:>3.0f}%  {task.fields[told]}", markup=False),
                TimeRemainingColumn(compact=True),
                console=out,
                transient=True,
                refresh_per_second=8,
            )

    def __enter__(self) -> Any:
        if self._bar is None:
            return None
        self._bar.start()
        self._began = time.perf_counter()
        self._task = self._bar.add_task(f"{self._name}starting", total=self._end - self._start, told="")
        return self._update

    def _update(self, now: int, wired: "Wired") -> None:
        instant = time.perf_counter()
        if instant - self._shown_at < _SECONDS_PER_LOOK and now < self._end:
            return
        self._shown_at = instant
        from backtester.core.time import utc

        self._bar.update(
            self._task,
            completed=max(0, now - self._start),
            description=f"{self._name}{utc(now):%Y-%m-%d %H:%M}",
            told=progress_text(max(0, now - self._start), instant - self._began, wired, wide=self._wide),
        )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def progress_text(simulated: int, seconds: float, wired: "Wired", *, wide: bool = True) -> str:
    """Return what a live line says besides the date; simulated: µs of market time that have passed."""
    from backtester.core.numbers import MONEY_SCALE
    from backtester.core.time import timeframe_us
    from backtester.data.feeds.candle_feed import CandleFeed

    lengths = [timeframe_us(feed.timeframe) for feed in wired.feeds if isinstance(feed, CandleFeed)]
    rate = f"{sum(simulated // length for length in lengths) / seconds:,.0f}" if seconds > 0 else "-"
    ledger = wired.account.ledger
    equity = f"{ledger.equity_units(wired.board.price_units) / MONEY_SCALE:,.2f} {ledger.valuation.currency}"
    trades = f"{len(wired.trades.closed):,}"
    return f"{rate} candles/s  equity {equity}  trades {trades}" if wide else f"{rate}/s  {equity}  {trades} trades"
