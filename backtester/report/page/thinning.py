"""A curve of millions of points as some thousand, with every stretch's extremes kept."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BUCKETS = 2_500


def kept_rows(
    ts: NDArray[np.int64],
    extremes: Sequence[NDArray[np.float64]],
    buckets: int = BUCKETS,
) -> NDArray[np.int64]:
    """Return which rows of a curve to keep: first and last of each stretch of time, and each column's extremes in it.

    So a drawn line reaches every high and low that the whole one has, and no point of it is made up.

    Args:
        ts: times, shape (n,), ascending.
        extremes: columns whose least and greatest value of a stretch must stay, each of shape (n,).
        buckets: how many stretches of equal length the time is cut into.

    Returns:
        Row numbers, ascending; all of them where the curve is short.
    """
    n = len(ts)
    if n <= buckets * (2 + 2 * len(extremes)):
        return np.arange(n)
    edges = np.linspace(float(ts[0]), float(ts[-1]), buckets + 1)[:-1]
    starts = np.unique(np.searchsorted(ts, edges.astype(np.int64), side="left"))
    starts = starts[starts < n]
    counts = np.diff(np.append(starts, n))
    kept = [starts, starts + counts - 1]
    for column in extremes:
        for reduce in (np.minimum, np.maximum):
            best = np.repeat(reduce.reduceat(column, starts), counts)
            hits = np.flatnonzero(column == best)
            first = np.searchsorted(hits, starts)
            kept.append(hits[np.minimum(first, len(hits) - 1)])
    return np.unique(np.concatenate(kept))
