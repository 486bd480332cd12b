"""plots/*.png: the same curves as the page's, as pictures for documents."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import InstrumentId, listed_id
from backtester.engine.reporting.candles import PriceSeries
from backtester.engine.reporting.prices import trade_prices
from backtester.engine.reporting.sources import RunSources
from backtester.engine.reporting.tables import RunTable
from backtester.report import plots
from backtester.report.page.thinning import kept_rows

_BUCKETS = 1_200
_MOST_PRICES = 4  # pictures of instruments: the first ones; the page has all


def plotted(run: RunSources) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each picture that the run has something to show in."""
    title = f"{run.details['strategy']['name']}, {', '.join(run.config['run']['symbols'][:4])}"
    if run.details["status"] != "complete":
        title += f" ({run.details['status']})"
    if run.equity is not None and run.equity.rows >= 2:
        ts, equity, drawdown = _thin(run.equity, "equity", "drawdown")
        held = None
        if run.benchmark is not None and run.benchmark.rows >= 2:
            held_ts, held_equity, _ = _thin(run.benchmark, "equity", "equity")
            held = plots.Curve(held_ts, held_equity)
        yield "equity.png", plots.equity_plot(f"Equity: {title}", run.currency, plots.Curve(ts, equity), held)
        yield "drawdown.png", plots.drawdown_plot(f"Drawdown: {title}", plots.Curve(ts, drawdown))
    months = run.metrics.get("monthly_returns")
    if isinstance(months, list) and months:
        yield "months.png", plots.months_plot(f"Monthly returns: {title}", _months(months))
    for series in [one for one in run.prices if one.candles is not None][:_MOST_PRICES]:
        name = series.instrument.replace(":", "-").replace("/", "-")
        yield f"price-{name}.png", _price(run.details["strategy"]["name"], series, run.trades)


def _thin(table: RunTable, one: str, other: str) -> tuple[plots.Times, plots.Values, plots.Values]:
    ts, first, second = table.times("ts"), table.numbers(one), table.numbers(other)
    rows = kept_rows(ts, [first, second], _BUCKETS)
    return ts[rows], first[rows], second[rows]


def _months(months: list[dict[str, Any]]) -> list[tuple[str, float | None, bool]]:
    return [(one["month"], one["return"], bool(one.get("partial"))) for one in months]


def _price(strategy: str, series: PriceSeries, trades: RunTable | None) -> bytes:
    candles = series.candles
    assert candles is not None
    rows = kept_rows(candles.open_time, [candles.close], _BUCKETS)
    marks = None
    if trades is not None and trades.rows:
        mine = np.array([listed_id(InstrumentId(i)) == series.instrument for i in trades.texts("instrument")])
        marks = _marks(trades, mine)
    title = f"{strategy} on {series.instrument}, closes of {series.timeframe} candles"
    return plots.price_plot(title, plots.Curve(candles.open_time[rows], candles.close[rows]), marks)


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
    )
