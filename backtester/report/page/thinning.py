"""A curve of millions of points as some thousand, with every stretch's extremes kept."""

from collections.abc import Sequence
from itertools import pairwise

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


def stretches(
    ts: NDArray[np.int64], values: NDArray[np.float64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return a curve that jumps up and down in stretches of equal length: where each begins, its mean and its highest.

    A value holds until the next one; the mean goes by time. Values that are not known count for nothing.

    Args:
        ts: times in µs, shape (n,), n >= 2, ascending.
        values: shape (n,).
        count: how many stretches.
    """
    edges = np.unique(np.linspace(float(ts[0]), float(ts[-1]), count + 1).astype(np.int64))
    held = np.where(np.isfinite(values), values, 0.0)
    area = np.concatenate([[0.0], np.cumsum(held[:-1] * np.diff(ts))])  # up to each point
    at = np.clip(np.searchsorted(ts, edges, side="right") - 1, 0, len(ts) - 1)
    reached = area[at] + held[at] * (edges - ts[at])
    means = np.diff(reached) / np.diff(edges)
    highest = np.maximum(held[at[:-1]], [held[a : b + 1].max() for a, b in pairwise(at.tolist())])
    return edges[:-1], means, highest
