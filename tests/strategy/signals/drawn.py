"""Signals drawn by hand: what is wanted at each candle, as lists."""

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from backtester.strategy.features import Frame
from backtester.strategy.signals import ExitPlan, SignalStrategy, Targets
from tests.support.market import Rows
from tests.support.runs import Ran, run_on

NO = nan


def signal(
    exposure: Sequence[float], plan: dict[str, Any] | None = None, *, min_change: float = 0.0, **columns: Any
) -> type[SignalStrategy]:
    """A signal that wants at candle i what the lists say at i, and at the end what they said last."""

    class Drawn(SignalStrategy):
        def targets(self, frame: Frame) -> Targets:
            filled = {name: _filled(values, frame.rows) for name, values in columns.items()}
            return Targets(exposure=_filled(exposure, frame.rows), **filled)

        @property
        def plan(self) -> ExitPlan:
            return ExitPlan(**plan or {})

    Drawn.min_change = min_change
    return Drawn


def _filled(values: Any, rows: int) -> Any:
    if not isinstance(values, list | tuple):
        return values
    return np.array([*values, *[values[-1]] * rows][:rows])


def traded(folder: Path, rows: Rows, strategy: type[SignalStrategy], **sections: Any) -> Ran:
    """Run a drawn signal on one instrument; replaying and verifying it holds."""
    return run_on(folder, rows, strategy, **sections)


def deals(ran: Ran) -> list[tuple[str, int, str, str]]:
    """Tag, candle, price and quantity of every fill; sales are negative."""
    return [
        (f.tag, f.candle, f"{f.price.normalize():f}", f"{(f.qty if f.side == 'buy' else -f.qty).normalize():f}")
        for f in ran.fills
    ]


def stops(ran: Ran) -> list[str]:
    """The stop prices that were ever asked for, in order."""
    return [e["stop_price"] for e in ran.events("orders_sanitized") if e.get("tag", "").endswith(".stop")]


def notes(ran: Ran) -> list[str]:
    """What the signal said in the log."""
    return [e["text"] for e in ran.events("notes")]
