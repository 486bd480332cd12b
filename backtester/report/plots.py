"""Pictures of a run: legible in print, labelled with units and UTC, in colours that all eyes can tell apart.

matplotlib is imported here only, when a picture is wanted; it draws without a screen. Equal input and an equal
matplotlib give equal bytes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from backtester.report.picture import Picture

_BLUE, _ORANGE, _GREY, _INK = "#0f62a8", "#c2500a", "#8a929c", "#1d2127"
_VIOLET, _GREEN = "#7a3fa0", "#0a8f6c"
_CURVES: Final = (_BLUE, _ORANGE, _INK, "#0a8f6c", "#a0568c", "#b58900", _GREY)
_WIDE: Final = (10.0, 4.6)
_STYLE: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 9.5,
    "axes.edgecolor": "#c9ced4",
    "axes.labelcolor": "#4a525c",
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e9ecef",
    "grid.linewidth": 0.7,
    "xtick.color": "#4a525c",
    "ytick.color": "#4a525c",
    "legend.frameon": False,
    "agg.path.chunksize": 20_000,
}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Times = NDArray[np.int64]
Values = NDArray[np.float64]


class Curve(NamedTuple):
    """Values over times in µs UTC, ascending; shape (n,)."""

    ts: Times
    values: Values


class Marks(NamedTuple):
    """Trades of one instrument: times in µs UTC, prices in quote per base, whether each was long, and gained."""

    entry_time: Times
    entry_price: Values
    exit_time: Times
    exit_price: Values
    long: NDArray[np.bool_]
    won: NDArray[np.bool_]


def equity_plot(title: str, currency: str, equity: Curve, held: Curve | None) -> "Picture":
    """Return the account's value over time, and that of buy and hold where it is known."""

    def draw(axes: "Axes") -> None:
        if held is not None:
            axes.plot(
                _dates(held.ts), held.values, color=_GREY, linewidth=1.1, linestyle=(0, (5, 2)), label="buy and hold"
            )
        axes.plot(_dates(equity.ts), equity.values, color=_BLUE, linewidth=1.3, label="equity")
        axes.set_ylabel(f"equity, {currency}")
        axes.yaxis.set_major_formatter("{x:,.0f}" if np.nanmax(np.abs(equity.values)) >= 1_000 else "{x:,.4g}")
        if held is not None:
            _legend(axes)

    return _over_time(title, equity.ts, draw)


def drawdown_plot(title: str, drawdown: Curve) -> "Picture":
    """Return the fall from the highest equity so far, as fractions <= 0, over time."""

    def draw(axes: "Axes") -> None:
        axes.fill_between(_dates(drawdown.ts), drawdown.values * 100.0, 0.0, color=_ORANGE, alpha=0.18, linewidth=0)
        axes.plot(_dates(drawdown.ts), drawdown.values * 100.0, color=_ORANGE, linewidth=1.0)
        axes.set_ylabel("drawdown, %")
        axes.set_ylim(min(-1.0, float(np.nanmin(drawdown.values)) * 105.0), 0.0)

    return _over_time(title, drawdown.ts, draw)


def curves_plot(title: str, unit: str, ts: Times, curves: Sequence[tuple[str, Values]]) -> "Picture":
    """Return the equity of several runs over time, each with its name; more than some have colours twice."""

    def draw(axes: "Axes") -> None:
        for place, (name, values) in enumerate(curves):
            colour, dashes = _CURVES[place % len(_CURVES)], "-" if place < len(_CURVES) else (0, (4, 1.5))
            axes.plot(_dates(ts), values, color=colour, linewidth=1.2, linestyle=dashes, label=name)
        axes.set_ylabel(f"equity, {unit}")
        highest = max((float(np.nanmax(np.abs(v), initial=0.0)) for _, v in curves), default=0.0)
        axes.yaxis.set_major_formatter("{x:,.0f}" if highest >= 1_000 else "{x:,.4g}")
        axes.legend(loc="best", fontsize=8)

    return _over_time(title, ts, draw)


