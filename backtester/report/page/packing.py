"""Columns of numbers as compact text inside a page; assets/unpack.js reads them back.

A column is whole numbers of a fixed scale (a price in cents, a time in µs). Each becomes an unsigned code: 0 says that
there is no value, the others are the number, or its difference from the one before, folded so that small negative ones
are small too. The codes are written byte plane by byte plane, which is what makes zlib small work of them.
"""

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST = 2**53 - 1  # what a number in JavaScript holds exactly
_LEVEL = 6


class PackedTable:
    """Columns of equal length on their way into a page: a description for its JSON, and one compressed text."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._columns: list[dict[str, Any]] = []
        self._bytes: list[bytes] = []

    def add(self, name: str, values: NDArray[Any], *, decimals: int = 0, delta: bool = False) -> None:
        """Add a column of numbers.

        Args:
            name: how the page calls it.
            values: shape (rows,), whole numbers, or floats of which `decimals` places are kept; NaN is no value.
            decimals: decimal places.
            delta: write differences: for times and whatever moves little from row to row.

        Raises:
            ValueError: the values are of another length, or beyond what JavaScript holds exactly.
        """
        if values.shape != (self.rows,):
            raise ValueError(f"{name}: {values.shape} values for {self.rows} rows")
        units, known = _whole(values, decimals)
        if len(units) and max(abs(int(units.min())), abs(int(units.max()))) > _LARGEST // 4:
            raise ValueError(f"{name}: a value is beyond what a page can hold with {decimals} decimals")
        steps = np.diff(units, prepend=0) if delta else units
        codes = np.where(known, np.where(steps < 0, -2 * steps - 1, 2 * steps) + 1, 0).astype(np.uint64)
        width = max(1, (int(codes.max()).bit_length() + 7) // 8) if len(codes) else 1
        planes = codes.astype("<u8").view(np.uint8).reshape(-1, 8).T[:width]
        self._columns.append({"name": name, "width": width, "decimals": decimals, "delta": delta})
        self._bytes.append(np.ascontiguousarray(planes).tobytes())

    def add_texts(self, name: str, values: Sequence[str]) -> None:
        """Add a column of texts: each different one once, and which one it is per row."""
        different = sorted(set(values))
        place = {text: index for index, text in enumerate(different)}
        self.add(name, np.fromiter((place[text] for text in values), dtype=np.int64, count=len(values)))
        self._columns[-1]["texts"] = different

    def described(self) -> dict[str, Any]:
        """Return what the page must know to read the text."""
        return {"rows": self.rows, "columns": self._columns}

    def text(self) -> str:
        """Return all columns, compressed, in letters that mean nothing to HTML."""
        return base64.b64encode(zlib.compress(b"".join(self._bytes), _LEVEL)).decode()


def decimals_of(values: NDArray[np.float64], most: int) -> int:
    """Return how many decimal places, at most `most`, the values need: prices in cents need two."""
    sample = values[np.isfinite(values)]
    sample = sample[:: max(1, len(sample) // 5_000)]
    for places in range(most):
        scaled = sample * 10.0**places
        if np.all(np.abs(scaled - np.rint(scaled)) <= 1e-6 * np.maximum(1.0, np.abs(scaled) * 1e-6)):
            return places
    return most


def _whole(values: NDArray[Any], decimals: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the values in units of the last decimal place, and which of them there are.

    A missing one repeats the one before, so that differences go on from there.
    """
    if values.dtype.kind in "iu":
        return values.astype(np.int64) * 10**decimals, np.ones(len(values), dtype=np.bool_)
    known = np.isfinite(values)
    units = np.where(known, np.rint(np.where(known, values, 0.0) * 10.0**decimals), 0.0).astype(np.int64)
    if not known.all():
        last = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
        units = np.where(last >= 0, units[np.maximum(last, 0)], 0)
    return units, known
