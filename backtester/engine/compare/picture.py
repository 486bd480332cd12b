"""The equity of several runs in one picture."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import StorageError
from backtester.engine.compare.sides import ComparedRun
from backtester.report.plots import curves_plot

_POINTS: Final = 1_600


def write_picture(runs: list[ComparedRun], path: Path) -> None:
    """Write a PNG with the equity curves of runs over all the time that any of them covers, on one axis.

    Runs whose accounts are in other currencies are drawn as multiples of what they began with.

    Raises:
        StorageError: the file cannot be written.
    """
    times, curves, unit = curves_of(runs, _POINTS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(curves_plot("Equity of the runs", unit, times, curves).png())
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def curves_of(
    runs: list[ComparedRun], points: int
) -> tuple[NDArray[np.int64], list[tuple[str, NDArray[np.float64]]], str]:
    """Return times (µs UTC, shape (points,)), the named curve of each run at them, and their unit."""
    start, end = min(run.range[0] for run in runs), max(run.range[1] for run in runs)
    times = start + (end - start) * np.arange(1, points + 1, dtype=np.int64) // points
    currencies = {run.currency for run in runs}
    same = len(currencies) == 1
    curves = [
        (f"{run_letter(place)}  {run.name}", run.equity(start, end, points) / (1 if same else run.initial))
        for place, run in enumerate(runs)
    ]
    return times, curves, next(iter(currencies)) if same else "multiple of the start"


def run_letter(place: int) -> str:
    """Return the short name of a run, by its place: A, B, ... and numbers after Z."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)
