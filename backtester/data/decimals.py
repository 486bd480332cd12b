"""How many decimals restore a column of floats exactly."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MAX_PRICE_DECIMALS: Final = 12
MAX_VOLUME_DECIMALS: Final = 8


def restores(values: NDArray[Any], decimals: int) -> NDArray[np.bool_]:
    """Return, per value, whether rint(x * 10^decimals) / 10^decimals is x again."""
    scale = float(10**decimals)
    same: NDArray[np.bool_] = np.rint(values * scale) / scale == values
    return same


def decimals_needed(columns: Iterable[NDArray[Any]], most: int) -> int | None:
    """Return the smallest d in 0..most that restores every value of the columns, or None when none does."""
    arrays = list(columns)
    witness = np.empty(0)  # a value that fewer decimals did not restore: mostly settles the next d without the whole
    for decimals in range(most + 1):
        if not bool(restores(witness, decimals).all()):
            continue
        for values in arrays:
            fails = ~restores(values, decimals)
            if fails.any():
                witness = values[[int(np.argmax(fails))]]
                break
        else:
            return decimals
    return None
