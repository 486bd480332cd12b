"""plots/*.png: the same curves as the page's, as pictures for documents."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import InstrumentId, listed_id
from backtester.engine.reporting.candles import PriceSeries
from backtester.engine.reporting.prices import trade_prices
from backtester.engine.reporting.sources import RunSources
from backtester.engine.reporting.tables import RunTable
from backtester.report import plots
from backtester.report.page.thinning import kept_rows

if TYPE_CHECKING:
    from backtester.report.picture import Picture

_BUCKETS = 1_200
_MOST_PRICES = 4  # pictures of instruments: the first ones; the page has all


def plotted(run: RunSources) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each picture that the run has something to show in."""
    for name, draw in (("equity", equity_picture), ("drawdown", drawdown_picture), ("months", months_picture)):
        if (picture := draw(run)) is not None:
            yield f"{name}.png", picture.png()
    for series in [one for one in run.prices if one.candles is not None][:_MOST_PRICES]:
        name = series.instrument.replace(":", "-").replace("/", "-")
        yield f"price-{name}.png", price_picture(run, series).png()


def equity_picture(run: RunSources) -> "Picture | None":
    """Return the equity against buy and hold; None of a run that was too short for a curve."""
    if run.equity is None or run.equity.rows < 2:
        return None
    held = _thin(run.benchmark, "equity") if run.benchmark is not None and run.benchmark.rows >= 2 else None
    return plots.equity_plot(f"Equity: {_title(run)}", run.currency, _thin(run.equity, "equity"), held)


def drawdown_picture(run: RunSources) -> "Picture | None":
    """Return the fall from the highest equity; None of a run that was too short for a curve."""
    if run.equity is None or run.equity.rows < 2:
        return None
    return plots.drawdown_plot(f"Drawdown: {_title(run)}", _thin(run.equity, "drawdown"))


def months_picture(run: RunSources) -> "Picture | None":
    """Return the returns by month; None where metrics.json has none."""
    months = run.metrics.get("monthly_returns")
    if not isinstance(months, list) or not months:
        return None
    return plots.months_plot(f"Monthly returns: {_title(run)}", _months(months))


def price_picture(run: RunSources, series: PriceSeries) -> "Picture":
    """Return the price of an instrument with its trades; the series has candles."""
    return _price(run, series)


def _title(run: RunSources) -> str:
    status = run.details["status"]
    title = f"{run.details['strategy']['name']}, {', '.join(run.config['run']['symbols'][:4])}"
    return title if status == "complete" else f"{title} ({status})"


def _thin(table: RunTable, name: str) -> plots.Curve:
    ts, values = table.times("ts"), table.numbers(name)
    rows = kept_rows(ts, [values], _BUCKETS)
    return plots.Curve(ts[rows], values[rows])


def _months(months: list[dict[str, Any]]) -> list[tuple[str, float | None, bool]]:
    return [(one["month"], one["return"], bool(one.get("partial"))) for one in months]


def _price(run: RunSources, series: PriceSeries) -> "Picture":
    candles, trades = series.candles, run.trades
    assert candles is not None
    rows = kept_rows(candles.open_time, [candles.close], _BUCKETS)
    marks = None
    if trades is not None and trades.rows:
        mine = np.array([listed_id(InstrumentId(i)) == series.instrument for i in trades.texts("instrument")])
        marks = _marks(trades, mine)
    title = f"{run.details['strategy']['name']} on {series.instrument}, closes of {series.timeframe} candles"
    unit = run.config.get("instruments", {}).get(series.instrument, {}).get("quote", "quote per base")
    return plots.price_plot(title, unit, plots.Curve(candles.open_time[rows], candles.close[rows]), marks)


def _marks(trades: RunTable, mine: NDArray[np.bool_]) -> plots.Marks | None:
    if not mine.any():
        return None
    entry_price, exit_price = trade_prices(trades)
    long = np.array([side == "long" for side in trades.texts("side")], dtype=np.bool_)
    return plots.Marks(
        entry_time=trades.times("entry_time")[mine],
        entry_price=entry_price[mine],
        exit_time=trades.times("exit_time")[mine],
        exit_price=exit_price[mine],
        long=long[mine],
        won=(trades.numbers("net_pnl") > 0)[mine],
    )
