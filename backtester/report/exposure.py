"""How much was at risk, for how long, and how much was traded for it. Definitions: docs/metrics.md."""

import math

import numpy as np

from backtester.report.figures import Floats, Ints, Metric, null, value
from backtester.report.series import EquitySeries


def exposure_figures(
    series: EquitySeries, net_times: Ints, net: Floats, traded_units: int, n_fills: int
) -> dict[str, Metric]:
    """Return time-weighted exposure and turnover.

    Args:
        series: a row holds until the next one; positions change at fills, and every fill has a row.
        net_times, net: signed exposure (1e-8) at boundaries, shape (m,); nothing was held at those it leaves out.
        traded_units: sum of the notional of all fills, 1e-8 of the account's currency.
        n_fills: how many fills there were.
    """
    spans = np.diff(series.ts)
    length = int(spans.sum())
    equity, gross = series.equity[:-1].astype(np.float64), series.exposure[:-1].astype(np.float64)
    if not length:
        names = ("exposure_time", "gross_exposure_avg", "net_exposure_avg", "leverage_max", "turnover_annual")
        return {name: null(f"{name}/1", "too_short") for name in names}
    alive = equity > 0
    flag = None if alive.all() and series.equity[-1] > 0 else "equity_not_positive"
    counted = int(spans[alive].sum())
    share = np.divide(gross, equity, out=np.zeros_like(gross), where=alive)
    average = math.fsum((equity * spans).tolist()) / length
    last = int(series.exposure[-1]) / int(series.equity[-1]) if series.equity[-1] > 0 else 0.0
    exposed = math.fsum((share * spans).tolist()) / counted if counted else None
    turnover = traded_units / average / series.years if average > 0 else None
    return {
        "exposure_time": value("exposure_time/1", int(spans[gross > 0].sum()) / length),
        "gross_exposure_avg": value("gross_exposure_avg/1", exposed, "ruined", flag=flag),
        "net_exposure_avg": _net(series, net_times, net, flag),
        "leverage_max": value("leverage_max/1", max(float(share.max(initial=0.0)), last), flag=flag),
        "turnover_annual": value("turnover_annual/1", turnover if n_fills else 0.0, "ruined"),
    }


def _net(series: EquitySeries, times: Ints, net: Floats, flag: str | None) -> Metric:
    """Return signed exposure over equity, from boundary to boundary."""
    last = np.flatnonzero(np.append(series.ts[1:] != series.ts[:-1], True))  # of the rows of one instant
    boundaries, equity = series.ts[last], series.equity[last].astype(np.float64)
    held = np.bincount(np.searchsorted(boundaries, times), weights=net, minlength=len(boundaries))
    share = np.divide(held, equity, out=np.zeros_like(equity), where=equity > 0)[:-1]
    spans = np.diff(boundaries)
    counted = int(spans[equity[:-1] > 0].sum())
    average = math.fsum((share * spans).tolist()) / counted if counted else None
    return value("net_exposure_avg/1", average, "ruined", flag=flag)
