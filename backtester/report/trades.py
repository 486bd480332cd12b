"""Figures over closed round trips. Definitions: docs/metrics.md."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from backtester.core.numbers import MONEY_SCALE
from backtester.core.time import HOUR
from backtester.report.figures import Floats, Ints, Metric, Units, deviation, mean, money, null, total, value

_SMALL_SAMPLE = 30
_CAPPED = 100
_SHARES: Final = {"best_1pct": 100, "best_5pct": 20}


class Labels(NamedTuple):
    """A text per trade, shape (n,): names[codes[i]]."""

    codes: Ints
    names: list[str]


@dataclass(frozen=True, slots=True)
class TradeColumns:
    """Closed trades in the order in which they closed, shape (n,). Money in 1e-8 of the account's currency.

    gross: price profit at the fills, slippage within it. net: gross − fees + funding + insurance. r: NaN without a
    stop. mae, mfe: NaN where no candles say it. equity_at_entry: before the first fill. labels: by what trades are
    grouped.
    """

    entry_time: Ints
    exit_time: Ints
    gross: Units
    slippage: Units
    fees: Units
    funding: Units
    insurance: Units
    net: Units
    entry_notional: Units
    equity_at_entry: Units
    r: Floats
    mae: Floats
    mfe: Floats
    labels: Mapping[str, Labels]

    def __len__(self) -> int:
        return len(self.entry_time)


def trade_figures(trades: TradeColumns, n_open: int, currency: str) -> dict[str, Metric]:
    """Return counts, ratios and averages over closed trades. n_open: trades that have not closed."""
    n, net = len(trades), trades.net
    wins, losses = net > 0, net < 0
    n_wins, n_losses = int(wins.sum()), int(losses.sum())
    found: dict[str, Metric] = {
        "n_trades": value("n_trades/1", n),
        "n_wins": value("n_wins/1", n_wins),
        "n_losses": value("n_losses/1", n_losses),
        "n_even": value("n_even/1", n - n_wins - n_losses),
        "n_open": value("n_open/1", n_open),
        "win_rate": value("win_rate/1", n_wins / n if n else None, "no_trades"),
    }
    won, lost = total(net[wins]), -total(net[losses])
    found["profit_factor"] = profit_factor(won, lost, n)
    payoff = (won / n_wins) / (lost / n_losses) if n_wins and n_losses else None
    missing = "no_trades" if not n else "no_wins" if not n_wins else "no_losses"
    found["payoff_ratio"] = value("payoff_ratio/1", payoff, missing)
    rate = n_wins / n if n else 0.0
    found["kelly"] = value("kelly/1", rate - (1 - rate) / payoff if payoff else None, missing)
    found |= _averages(trades, wins, losses, currency)
    found |= _multiples(trades)
    found |= _runs_of_luck(wins, losses)
    found |= _holding(trades)
    found |= _contribution(net)
    return found


def profit_factor(won: int, lost: int, n: int) -> Metric:
    """Return money won over money lost."""
    if not n:
        return null("profit_factor/1", "no_trades")
    return value("profit_factor/1", won / lost if lost else None, "no_losses" if won else "no_profit_no_loss")


def _averages(trades: TradeColumns, wins: Any, losses: Any, currency: str) -> dict[str, Metric]:
    net, n = trades.net, len(trades)
    shares = share_of_equity(trades)
    found = {
        "expectancy": _mean_money("expectancy/1", net, currency, "no_trades"),
        "avg_win": _mean_money("avg_win/1", net[wins], currency, "no_wins"),
        "avg_loss": _mean_money("avg_loss/1", net[losses], currency, "no_losses"),
        "best": money("best/1", int(net.max()), currency) if n else null("best/1", "no_trades"),
        "worst": money("worst/1", int(net.min()), currency) if n else null("worst/1", "no_trades"),
    }
    for name, chosen, why in (
        ("expectancy_pct", shares, "no_trades"),
        ("avg_win_pct", shares[wins], "no_wins"),
        ("avg_loss_pct", shares[losses], "no_losses"),
    ):
        found[name] = value(f"{name}/1", mean(chosen) if len(chosen) else None, why)
    found["best_pct"] = value("best_pct/1", float(shares.max()) if n else None, "no_trades")
    found["worst_pct"] = value("worst_pct/1", float(shares.min()) if n else None, "no_trades")
    for name, excursion in (("mae", trades.mae), ("mfe", trades.mfe)):
        known = excursion[~np.isnan(excursion)]
        why = "no_trades" if not n else "no_candles"
        units = round(mean(known)) if len(known) else None
        found[f"avg_{name}"] = null(f"avg_{name}/1", why) if units is None else money(f"avg_{name}/1", units, currency)
    return found


def share_of_equity(trades: TradeColumns) -> Floats:
    """Return each trade's net profit over the equity before its first fill; NaN-free: 0 where there was none."""
    before = trades.equity_at_entry.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, trades.net.astype(np.float64) / before, 0.0)


