"""`run.plot`: pictures of a run as matplotlib figures, the same as its plots/*.png."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from backtester.api.hints import hinted
from backtester.core.errors import DataError, UsageError
from backtester.core.instruments import split_id
from backtester.engine.reporting import plotting
from backtester.engine.reporting.sources import RunSources, read_sources

if TYPE_CHECKING:
    from backtester.report.picture import Picture


class Plots:
    """Pictures of one run; each method returns a matplotlib Figure, which a notebook shows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _run(self) -> RunSources:
        return read_sources(self._folder)

    @hinted
    def equity(self) -> "Picture":
        """Return the account's value over time, against buy and hold."""
        return _there(plotting.equity_picture(self._run), "equity")

    @hinted
    def drawdown(self) -> "Picture":
        """Return the fall from the highest equity so far."""
        return _there(plotting.drawdown_picture(self._run), "drawdown")

    @hinted
    def monthly(self) -> "Picture":
        """Return the returns by month."""
        return _there(plotting.months_picture(self._run), "monthly returns")

    @hinted
    def price(self, symbol: str = "") -> "Picture":
        """Return the price of a symbol with where trades began and ended; by default of the run's first.

        Raises:
            UsageError: the run has no such symbol.
            DataError: the lake does not have its candles any more.
        """
        prices = self._run.prices
        found = [one for one in prices if symbol in ("", one.instrument, split_id(one.instrument)[1])]
        if not found:
            there = ", ".join(one.instrument for one in prices) or "none"
            raise UsageError(f"the run has no symbol {symbol!r}", hint=f"there are: {there}")
        if found[0].candles is None:
            raise DataError(
                f"{found[0].instrument} cannot be drawn: {found[0].why}", hint="the lake that run.config names is read"
            )
        return plotting.price_picture(self._run, found[0])


def _there(picture: "Picture | None", what: str) -> "Picture":
    if picture is None:
        raise UsageError(f"the run has no {what} to draw", hint="it was too short, or was stopped before it had any")
    return picture
