"""Closed trades by what they have in common. Money adds up: the rows of a breakdown to all closed trades, exactly."""

from itertools import pairwise
from typing import Any, Final

import numpy as np

from backtester.core.time import DAY, HOUR, month_of
from backtester.report.figures import Ints, Units, amount, finite, mean, total
from backtester.report.trades import Labels, TradeColumns, profit_factor

OTHERS: Final = "(others)"
_MOST_ROWS = 200
_WEEKDAYS: Final = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_HOURS: Final = [f"{hour:02d}" for hour in range(24)]
_SESSIONS: Final = ["00-08 Asia", "08-16 Europe", "16-24 America"]
_MONEY: Final = ("gross", "slippage", "fees", "funding", "insurance", "net")
_IN_TIME: Final = ("hour", "weekday", "month", "session")


def breakdowns(trades: TradeColumns) -> dict[str, list[dict[str, Any]]]:
    """Return rows by symbol, side, tag, ..., and by when trades were entered (month: when they closed), UTC.

    Rows of times and regimes are in their natural order, all others by net profit, the largest first.
    """
    hours = (trades.entry_time // HOUR) % 24
    weekdays = (trades.entry_time // DAY + 3) % 7  # the first of January 1970 was a Thursday
    labels = {
        **trades.labels,
        "hour": Labels(hours, _HOURS),
        "weekday": Labels(weekdays, _WEEKDAYS),
        "month": _months(trades.exit_time),
        "session": Labels(hours // 8, _SESSIONS),
    }
    return {name: _rows(trades, found, in_order=name in _IN_TIME) for name, found in labels.items()}


def _months(times: Ints) -> Labels:
    months = times.astype("datetime64[us]").astype("datetime64[M]")
    found, codes = np.unique(months, return_inverse=True)
    return Labels(codes.astype(np.int64), [month_of(int(m.astype("datetime64[us]").astype(np.int64))) for m in found])


def _rows(trades: TradeColumns, labels: Labels, *, in_order: bool) -> list[dict[str, Any]]:
    labels = _merged(labels)
    order = np.argsort(labels.codes, kind="stable")
    codes = labels.codes[order]
    cuts = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    groups = [(labels.names[int(codes[cut])], order[cut:end]) for cut, end in pairwise([0, *cuts, len(codes)]) if end]
    rows = [(total(trades.net[members]), _row(name, trades, members)) for name, members in groups]
    if not in_order:
        rows.sort(key=lambda row: (row[1]["key"] == OTHERS, -row[0], row[1]["key"]))
    return [row for _, row in rows]


def _merged(labels: Labels) -> Labels:
    """Return labels of which the rarest are one, where there are too many to be read."""
    if len(labels.names) <= _MOST_ROWS:
        return labels
    counts = np.bincount(labels.codes, minlength=len(labels.names))
    kept = np.argsort(-counts, kind="stable")[: _MOST_ROWS - 1]
    codes = np.full(len(labels.names), len(kept))
    codes[kept] = np.arange(len(kept))
    return Labels(codes[labels.codes], [*(labels.names[k] for k in kept), OTHERS])


def _row(name: str, trades: TradeColumns, members: Ints) -> dict[str, Any]:
    """Return the figures of some trades; null where one has no meaning."""
    net = trades.net[members]
    wins, n = net > 0, len(net)
    won, whole = total(net[wins]), total(net)
    n_wins = int(wins.sum())
    sums = {f"{key}_pnl" if key in ("gross", "net") else key: _sum(trades, key, members) for key in _MONEY}
    r = trades.r[members]
    r = r[~np.isnan(r)]
    return {
        "key": name,
        "n_trades": n,
        "n_wins": n_wins,
        **sums,
        "win_rate": n_wins / n,
        "profit_factor": profit_factor(won, won - whole, n)["value"],
        "expectancy": amount(round(whole / n) if abs(whole) < 2**53 else whole // n),
        "avg_r": finite(mean(r)) if len(r) else None,
        "avg_holding_hours": int((trades.exit_time - trades.entry_time)[members].sum()) / HOUR / n,
    }


def _sum(trades: TradeColumns, key: str, members: Ints) -> str:
    column: Units = getattr(trades, key)
    return amount(total(column[members]))
