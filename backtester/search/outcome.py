"""What a combination came to: the same few figures, whichever engine found them."""

import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from math import sqrt
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from backtester.report.returns import moments, sharpe_of
from backtester.report.series import returns_of

YEAR_DAYS: Final = 365
_ROW: Final = struct.Struct("<5q")


class FillRow(NamedTuple):
    """One fill: when (µs), of what, and its integers: quantity signed in 10^-q, price in 10^-p, fee in 1e-8."""

    ts: int
    instrument: str
    qty_units: int
    price_units: int
    fee_units: int


class Trades(NamedTuple):
    """Sums over closed trades, net of all costs, 1e-8 of the currency."""

    n_trades: int = 0
    n_wins: int = 0
    n_losses: int = 0
    won_units: int = 0
    lost_units: int = 0
    n_open: int = 0


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One combination. status: it ran, its parameters were refused, or the strategy failed; why says how.

    engine: which one ran it; bail: why the kernel handed it to the event engine. Money in 1e-8 of the currency, shares
    as fractions; None where a figure has no meaning. sharpe: of daily returns, a year has 365 days; sharpe_day, skew,
    kurtosis (3 is normal): of the same, per day, for what is said of the whole sweep. fills_digest: over every fill.
    """

    number: int
    values: dict[str, Any]
    status: Literal["ok", "refused", "failed"] = "ok"
    why: str = ""
    engine: Literal["", "event", "kernel"] = ""
    bail: str = ""
    final_equity_units: int = 0
    total_return: float | None = None
    max_drawdown: float | None = None
    sharpe: float | None = None
    sharpe_day: float | None = None
    skew: float | None = None
    kurtosis: float | None = None
    n_days: int = 0
    n_trades: int = 0
    n_open: int = 0
    win_rate: float | None = None
    profit_factor: float | None = None
    fees_units: int = 0
    funding_units: int = 0
    n_fills: int = 0
    fills_digest: str = ""


class Moments(NamedTuple):
    """Of daily returns: the ratio of mean to deviation, skew and kurtosis; None where they have no meaning."""

    sharpe_day: float | None
    skew: float | None
    kurtosis: float | None
    n_days: int


def moments_of(daily: NDArray[np.int64] | Sequence[int]) -> Moments:
    """Return the moments of the returns between daily equities (1e-8); without two returns, or without any variance,
    there is no ratio; nor when equity was not positive.
    """
    equity = np.asarray(daily, dtype=np.float64)
    n = max(0, len(equity) - 1)
    if bool((equity <= 0).any()):
        return Moments(None, None, None, n)
    returns = returns_of(equity)
    per_day, _ = sharpe_of(returns)
    if per_day is None:
        return Moments(None, None, None, n)
    return Moments(per_day, *moments(returns), n)


def outcome_of(
    number: int,
    values: dict[str, Any],
    *,
    engine: Literal["event", "kernel"],
    bail: str,
    first_units: int,
    last_units: int,
    max_drawdown: float,
    daily: NDArray[np.int64] | Sequence[int],
    trades: Trades,
    fees_units: int,
    funding_units: int,
    n_fills: int,
    fills_digest: str,
) -> Outcome:
    """Return the figures of a combination that ran; daily: equity at each 00:00 UTC, 1e-8."""
    found = moments_of(daily)
    day = found.sharpe_day
    return Outcome(
        number=number,
        values=values,
        engine=engine,
        bail=bail,
        final_equity_units=last_units,
        total_return=last_units / first_units - 1 if first_units > 0 else None,
        max_drawdown=max_drawdown,
        sharpe=None if day is None else day * sqrt(YEAR_DAYS),
        sharpe_day=day,
        skew=found.skew,
        kurtosis=found.kurtosis,
        n_days=found.n_days,
        n_trades=trades.n_trades,
        n_open=trades.n_open,
        win_rate=trades.n_wins / trades.n_trades if trades.n_trades else None,
        profit_factor=trades.won_units / trades.lost_units if trades.lost_units else None,
        fees_units=fees_units,
        funding_units=funding_units,
        n_fills=n_fills,
        fills_digest=fills_digest,
    )


class FillsDigest:
    """A digest over fills: the same for the same fills, whoever found them."""

    def __init__(self, instruments: Iterable[str]) -> None:
        """instruments: of the run."""
        self.n_fills = 0
        self._digest = blake2b(digest_size=16)
        self._places = {name: place for place, name in enumerate(sorted(instruments))}

    def add(self, row: FillRow) -> None:
        """Take the next fill."""
        self.n_fills += 1
        ts, instrument, *numbers = row
        try:
            self._digest.update(_ROW.pack(ts, self._places[instrument], *numbers))
        except struct.error:  # beyond 64 bits
            self._digest.update(repr((ts, self._places[instrument], *numbers)).encode())

    def add_columns(self, instrument: str, columns: NDArray[np.int64]) -> None:
        """Take fills of one instrument; columns: time, signed quantity, price and fee, shape (4, n)."""
        rows = np.empty((columns.shape[1], 5), dtype="<i8")
        rows[:, 0], rows[:, 1], rows[:, 2:] = columns[0], self._places[instrument], columns[1:].T
        self.n_fills += len(rows)
        self._digest.update(rows.tobytes())

    def hexdigest(self) -> str:
        """Return the digest of all fills so far."""
        return self._digest.hexdigest()
