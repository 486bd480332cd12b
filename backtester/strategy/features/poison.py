"""Other futures for frames: what comes after a cut is left out, or is another market."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from backtester.strategy.features.frame import Frame, Source, Values

Frames = Mapping[Source, Frame]


def frames_until(frames: Frames, time: int) -> dict[Source, Frame]:
    """Return what is known at a time (µs): of each frame the rows that have closed."""
    return {source: frame.until(time) for source, frame in frames.items()}


def poisoned(frames: Frames, time: int, luck: np.random.Generator) -> dict[Source, Frame]:
    """Return frames whose rows after a time (µs) are another market's; times and earlier rows stay.

    The other market begins at the last known price and walks with steps of a few percent, so that it is soon far away;
    its volume is larger. Columns that are no candle's get plain noise around their last value.
    """
    return {source: _poisoned(frames[source], time, luck) for source in sorted(frames)}


def _poisoned(frame: Frame, time: int, luck: np.random.Generator) -> Frame:
    cut = int(np.searchsorted(frame.times, time, side="right"))
    rows = frame.rows - cut
    if not rows or not cut:
        return frame
    decimals = 8 if frame.decimals is None else frame.decimals
    step = np.clip(np.cumsum(luck.normal(0.0, 0.03, rows)), -2.0, 2.0)
    close = np.round(float(frame["close"][cut - 1]) * np.exp(step), decimals) + 10.0**-decimals
    open_ = np.concatenate((frame["close"][cut - 1 : cut], close[:-1]))
    wick = 1 + np.abs(luck.normal(0.0, 0.02, rows))
    made: dict[str, Values] = {
        "open": open_,
        "high": np.round(np.maximum(open_, close) * wick, decimals),
        "low": np.round(np.minimum(open_, close) / wick, decimals),
        "close": close,
        "volume": np.round(frame["volume"][cut:] * luck.uniform(2, 20, rows) + 1, 3),
        "open_time": frame["open_time"][cut:],
    }
    columns = {name: _joined(values[:cut], made.get(name), values, luck) for name, values in frame.items()}
    return Frame(frame.source, frame.times, columns, decimals=frame.decimals)


def _joined(past: Values, future: Values | None, values: Values, luck: np.random.Generator) -> NDArray[np.float64]:
    if future is None:
        spread = 1 + abs(float(np.nan_to_num(past[-1])))
        future = np.nan_to_num(past[-1]) + luck.normal(0.0, spread, len(values) - len(past))
    return np.concatenate((past, future))
