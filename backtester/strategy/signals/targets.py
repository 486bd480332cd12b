"""What a signal wants, row by row: columns of targets, and the one row that a person reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import StrategyError
from backtester.strategy.features.frame import Values, frozen

Flags = NDArray[np.bool_]


class TargetPosition(NamedTuple):
    """One row: what to hold, and why.

    exposure: in [-1, 1], the sign is the direction and 1 the full size; None leaves things as they are.
    confidence: in [0, 1], for the log; it changes no size. values: the indicators behind it.
    """

    exposure: float | None
    confidence: float
    strategy: str
    timeframe: str
    reason: str
    tag: str
    values: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Targets for all rows of a frame. Arrays have the frame's length; a plain value holds for every row.

    exposure: in [-1, 1]; NaN: no opinion, what is held stays. confidence: in [0, 1]. tag: which signal it is, text or
    a whole number; the trade carries it. reason: text for the log. stop: the price of the protecting stop of an entry
    at this row; NaN: none, and then no entry. trail: to where the stop of an open trade may follow, a price; NaN: not
    at this row. trail_short: the same for shorts, where it is another. exit_long, exit_short: close a trade of that
    side, whatever the exposure. values: shown in the log.
    """

    exposure: Values
    confidence: Values | float = 1.0
    tag: NDArray[Any] | str = ""
    reason: NDArray[Any] | str = ""
    stop: Values | None = None
    trail: Values | None = None
    trail_short: Values | None = None
    exit_long: Flags | None = None
    exit_short: Flags | None = None
    values: Mapping[str, Values] = field(default_factory=dict)

    def checked(self, rows: int) -> "Targets":
        """Return the targets with every column an own, read-only array of `rows` values.

        Raises:
            StrategyError: a column has another length, or a value outside its range.
        """
        exposure, confidence = self._floats("exposure", rows), self._floats("confidence", rows)
        if bool((np.abs(exposure) > 1).any()):
            raise _out_of_range("exposure", exposure, np.abs(exposure) > 1, "[-1, 1], NaN leaves things as they are")
        outside = ~((confidence >= 0) & (confidence <= 1)) & ~np.isnan(exposure)
        if bool(outside.any()):
            raise _out_of_range("confidence", confidence, outside, "[0, 1]")
        for name in ("exit_long", "exit_short"):
            flags = getattr(self, name)
            if flags is not None and np.asarray(flags).dtype != np.bool_:
                raise StrategyError(f"{name} holds {np.asarray(flags).dtype}, it must be an array of bool")
        return Targets(
            exposure=exposure,
            confidence=confidence,
            tag=self._plain("tag", rows),
            reason=self._plain("reason", rows),
            stop=None if self.stop is None else self._floats("stop", rows),
            trail=None if self.trail is None else self._floats("trail", rows),
            trail_short=None if self.trail_short is None else self._floats("trail_short", rows),
            exit_long=None if self.exit_long is None else self._plain("exit_long", rows),
            exit_short=None if self.exit_short is None else self._plain("exit_short", rows),
            values={name: _column(f"values[{name!r}]", v, rows, np.float64) for name, v in self.values.items()},
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return all columns by name, of checked targets: what a check for looking ahead compares."""
        plain = {name: getattr(self, name) for name in _COLUMNS if getattr(self, name) is not None}
        return plain | {f"values[{name!r}]": values for name, values in self.values.items()}

    def row(self, index: int, *, strategy: str, timeframe: str) -> TargetPosition:
        """Return one row of checked targets."""
        exposure = float(self.exposure[index])
        values = {name: float(column[index]) for name, column in self.values.items()}
        assert not isinstance(self.confidence, float)
        return TargetPosition(
            None if np.isnan(exposure) else exposure,
            float(self.confidence[index]),
            strategy,
            timeframe,
            text_of(self.reason[index]),
            text_of(self.tag[index]),
            {name: None if np.isnan(value) else value for name, value in values.items()},
        )

    def _floats(self, name: str, rows: int) -> Values:
        return _column(name, getattr(self, name), rows, np.float64)

    def _plain(self, name: str, rows: int) -> NDArray[Any]:
        return _column(name, getattr(self, name), rows, None)


_COLUMNS = ("exposure", "confidence", "tag", "reason", "stop", "trail", "trail_short", "exit_long", "exit_short")


def text_of(value: Any) -> str:
    """Return a tag or a reason as text: whole numbers without a fraction, NaN as nothing."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{float(value):g}" if value % 1 else str(int(value))
    return str(value)


def _column(name: str, value: Any, rows: int, kind: Any) -> NDArray[Any]:
    array = np.asarray(value, dtype=kind)
    if array.ndim == 0:
        return np.broadcast_to(array, (rows,))  # read-only, one value
    if array.shape != (rows,):
        raise StrategyError(
            f"targets: {name} has shape {array.shape}, the frame has {rows} rows",
            hint="return one value for each row of the frame, or one for all",
        )
    return frozen(array.copy() if array is value and array.flags.writeable else array)


def _out_of_range(name: str, values: Values, outside: Flags, allowed: str) -> StrategyError:
    row = int(np.flatnonzero(outside)[0])
    return StrategyError(f"targets: {name} is {values[row]} at row {row}, it must lie in {allowed}")
