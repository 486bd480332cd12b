"""How far and how long equity was below its highest. Definitions: docs/metrics.md."""

import math
from typing import Any, NamedTuple

import numpy as np

from backtester.core.time import DAY
from backtester.report.figures import Floats, Ints, Metric, Units, iso, mean, null, value
from backtester.report.series import Daily, EquitySeries

_DEEPEST = 5


class Episodes(NamedTuple):
    """Falls below a peak, in time order, as rows of the curve, shape (n,).

    peak: the last row at the peak. trough: the first row at the lowest. recovered: the first row at the peak or above
    again; the last row of the curve where `open` says that there is none.
    """

    peak: Ints
    trough: Ints
    recovered: Ints
    depth: Floats
    open: bool


def depths(equity: Floats) -> Floats:
    """Return equity over its highest so far, less 1, of each row; 0 while that is not above zero."""
    peaks = np.maximum.accumulate(equity)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(peaks > 0, equity / peaks - 1.0, 0.0)


def episodes(depth: Floats) -> Episodes:
    """Return the falls in a curve of depths."""
    under = np.concatenate(([False], depth < 0, [False]))
    begins = np.flatnonzero(~under[:-1] & under[1:])
    ends = np.flatnonzero(under[:-1] & ~under[1:])
    if not len(begins):
        none = np.empty(0, dtype=np.int64)
        return Episodes(none, none, none, np.empty(0), False)
    deepest = np.minimum.reduceat(depth, begins)  # rows between two falls are 0
    after = depth[begins[0] :]
    lowest = begins[0] + np.flatnonzero(after == np.repeat(deepest, np.diff(np.append(begins, len(depth)))))
    trough = lowest[np.searchsorted(lowest, begins)]
    is_open = bool(ends[-1] == len(depth))
    return Episodes(begins - 1, trough, np.minimum(ends, len(depth) - 1), deepest, is_open)


def drawdown_figures(series: EquitySeries, days: Daily) -> dict[str, Metric]:
    """Return depth and length of the falls of the whole curve, and of the daily grid with its ends."""
    depth = depths(series.equity.astype(np.float64))
    falls = episodes(depth)
    ruined = "ruined" if int(series.equity.min()) <= 0 else None
    found: dict[str, Metric] = {}
    worst = float(depth.min())
    found["max_drawdown"] = value("max_drawdown/1", worst, flag=ruined)
    if len(falls.depth):
        found["max_drawdown"] |= _dates(series.ts, falls, int(np.argmin(falls.depth)))
    daily = depths(days.with_ends)
    found["max_drawdown_daily"] = value("max_drawdown_daily/1", float(daily.min()), flag=ruined)
    found |= _lengths(series.ts, falls)
    found["ulcer_index"] = value("ulcer_index/1", math.sqrt(mean(daily**2)))
    return found


def _lengths(ts: Ints, falls: Episodes) -> dict[str, Metric]:
    """Return the longest fall from its peak to its recovery, and how long it fell."""
    if not len(falls.depth):
        return {
            "drawdown_duration": value("drawdown_duration/1", 0.0, unit="days", recovered=True),
            "time_to_trough": value("time_to_trough/1", 0.0, unit="days"),
        }
    lengths = ts[falls.recovered] - ts[falls.peak]
    longest = int(np.argmax(lengths))
    recovered = not (falls.open and longest == len(lengths) - 1)
    to_trough = ts[falls.trough] - ts[falls.peak]
    return {
        "drawdown_duration": value(
            "drawdown_duration/1",
            int(lengths[longest]) / DAY,
            unit="days",
            recovered=recovered,
            peak=iso(int(ts[falls.peak[longest]])),
        ),
        "time_to_trough": value("time_to_trough/1", int(to_trough[longest]) / DAY, unit="days"),
    }


def _dates(ts: Ints, falls: Episodes, which: int) -> dict[str, Any]:
    is_open = falls.open and which == len(falls.depth) - 1
    return {
        "peak": iso(int(ts[falls.peak[which]])),
        "trough": iso(int(ts[falls.trough[which]])),
        "recovered": None if is_open else iso(int(ts[falls.recovered[which]])),
    }


def deepest_falls(series: EquitySeries) -> list[dict[str, Any]]:
    """Return the five deepest falls, the deepest first."""
    falls = episodes(depths(series.equity.astype(np.float64)))
    order = np.argsort(falls.depth, kind="stable")[:_DEEPEST]
    return [{**_dates(series.ts, falls, int(n)), "depth": float(falls.depth[n])} for n in order]


def ratios_to_drawdown(found: dict[str, Metric], years: float) -> dict[str, Metric]:
    """Return growth over the deepest fall, and over the ulcer index."""
    growth, worst, ulcer = found["cagr"], found["max_drawdown"]["value"], found["ulcer_index"]["value"]
    short = "short_run" if years < 1 else None
    if growth["value"] is None:
        why = growth["reason"]
        return {"calmar": null("calmar/1", why), "upi": null("upi/1", why)}
    ruined = growth.get("flag") == "ruined" or found["max_drawdown"].get("flag") == "ruined"
    if ruined:
        return {"calmar": null("calmar/1", "ruined"), "upi": null("upi/1", "ruined")}
    calmar = growth["value"] / abs(worst) if worst else None
    upi = growth["value"] / ulcer if ulcer else None
    return {
        "calmar": value("calmar/1", calmar, "no_drawdown", flag=short),
        "upi": value("upi/1", upi, "no_drawdown"),
    }


def realised_drawdown(initial_units: int, net: Units) -> Metric:
    """Return the deepest fall of the first equity and the net profit of trades, as they closed."""
    curve = np.concatenate(([initial_units], initial_units + np.cumsum(net))).astype(np.float64)
    flag = "ruined" if float(curve.min()) <= 0 else None
    return value("max_drawdown_realised/1", float(depths(curve).min()), flag=flag)
