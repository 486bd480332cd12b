"""All metrics of a run, from what its tables and its books say. Definitions: docs/metrics.md.

Floats are summed correctly rounded over one ordered array, money is summed over integers: the same tables give the same
bytes, whatever the number of threads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from backtester.report.benchmark import comparison
from backtester.report.bootstrap import bootstrap
from backtester.report.breakdowns import breakdowns
from backtester.report.costs import Accounts, cost_section, money_figures
from backtester.report.drawdowns import deepest_falls, drawdown_figures, ratios_to_drawdown, realised_drawdown
from backtester.report.exposure import exposure_figures
from backtester.report.figures import Floats, Ints, Metric, money, value
from backtester.report.returns import cagr, money_weighted_return, risk_figures, total_return
from backtester.report.rolling import monthly_returns, rolling, stability
from backtester.report.selection import Trials, selection_figures
from backtester.report.series import EquitySeries, checked, daily
from backtester.report.trades import TradeColumns, most_at_once, trade_figures

Section = Any


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What the metrics of a run are made of. Money in 1e-8 of `currency`.

    held: equity of buy and hold. net_times, net_exposure: signed exposure at boundaries. traded: notional of all fills.
    open_entries: when the trades began that are still open. by_asset: of what sums are made that are of several assets.
    has_funding: whether anything here knows funding. trials: None where nobody counted them.
    """

    currency: str
    seed: int
    series: EquitySeries
    held: EquitySeries | None
    net_times: Ints
    net_exposure: Floats
    traded: int
    fills: int
    trades: TradeColumns
    open_entries: Ints
    open_trades: list[dict[str, Any]]
    books: Accounts
    by_asset: dict[str, dict[str, str]]
    has_funding: bool
    trials: Trials | None


def all_metrics(run: RunFigures) -> dict[str, Section]:
    """Return metrics.json: headline figures, flat, then the sections.

    Raises:
        EngineError: the equity is empty or its times go back.
    """
    series = checked(run.series)
    days = daily(series)
    ruined = bool(series.equity.min() <= 0)
    found: dict[str, Metric] = {"total_return": total_return(series)}
    found["cagr"] = cagr(found["total_return"], series.years)
    found |= risk_figures(days, series.years, ruined=ruined)
    found |= drawdown_figures(series, days)
    found["max_drawdown_realised"] = realised_drawdown(int(series.equity[0]), run.trades.net)
    found |= ratios_to_drawdown(found, series.years)
    found |= selection_figures(days.returns, run.trials, ruined=ruined)
    section, lines = comparison(days, run.held, ruined=ruined)
    found |= lines
    found["money_weighted_return"] = money_weighted_return(series)
    found |= exposure_figures(series, run.net_times, run.net_exposure, run.traded, run.fills)
    found |= trade_figures(run.trades, len(run.open_entries), run.currency)
    found["max_concurrent_positions"] = _most_positions(run)
    found |= money_figures(run.books, run.by_asset, run.currency)
    if run.has_funding:
        told = run.by_asset.get("funding")
        found["funding"] = money("funding/1", run.books.funding, run.currency, by_asset=told)
    found["n_days"] = value("n_days/1", len(days.returns))
    return {
        **found,
        "costs": cost_section(run.books, run.currency),
        "open_trades": run.open_trades,
        "breakdowns": breakdowns(run.trades),
        "monthly_returns": monthly_returns(series),
        "drawdowns": deepest_falls(series),
        "rolling": rolling(days),
        "stability": stability(days, run.trades.exit_time),
        "bootstrap": bootstrap(days, run.seed, ruined=ruined),
        "benchmark": section,
    }


def _most_positions(run: RunFigures) -> Metric:
    entries = np.concatenate((run.trades.entry_time, run.open_entries))
    exits = np.concatenate((run.trades.exit_time, np.full(len(run.open_entries), run.series.ts[-1] + 1)))
    return value("max_concurrent_positions/1", most_at_once(entries, exits))
