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
    first, rest = identity[0], identity[1:]
    later = first[1:] > first[:-1]
    if later.all():
        return True
    same = np.flatnonzero(~later)
    if not rest or (first[same + 1] != first[same]).any():
        return False
    pairs = np.stack([same, same + 1], axis=1)
    return _pairs_rise([column[pairs] for column in rest])


def changes(identity: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return, per row, whether its identity is not that of the row before it; true for the first."""
    differs = np.zeros(max(len(identity[0]) - 1, 0), dtype=np.bool_)
    for column in identity:
        differs |= column[1:] != column[:-1]
    return np.concatenate([np.ones(min(len(identity[0]), 1), dtype=np.bool_), differs])


def _pairs_rise(identity: Sequence[NDArray[Any]]) -> bool:
    """Say whether in each pair, columns of shape (n, 2), the second comes strictly after the first."""
    after = np.zeros(len(identity[0]), dtype=np.bool_)
    equal = ~after
    for column in identity:
        after |= equal & (column[:, 1] > column[:, 0])
        equal &= column[:, 1] == column[:, 0]
    return bool(after.all())


def _never_falls(identity: Sequence[NDArray[Any]]) -> bool:
    pairs = [np.stack([column[:-1], column[1:]], axis=1) for column in identity]
    return _pairs_rise([pair[changes(identity)[1:]] for pair in pairs])
