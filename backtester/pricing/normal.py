"""The normal distribution over arrays."""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SQRT_HALF: Final = math.sqrt(0.5)
_SQRT_2PI: Final = math.sqrt(2 * math.pi)


def density(x: ArrayLike) -> Floats:
    """Return the standard normal density, of x's shape."""
    values = np.asarray(x, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(-0.5 * values * values) / _SQRT_2PI)


def distribution(x: ArrayLike) -> Floats:
    """Return the standard normal distribution function, of x's shape; precise to the last bits in the lower tail too.

    By the C library's erfc, one value at a time: some 0.1 µs each, and no approximation of our own.
    """
    values = np.asarray(x, dtype=np.float64)
    tails = map(math.erfc, (values * -_SQRT_HALF).ravel().tolist())
    return 0.5 * np.fromiter(tails, np.float64, values.size).reshape(values.shape)
