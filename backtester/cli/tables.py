"""Tables, times and sizes as text: for terminals in their width, elsewhere in 120 columns."""

import math
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from backtester.data.partition import Partition

PLAIN_WIDTH: Final = 120
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def print_table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[str] = (),
    fold: Collection[str] = (),
    indent: int = 0,
    gap: int = 2,
) -> None:
    """Print a table on standard output.

    right: columns of numbers. fold: columns that may be broken over lines when the table is too wide. indent, gap:
    spaces before the table, and between its columns.
    """
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold" if terminal else "")
    for name in header:
        justify = "right" if name in right else "left"
        table.add_column(name, justify=justify, no_wrap=name not in fold, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    # A column that may not be broken would lose characters in a narrow terminal: that terminal breaks the lines itself.
    width = text_width() if set(header) <= set(fold) else max(text_width(), PLAIN_WIDTH)
    out = Console(width=width - indent, highlight=False, markup=False)
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        print(f"{' ' * indent}{line.rstrip()}")


def text_width() -> int:
    """Return how many columns a line may have."""
    if not sys.stdout.isatty():
        return PLAIN_WIDTH
    from shutil import get_terminal_size

    return get_terminal_size().columns


def sparkline(values: Sequence[float | None]) -> str:
    """Return one block per value, as high as the value stands between the lowest and the highest; a space for None.

    Values that are all equal stand in the middle.
    """
    known = [value for value in values if value is not None]
    if not known:
        return " " * len(values)
    low, high = min(known), max(known)
    steps = len(_BLOCKS) - 1

    def block(value: float) -> str:
        share = (value - low) / (high - low) if high > low else 0.5
        return _BLOCKS[math.floor(share * steps + 0.5)]

    return "".join(" " if value is None else block(value) for value in values)


def time_text(time: int) -> str:
    """Return a time in UTC as ISO 8601, a date at midnight."""
    from backtester.core.time import format_time

    return format_time(time)


def minute_text(time: int) -> str:
    """Return a time in UTC to the minute, for tables: 2024-01-31 23:59."""
    from backtester.core.time import utc

    return utc(time).strftime("%Y-%m-%d %H:%M")


def size_text(size: int) -> str:
    """Return a number of bytes in MB or kB."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def span_text(partitions: "Sequence[Partition]") -> str:
    """Return the first and the last time of partitions, at least one."""
    first, last = min(p.first_time for p in partitions), max(p.last_time for p in partitions)
    return f"{time_text(first)} .. {time_text(last)}"


def count_text(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 gap, 2,000 gaps."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
