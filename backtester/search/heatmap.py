"""A picture of a figure over two parameters. Matplotlib is imported here alone, and only when a picture is drawn."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from backtester.search.grid import Axis
from backtester.search.outcome import Outcome
from backtester.search.ranking import value_of


def cells_of(across: Axis, up: Axis, outcomes: Sequence[Outcome], metric: str) -> list[list[float | None]]:
    """Return the figure of each pair of values: rows go with `up`, columns with `across`.

    Where other parameters vary too it is the median over them: the best of them would show luck. None: none ran.
    """
    found: dict[tuple[Any, Any], list[float]] = {}
    for outcome in outcomes:
        value = value_of(outcome, metric)
        if value is not None:
            found.setdefault((repr(outcome.values[across.name]), repr(outcome.values[up.name])), []).append(value)
    pairs = [[found.get((repr(x), repr(y))) for x in across.values] for y in up.values]
    return [[None if values is None else median(values) for values in row] for row in pairs]


def varied(axes: Sequence[Axis]) -> list[Axis]:
    """Return the axes with more than one value."""
    return [axis for axis in axes if len(axis.values) > 1]


def draw_heatmap(axes: Sequence[Axis], outcomes: Sequence[Outcome], metric: str, path: Path) -> str:
    """Draw a figure over the first two axes that vary; return why there is no picture, or nothing."""
    both = varied(axes)
    if len(both) < 2:
        return "a heatmap needs two parameters that vary"
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    up, across = both[0], both[1]
    cells = cells_of(across, up, outcomes, metric)
    values = np.array([[np.nan if v is None else v for v in row] for row in cells], dtype=np.float64)
    figure = Figure(figsize=(max(5.0, 0.55 * len(across.values) + 2.5), max(4.0, 0.4 * len(up.values) + 1.8)), dpi=120)
    FigureCanvasAgg(figure)
    plot = figure.add_subplot()
    known = values[~np.isnan(values)]
    most = float(np.abs(known).max()) if known.size else 1.0
    signed = bool((known < 0).any() and (known > 0).any())
    limits = {"vmin": -most, "vmax": most, "cmap": "PuOr"} if signed else {"cmap": "viridis"}
    image = plot.imshow(values, origin="lower", aspect="auto", **limits)
    plot.set_xticks(range(len(across.values)), [str(v) for v in across.values], rotation=45, ha="right")
    plot.set_yticks(range(len(up.values)), [str(v) for v in up.values])
    plot.set_xlabel(across.name)
    plot.set_ylabel(up.name)
    others = [axis.name for axis in both[2:]]
    over = f", median over {', '.join(others)}" if others else ""
    plot.set_title(f"{metric.replace('_', ' ')}{over}", fontsize=10)
    plot.set_facecolor("#dddddd")  # combinations that did not run
    if values.size <= 400:
        for row, column in np.ndindex(values.shape):
            if not np.isnan(values[row, column]):
                plot.text(column, row, _short(float(values[row, column])), fontsize=7, ha="center", va="center",
                          bbox={"facecolor": "white", "alpha": 0.6, "edgecolor": "none", "pad": 1})  # fmt: skip
    figure.colorbar(image, ax=plot)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    return ""


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.3g}"
