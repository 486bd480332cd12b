"""The order of rows that several columns name together: by the first, then by the second, and so on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def order_of(identity: Sequence[NDArray[Any]]) -> NDArray[np.int64] | None:
    """Return the stable order that sorts rows by their identity, columns of shape (n,); None when they are sorted."""
    if _never_falls(identity):
        return None
    return np.lexsort(tuple(reversed(identity))).astype(np.int64)


def rises(identity: Sequence[NDArray[Any]]) -> bool:
    """Say whether every row comes strictly after the one before it, so that rows are sorted and unique."""
    return bool(np.all(_after(identity)))


def changes(identity: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return, per row, whether its identity is not that of the row before it; true for the first."""
    differs = np.zeros(max(len(identity[0]) - 1, 0), dtype=np.bool_)
    for column in identity:
        differs |= column[1:] != column[:-1]
    return np.concatenate([np.ones(min(len(identity[0]), 1), dtype=np.bool_), differs])


def _after(identity: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    after = np.zeros(max(len(identity[0]) - 1, 0), dtype=np.bool_)
    equal = ~after
    for column in identity:
        after |= equal & (column[1:] > column[:-1])
        equal &= column[1:] == column[:-1]
    return after


def _never_falls(identity: Sequence[NDArray[Any]]) -> bool:
    return bool(np.all(_after(identity) | ~changes(identity)[1:]))
