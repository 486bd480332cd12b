"""The page of `bt data show`: one series as text, and as an object for JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from backtester.cli.tables import count_text, print_table, size_text, sparkline, text_width, time_text

if TYPE_CHECKING:
    from backtester.data.partition import Partition
    from backtester.data.series_description import Description
    from backtester.data.series_summary import SeriesSummary

_TIMES: Final = frozenset({"open_time", "time", "expiry", "event_time"})
_INDENT: Final = 4


def print_page(one: "SeriesSummary", seen: "Description") -> None:
    """Print a series for people."""
    market, kind, symbol, timeframe = one.series
    print(" ".join(filter(None, (f"{market}:{symbol}", timeframe, kind))))
    print(
        f"  {time_text(one.first)} .. {time_text(one.last)}, {count_text(one.rows, 'row')} "
        f"in {count_text(one.partitions, 'file')}, {size_text(one.bytes)}"
    )
    for line in _facts(one):
        print(f"  {line}")
    if seen.low is not None and seen.high is not None:
        print(f"  {seen.column}: {_number(seen.low)} .. {_number(seen.high)}")
        print(" " * _INDENT + sparkline(seen.picture))
    if seen.volume is not None:
        print(f"  volume in sum: {seen.volume:,.2f}" if seen.volume >= 1000 else f"  volume in sum: {seen.volume:.8g}")
    if seen.jump is not None:
        jump = seen.jump
        change = f"{jump.change * 100:+.3g} %" if jump.relative else f"{jump.change:+.8g}"
        print(f"  largest jump: {change} at {time_text(jump.time)}, {_number(jump.before)} to {_number(jump.after)}")
    for title, rows in (("first rows", seen.head), ("last rows", seen.tail)):
        if rows:
            print(f"  {title}")
            _print_rows(rows, kind)
    if seen.stats is not None:
        print("  figures")
        header = ("column", "known", "unknown", "zeros", "min", "max", "mean")
        lines = [
            (
                figure.name,
                *(f"{count:,}" for count in (figure.known, figure.unknown, figure.zeros)),
                *(_cell(figure.name, value) for value in (figure.minimum, figure.maximum, figure.mean)),
            )
            for figure in seen.stats
        ]
        print_table(header, lines, right=header[1:], indent=_INDENT)


def partition_lines(partition: "Partition") -> Iterator[str]:
    """Yield the lines that list one file of the lake."""
    none = "none" if partition.volume_decimals is None else str(partition.volume_decimals)
    yield partition.path
    yield f"  {partition.rows:,} rows, {time_text(partition.first_time)} .. {time_text(partition.last_time)}"
    yield f"  {size_text(partition.size)}, sha256 {partition.sha256}"
    yield f"  content {partition.content}, schema {partition.schema_version}"
    yield f"  price decimals {partition.price_decimals}, volume decimals {none}"
    for source in partition.sources:
        checked = ", equals the published checksum" if source.published_sha256 else ""
        yield f"  from {source.address}{f' (sha256 {source.sha256[:16]}…{checked})' if source.sha256 else ''}"
    for name, count in partition.repairs.items():
        yield f"  recorded: {name.replace('_', ' ')} {count}"
    for start, end in partition.gaps:
        yield f"  gap: {time_text(start)} up to {time_text(end)}"


def series_object(seen: "Description", kind: str, partitions: "Sequence[Partition]") -> dict[str, Any]:
    """Return what was seen of a series, with its partitions, for JSON."""
    import msgspec

    from backtester.data.series_description import values_of

    return {
        "column": seen.column,
        "low": seen.low,
        "high": seen.high,
        "picture": seen.picture,
        "volume": seen.volume,
        "jump": msgspec.to_builtins(seen.jump),
        "head": values_of(seen.head, kind) if seen.head else [],
        "tail": values_of(seen.tail, kind) if seen.tail else [],
        "stats": msgspec.to_builtins(seen.stats),
        "partitions": msgspec.to_builtins(list(partitions)),
    }


def _facts(one: "SeriesSummary") -> Iterator[str]:
    unit = "candle" if one.series[3] else "day"
    if one.gaps:
        where = f"bt data gaps {one.series[0]}:{one.series[2]}"
        yield f"{count_text(len(one.gaps), 'unknown gap')}, {count_text(one.missing, unit)} missing: {where}"
    if one.outages:
        yield f"{count_text(len(one.outages), 'known outage')}, {count_text(one.down, unit)}"
    if not one.gaps and not one.outages:
        yield "no gaps" if one.series[3] else "no gaps are known"
    yield f"origin: {one.origin}, {count_text(one.sources, 'source')}"
    if one.repairs:
        yield "recorded: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in one.repairs.items())


def _print_rows(rows: dict[str, Any], kind: str) -> None:
    """Print rows as a table; one that is too wide as several, one below the other."""
    from backtester.data.series_description import values_of

    texts = [{name: _cell(name, value) for name, value in row.items()} for row in values_of(rows, kind)]
    for names in _fitting(texts):
        right = [name for name in names if name not in _TIMES]
        print_table(names, [[row[name] for name in names] for row in texts], right=right, fold=names, indent=_INDENT)


def _fitting(texts: list[dict[str, str]]) -> Iterator[list[str]]:
    """Yield the columns in order, so many at a time as fit side by side."""
    room = text_width() - _INDENT
    taken: list[str] = []
    used = 0
    for name in texts[0]:
        width = max(len(name), *(len(row[name]) for row in texts)) + 2
        if taken and used + width > room:
            yield taken
            taken, used = [], 0
        taken.append(name)
        used += width
    yield taken


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in _TIMES:
        return time_text(int(value))
    return str(value).lower() if isinstance(value, bool) else _number(value)


def _number(value: float) -> str:
    """Return a number in full where that is short, else with ten digits."""
    text = repr(value).removesuffix(".0")
    return text if len(text) <= 14 else f"{value:.10g}"
