"""How many decimals restore floats exactly."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAX_PRICE_DECIMALS: Final = 12
MAX_VOLUME_DECIMALS: Final = 8
_STRIDE: Final = 32_768  # a few arrays of so many floats stay in a core's cache
_SAFE: Final = 2.0**50


def restores(values: NDArray[Any], decimals: int) -> NDArray[np.bool_]:
    """Return, per value, whether rint(x * 10^decimals) / 10^decimals is x again."""
    scale = float(10**decimals)
    same: NDArray[np.bool_] = np.rint(values * scale) / scale == values
    return same


def are_restored(values: NDArray[Any], decimals: int) -> bool:
    """Say whether so many decimals restore every value."""
    scale = float(10**decimals)
    work = np.empty(min(len(values), _STRIDE))
    for at in range(0, len(values), _STRIDE):
        part = values[at : at + _STRIDE]
        out = work[: len(part)]
        np.multiply(part, scale, out=out)
        np.rint(out, out=out)
        np.divide(out, scale, out=out)
        if not np.array_equal(out, part):
            return False
    return True


def too_fine(values: NDArray[Any], most: int) -> NDArray[np.bool_] | None:
    """Return which finite values no 0..most decimals restore, None when there is no such value."""
    few = decimals_needed([values[:256]], most)
    if few is not None and are_restored(values, few):
        return None
    left: NDArray[np.bool_] = np.isfinite(values)
    for decimals in range(most + 1):
        left[left] = ~restores(values[left], decimals)
    return left if left.any() else None


def decimals_needed(columns: Iterable[NDArray[Any]], most: int) -> int | None:
    """Return the smallest d in 0..most that restores every value of the columns, or None when none does."""
    arrays = list(columns)
    heads = [values[:64] for values in arrays]
    for decimals in range(most + 1):
        if all(are_restored(head, decimals) for head in heads) and all(
            are_restored(values, decimals) for values in arrays
        ):
            return decimals
    return None


class DecimalsNeeded:
    """`decimals_needed` of values that come block by block.

    While 10^d times the largest value is below 2^50, what d - 1 decimals restore d restore too, so earlier blocks need
    not be seen again. is_sure: whether that held; if not, `recount` needs all blocks once more.
    """

    def __init__(self, most: int) -> None:
        self.decimals: int | None = 0
        self.is_sure = True
        self._most = most
        self._largest = 0.0

    def update(self, values: NDArray[Any]) -> None:
        """Take the next values, at least one, into account."""
        if self.decimals is None:
            return
        decimals = self._fewest(values, self.decimals)
        if decimals is not None and decimals != self.decimals and self._largest * 10.0**decimals >= _SAFE:
            self.is_sure = False
        self.decimals = decimals
        self._largest = max(self._largest, float(np.max(values)), -float(np.min(values)))

    def recount(self, blocks: Callable[[], Iterable[NDArray[Any]]]) -> None:
        """Find the decimals from all values; `blocks` yields them anew each time it is called."""
        candidates = range(self._most + 1)
        found = (one for one in candidates if all(are_restored(values, one) for values in blocks()))
        self.decimals, self.is_sure = next(found, None), True

    def _fewest(self, values: NDArray[Any], least: int) -> int | None:
        head = values[:64]
        for decimals in range(least, self._most + 1):
            if are_restored(head, decimals) and are_restored(values, decimals):
                return decimals
        return None