def price_plot(title: str, unit: str, close: Curve, marks: Marks | None) -> "Picture":
    """Return the price over time, with where trades began and how they ended; unit: of the price."""

    def draw(axes: "Axes") -> None:
        axes.plot(_dates(close.ts), close.values, color=_INK, linewidth=0.8, alpha=0.75)
        axes.set_ylabel(f"price, {unit}")
        axes.yaxis.set_major_formatter("{x:,.10g}")
        if marks is None:
            axes.text(0.01, 0.97, "no closed trades", transform=axes.transAxes, va="top", color="#4a525c")
            return
        size = float(np.clip(9_000 / len(marks.long), 9.0, 60.0))
        entries = ((marks.long, "^", _BLUE, "long entry"), (~marks.long, "v", _VIOLET, "short entry"))
        exits = ((marks.won, "o", _GREEN, "exit, won"), (~marks.won, "X", _ORANGE, "exit, lost"))
        for kinds, times, prices, area in (
            (exits, marks.exit_time, marks.exit_price, size * 0.7),
            (entries, marks.entry_time, marks.entry_price, size),  # above: an exit often is at the next entry
        ):
            for which, marker, color, label in kinds:
                if which.any():
                    axes.scatter(
                        _dates(times[which]), prices[which], s=area, marker=marker, color=color, label=label,
                        edgecolors="white", linewidths=0.5, zorder=3,
                    )  # fmt: skip
        _legend(axes)

    return _over_time(title, close.ts, draw)


def months_plot(title: str, months: Sequence[tuple[str, float | None, bool]]) -> "Picture":
    """Return monthly returns as a table of years and months; months: (2024-01, return, whether it is a part)."""
    years = sorted({month[:4] for month, _, _ in months})
    grid = np.full((len(years), 12), np.nan)
    partial = {month for month, _, part in months if part}
    for month, value, _ in months:
        grid[years.index(month[:4]), int(month[5:7]) - 1] = np.nan if value is None else value * 100.0
    return _picture((10.0, 1.4 + 0.42 * len(years)), lambda figure: _draw_months(figure, title, years, grid, partial))


def _draw_months(figure: "Figure", title: str, years: list[str], grid: Values, partial: set[str]) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    axes = figure.add_subplot()
    bound = max(0.1, float(np.nanmax(np.abs(grid), initial=0.0)))
    colours = LinearSegmentedColormap.from_list("months", ["#e0863f", "#ffffff", "#5a9bd4"])
    axes.imshow(grid, cmap=colours, vmin=-bound, vmax=bound, aspect="auto")
    for row, year in enumerate(years):
        for column in range(12):
            value = grid[row, column]
            if np.isfinite(value):
                star = "*" if f"{year}-{column + 1:02d}" in partial else ""
                text = f"{value:+.1f}{star}".replace("-", "−")
                axes.text(column, row, text, ha="center", va="center", color=_INK)
    axes.set_xticks(range(12), _MONTHS)
    axes.set_yticks(range(len(years)), years)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(title)
    note = "return, % of equity at the start of the month (UTC)" + ("   * a part of the month" if partial else "")
    axes.set_xlabel(note)


def _legend(axes: "Axes") -> None:
    """Put it on the title's line, where it covers nothing."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.1, handletextpad=0.5)


def _over_time(title: str, ts: Times, draw: Any) -> "Picture":
    def drawn(figure: "Figure") -> None:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        axes = figure.add_subplot()
        draw(axes)
        locator = AutoDateLocator()  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(formatter)
        first, last = (str(_dates(ts)[at])[:16].replace("T", " ") for at in (0, -1))
        axes.set_xlabel(f"UTC, {first} to {last}")
        axes.margins(x=0.01)
        axes.set_title(title)

    return _picture(_WIDE, drawn)


def _picture(size: tuple[float, float], draw: Any) -> "Picture":
    """Return a picture, without a screen or settings of the user's own."""
    from matplotlib import rc_context, rcParamsDefault
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from backtester.report.picture import Picture

    settings: Any = {**dict(rcParamsDefault), **_STYLE}
    with rc_context(settings):
        figure = Picture(figsize=size)
        inches = {"left": 0.85, "right": 0.2, "bottom": 0.62, "top": 0.42}
        share = {side: room / size[side in ("bottom", "top")] for side, room in inches.items()}
        figure.subplots_adjust(share["left"], share["bottom"], 1 - share["right"], 1 - share["top"])
        FigureCanvasAgg(figure)
        draw(figure)
        figure.canvas.draw()  # the layout, in these settings
    return figure


def _dates(ts: Times) -> NDArray[np.datetime64]:
    return ts.astype("datetime64[us]")
