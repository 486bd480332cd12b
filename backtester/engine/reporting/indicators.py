"""What a signal looked at: its features, computed again over the candles of its run, for the chart."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import BacktesterError
from backtester.engine.provenance import engine_digest
from backtester.engine.replay import prepared_again
from backtester.engine.signals import signal_features
from backtester.strategy.features.frame import CANDLE_COLUMNS, Frame
from backtester.strategy.registry import find_strategy
from backtester.strategy.signals import SignalStrategy

_MOST_POINTS: Final = 240_000  # of all features and instruments in one page
_MOST_LINES: Final = 6


@dataclass(frozen=True)
class Indicators:
    """Features of one instrument. times: when each was known, µs UTC. lines: those on the scale of the price, by name.

    others: names of those on another scale. every: of so many rows one is kept.
    """

    times: NDArray[np.int64]
    lines: dict[str, NDArray[np.float64]]
    others: list[str]
    every: int


@dataclass(frozen=True)
class SignalFeatures:
    """Features by instrument; why: a sentence that says why a signal's are not there."""

    by_instrument: dict[str, Indicators] = field(default_factory=dict)
    why: str = ""


def signal_indicators(
    folder: Path, details: dict[str, Any], config: dict[str, Any], instruments: Sequence[str], data: Path | None
) -> SignalFeatures:
    """Return the features of a run whose strategy is a signal; nothing for others.

    Only by the code that made the run: another version of the program might compute other values.
    """
    name = config.get("strategy", {}).get("name", "")
    try:
        if not name or not issubclass(find_strategy(name, relative_to=folder).cls, SignalStrategy):
            return SignalFeatures()
        if details["engine_digest"] != engine_digest():
            return SignalFeatures(why="the program has changed since the run, and might compute other features")
        run = prepared_again(folder, data)
        (own,) = run.sleeves
        strategy = run.make_strategy(own)
        assert isinstance(strategy, SignalStrategy)
        frames = {i: frame for i in instruments if (frame := signal_features(run, strategy, i)) is not None}
    except BacktesterError as error:
        return SignalFeatures(why=error.message)
    points = sum(frame.rows * (len(frame) - len(CANDLE_COLUMNS)) for frame in frames.values())
    every = max(1, -(-points // _MOST_POINTS))
    return SignalFeatures({instrument: _indicators(frame, every) for instrument, frame in frames.items()})


def _indicators(frame: Frame, every: int) -> Indicators:
    lines: dict[str, NDArray[np.float64]] = {}
    others = []
    close = frame["close"]
    for name in frame:
        if name in CANDLE_COLUMNS:
            continue
        if len(lines) < _MOST_LINES and _like_prices(frame[name], close):
            lines[name] = frame[name][::every]
        else:
            others.append(name)
    return Indicators(frame.times[::every], lines, others, every)


def _like_prices(values: NDArray[np.float64], close: NDArray[np.float64]) -> bool:
    """Say whether a feature is on the scale of the price: nearly always within half and double of it."""
    known = np.isfinite(values)
    if not known.any():
        return False
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values[known] / close[known]
    return bool(np.mean((ratio > 0.5) & (ratio < 2.0)) > 0.98)
