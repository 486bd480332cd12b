"""The equity of several runs in one picture."""

from pathlib import Path
from typing import Final

from backtester.core.errors import StorageError
from backtester.core.time import utc
from backtester.engine.compare.sides import ComparedRun

_POINTS: Final = 1_600
_SIZE: Final = (11.0, 5.5)
_MOST_NAMED: Final = 12


def write_picture(runs: list[ComparedRun], path: Path) -> None:
    """Write a PNG with the equity curves of runs over all the time that any of them covers, on one axis.

    Runs whose accounts are in other currencies are drawn as multiples of what they began with.

    Raises:
        StorageError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    start, end = min(run.range[0] for run in runs), max(run.range[1] for run in runs)
    times = [utc(start + (end - start) * (place + 1) // _POINTS) for place in range(_POINTS)]
    currencies = {run.currency for run in runs}
    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, run in enumerate(runs):
        curve = run.equity(start, end, _POINTS)
        if len(currencies) > 1:
            curve = curve / run.initial
        name = f"{chr(ord('A') + place)}  {run.name}" if place < _MOST_NAMED else None
        axes.plot(times, curve, linewidth=1.2, label=name)  # type: ignore[arg-type]
    unit = next(iter(currencies)) if len(currencies) == 1 else "multiple of the start"
    axes.set_ylabel(f"equity, {unit}")
    axes.set_xlabel("UTC")
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="best", fontsize="small", frameon=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=120, metadata={"Software": None})
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None
