"""Equity curves and trades that a test can read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backtester.core.time import DAY, HOUR, parse_time
from backtester.report.series import EquitySeries
from backtester.report.trades import Labels, TradeColumns

MIDNIGHT = parse_time("2023-01-01")
UNIT = 10**8


def curve(
    *equity: float, start: int = MIDNIGHT, step: int = DAY, exposure: Sequence[float] | None = None
) -> EquitySeries:
    """Equity in money, one row a step."""
    rows = np.arange(len(equity), dtype=np.int64)
    return EquitySeries(
        start + rows * step, units(equity), units(exposure if exposure is not None else [0] * len(equity))
    )


def units(money: Sequence[float]) -> Any:
    """Money in 1e-8."""
    return np.array([round(amount * UNIT) for amount in money], dtype=np.int64)


def trades(
    net: Sequence[float],
    *,
    r: Sequence[float] | None = None,
    fees: Sequence[float] | None = None,
    equity: float = 1000,
    start: int = MIDNIGHT,
    labels: Mapping[str, Sequence[str]] | None = None,
) -> TradeColumns:
    """Trades that follow each other, one an hour, half an hour long."""
    n = len(net)
    nothing = np.zeros(n, dtype=np.int64)
    paid = units(fees) if fees is not None else nothing
    entry = start + np.arange(n, dtype=np.int64) * HOUR
    return TradeColumns(
        entry_time=entry,
        exit_time=entry + HOUR // 2,
        gross=units(net) + paid,
        slippage=nothing,
        fees=paid,
        funding=nothing,
        insurance=nothing,
        net=units(net),
        entry_notional=units([100] * n),
        equity_at_entry=units([equity] * n),
        r=np.array(r if r is not None else [np.nan] * n, dtype=np.float64),
        mae=np.full(n, np.nan),
        mfe=np.full(n, np.nan),
        labels={name: coded(texts) for name, texts in (labels or {}).items()},
    )


def coded(texts: Sequence[str]) -> Labels:
    """Texts as codes and names."""
    names = list(dict.fromkeys(texts))
    return Labels(np.array([names.index(text) for text in texts], dtype=np.int64), names)
