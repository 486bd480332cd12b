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
        curve = _thin(run.equity, "equity", "drawdown")
        held = _thin(run.benchmark, "equity") if run.benchmark is not None and run.benchmark.rows >= 2 else None
        yield "equity.png", plots.equity_plot(f"Equity: {title}", run.currency, curve[0], curve[1], held)
        yield "drawdown.png", plots.drawdown_plot(f"Drawdown: {title}", curve[0], curve[2])
    months = run.metrics.get("monthly_returns")
    if isinstance(months, list) and months:
        yield "months.png", plots.months_plot(f"Monthly returns: {title}", _months(months))
    for series in [one for one in run.prices if one.candles is not None][:_MOST_PRICES]:
        name = series.instrument.replace(":", "-").replace("/", "-")
        yield f"price-{name}.png", _price(run.details["strategy"]["name"], series, run.trades)


def _thin(table: RunTable, *names: str) -> tuple[NDArray[np.int64], ...]:
    columns = [table.numbers(name) for name in names]
    ts = table.times("ts")
    rows = kept_rows(ts, columns, _BUCKETS)
    return (ts[rows], *(column[rows] for column in columns))


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
    return plots.price_plot(
        f"{strategy} on {series.instrument}, closes of {series.timeframe} candles",
        candles.open_time[rows],
        candles.close[rows],
        marks,
    )


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