def _mean_money(definition: str, units: Units, currency: str, missing: str) -> Metric:
    """Return a mean of money, rounded half to even to 1e-8."""
    if not len(units):
        return null(definition, missing)
    return money(definition, _rounded(total(units), len(units)), currency)


def _rounded(sum_units: int, n: int) -> int:
    quotient, left = divmod(sum_units, n)
    return quotient + (2 * left > n or (2 * left == n and quotient % 2 == 1))


def _multiples(trades: TradeColumns) -> dict[str, Metric]:
    """Return what trades made of what they risked, and how even their profits are (Tharp's SQN)."""
    n = len(trades)
    known = trades.r[~np.isnan(trades.r)]
    whole = n > 0 and len(known) == n
    x = known if whole else trades.net.astype(np.float64) / MONEY_SCALE
    why = "no_trades" if not n else "no_stops"
    found = {
        "expectancy_r": value("expectancy_r/1", mean(known) if len(known) else None, why),
        "r_coverage": value("r_coverage/1", len(known) / n if n else None, "no_trades"),
    }
    for name, counted in (("sqn", n), ("sqn_100", min(n, _CAPPED))):
        quality, reason = None, "no_trades" if not n else "too_few"
        if n >= 2:
            spread, reason = deviation(x), "no_variance"
            quality = math.sqrt(counted) * mean(x) / spread if spread > 1e-15 * float(np.abs(x).max()) else None
        flag = "small_sample" if 0 < n < _SMALL_SAMPLE else None
        found[name] = value(f"{name}/1", quality, reason, of="r" if whole else "net_pnl", flag=flag)
    return found


def _runs_of_luck(wins: Any, losses: Any) -> dict[str, Metric]:
    """Return the longest run of winners and of losers, in the order in which trades closed."""
    return {
        f"max_consecutive_{name}": value(f"max_consecutive_{name}/1", _longest(flags))
        for name, flags in (("wins", wins), ("losses", losses))
    }


def _longest(flags: Any) -> int:
    breaks = np.flatnonzero(~np.concatenate(([False], flags, [False])))
    return int(np.diff(breaks).max(initial=1)) - 1


def _holding(trades: TradeColumns) -> dict[str, Metric]:
    hours = (trades.exit_time - trades.entry_time) / HOUR
    some = len(trades) > 0
    return {
        "avg_holding": value("avg_holding/1", mean(hours) if some else None, "no_trades", unit="hours"),
        "median_holding": value(
            "median_holding/1", float(np.median(hours)) if some else None, "no_trades", unit="hours"
        ),
    }


def _contribution(net: Units) -> dict[str, Metric]:
    """Return how much of the net profit the best trades brought; above 1: without them there would be a loss."""
    found, whole = {}, total(net)
    best = np.sort(net)[::-1]
    for name, one_in in _SHARES.items():
        definition = f"profit_share_{name}/1"
        if not len(net):
            metric = null(definition, "no_trades")
        elif whole <= 0:
            metric = null(definition, "no_profit")
        else:
            count = -(-len(net) // one_in)
            metric = value(definition, total(best[:count]) / whole, trades=count)
        found[f"profit_share_{name}"] = metric
    return found


def most_at_once(entries: Ints, exits: Ints) -> int:
    """Return the largest number of positions held at one time, each side of a hedge being one of its own.

    exits: the end of the run where still open. What closes at an instant makes room for what opens at it.
    """
    lasting = exits > entries
    times = np.concatenate((exits[lasting], entries[lasting]))
    change = np.concatenate((np.full(int(lasting.sum()), -1), np.full(int(lasting.sum()), 1)))
    held = np.cumsum(change[np.lexsort((change, times))])
    return max(int(held.max(initial=0)), int(len(entries) > 0))
