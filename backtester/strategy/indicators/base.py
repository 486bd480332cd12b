"""What every indicator is: one recurrence, met candle by candle (`update`) or over whole columns (`columns`).

The two agree bit for bit. A row with a NaN or an infinity in what the indicator reads is no row: its value is null, and
the state stays as it was. Values before the indicator is warm are null: None from `update`, NaN in columns, null in
Polars. A value depends on its own row and those before it, and on nothing else.
"""

from collections.abc import Iterator
from functools import cached_property, reduce
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backtester.core.market import Candle

if TYPE_CHECKING:
    import polars as pl

Column = NDArray[np.float64]


class Indicator:
    """Subclass, set name, inputs and outputs, write `update`; write `_rows` where arrays can be faster.

    name: how the registry and configs call it. inputs: what `update` takes, in order, each an attribute of a candle and
    a column of a frame. outputs: names of what comes back; with more than one, `update` returns a named tuple of them.
    parameters: the constructor's arguments, defaults included.
    """

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]] = ("close",)
    outputs: ClassVar[tuple[str, ...]]
    parameters: dict[str, Any]

    def update(self, *row: Any, **named: Any) -> Any:
        """Take the next row, one value for each of `inputs`; return the indicator's value, or None."""
        raise NotImplementedError

    def update_candle(self, candle: Candle) -> Any:
        """Take what the indicator reads from the next candle; return its value, or None."""
        return self.update(*[getattr(candle, name) for name in self.inputs])

    def fresh(self) -> Self:
        """Return the same indicator as it was before its first row."""
        return type(self)(**self.parameters)

    @cached_property
    def warmup(self) -> int:
        """How many rows it takes until the first value: found by letting a fresh one take rows until it answers."""
        probe = self.fresh()
        return next(rows for rows in count(1) if probe.update(*_rising(self.inputs, rows)) is not None)

    def columns(self, *columns: ArrayLike) -> dict[str, Column]:
        """Return what `update` would have returned at each row, from the first row on; the own state is not touched.

        Args:
            columns: one for each of `inputs`, each of shape (n,): arrays, lists or Polars series.

        Returns:
            Arrays of shape (n,) by the names of `outputs`; NaN where `update` returns None.

        Raises:
            ValueError: not one column for each input, or columns of different lengths.
        """
        read = [np.asarray(column, dtype=np.float64) for column in columns]
        if len(read) != len(self.inputs) or any(column.shape != (len(read[0]),) for column in read):
            shapes = ", ".join(str(column.shape) for column in read) or "none"
            raise ValueError(f"{self.name} reads the columns {', '.join(self.inputs)} of one length; shapes: {shapes}")
        is_row = np.isfinite(reduce(np.add, read))
        if is_row.all():
            return dict(zip(self.outputs, self._rows(*read), strict=True))
        found = {name: np.full(len(is_row), np.nan) for name in self.outputs}
        for name, values in zip(self.outputs, self._rows(*[column[is_row] for column in read]), strict=True):
            found[name][is_row] = values
        return found

    def frame(self, frame: "pl.DataFrame") -> "pl.DataFrame":
        """Return `outputs` as Polars columns of floats with nulls, from a frame that has the columns `inputs`."""
        import polars as pl

        found = self.columns(*[frame[name].to_numpy() for name in self.inputs])
        return pl.DataFrame([pl.Series(name, values, nan_to_null=True) for name, values in found.items()])

    def _rows(self, *columns: Column) -> tuple[Column, ...]:
        """Return the outputs over columns without NaN, each of shape (n,): here by `update` itself, row by row."""
        fresh = self.fresh()
        values = list(map(fresh.update, *[column.tolist() for column in columns]))
        if len(self.outputs) == 1:
            return (np.array(values, dtype=np.float64),)  # None becomes NaN
        nothing = (None,) * len(self.outputs)
        table = np.array([nothing if v is None else v for v in values], dtype=np.float64)
        return tuple(table.reshape(-1, len(self.outputs)).T)


def _rising(inputs: tuple[str, ...], number: int) -> Iterator[float]:
    """Yield an ordinary row: the price rises by one a candle, something is traded, all in one second."""
    row = {"open": number, "high": number + 1, "low": number, "close": number + 1, "volume": 1, "open_time": number}
    return (row[name] for name in inputs)


def late(values: Column, length: int) -> Column:
    """Return values at the end of a column of `length` rows, NaN before them."""
    column, missing = np.empty(length), length - len(values)
    column[:missing] = np.nan
    column[missing:] = values
    return column
