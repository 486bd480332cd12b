"""`bt data ls` and `bt data show`: what there is, and what it looks like."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from backtester.cli.console import print_json
from backtester.cli.data_options import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    KindOption,
    MarketOption,
    SymbolArgument,
    TimeframeOption,
    partitions_of,
    place_of,
)
from backtester.cli.tables import count_text, minute_text, print_table, size_text, text_width

if TYPE_CHECKING:
    from backtester.data.series_summary import SeriesSummary

_NUMBERS: Final = ("rows", "size", "gaps", "outages")


def list_command(
    market: MarketOption = None,
    kind: KindOption = None,
    symbol: Annotated[str | None, typer.Option(help="BTCUSDT, or spot:BTCUSDT")] = None,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """List the series of the lake. Gaps are unknown ones; outages are missing too, and no source has them.

    Example: bt data ls --market um
    """
    from backtester.data.choosing import SeriesFilter
    from backtester.data.lake import Lake
    from backtester.data.series_summary import summaries

    lake = Lake(data)
    where, name = place_of(symbol, market)
    partitions = lake.all_partitions()
    found = summaries(lake, filter(SeriesFilter(where, kind, name).takes, partitions))
    if as_json:
        print_json({"data": str(data), "series": [summary_object(one) for one in found]})
    elif not partitions:
        print(f"{data} holds nothing yet: bt data sample --data {data} (synthetic), or bt data import FILES")
    elif not found:
        print(f"{data} holds nothing of that: bt data ls --data {data} lists all")
    else:
        header = ("market", "kind", "symbol", "tf", "from", "to", "rows", "size", "gaps", "outages", "origin")
        print_table(header, [_line(one) for one in found], right=_NUMBERS, fold=("symbol", "origin"), gap=1)
        gaps, outages = sum(len(one.gaps) for one in found), sum(len(one.outages) for one in found)
        print(
            f"{count_text(len(found), 'series', 'series')}, {count_text(sum(one.rows for one in found), 'row')}, "
            f"{size_text(sum(one.bytes for one in found))}, {count_text(gaps, 'unknown gap')}, "
            f"{count_text(outages, 'known outage')}"
        )


def show_command(
    symbol: SymbolArgument,
    market: MarketOption = None,
    kind: KindOption = None,
    timeframe: TimeframeOption = None,
    head: Annotated[int, typer.Option(min=0, help="So many first rows.")] = 3,
    tail: Annotated[int, typer.Option(min=0, help="So many last rows.")] = 3,
    stats: Annotated[bool, typer.Option("--stats", help="Figures of every column, which reads all of it.")] = False,
    partitions: Annotated[bool, typer.Option("--partitions", help="List each file: digests, sources, gaps.")] = False,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Show what a symbol's series look like: range, gaps, a picture, rows. Example: bt data show spot:BTCUSDT --stats

    With --json everything, whatever is asked for.
    """
    from backtester.cli.data_page import partition_lines, print_page, series_object
    from backtester.data.lake import Lake
    from backtester.data.series_description import describe_series
    from backtester.data.series_summary import summaries

    lake = Lake(data)
    chosen = partitions_of(lake, symbol, market, kind, timeframe)
    objects = []
    for number, one in enumerate(summaries(lake, chosen)):
        own = [partition for partition in chosen if partition.series == one.series]
        if partitions and not as_json:
            print("\n".join(line for partition in own for line in partition_lines(partition)))
            continue
        width = max(text_width() - 4, 1)
        seen = describe_series(lake, own, width=width, head=head, tail=tail, stats=stats or as_json)
        if as_json:
            objects.append({**summary_object(one), **series_object(seen, one.series[1], own)})
            continue
        print("\n" if number else "", end="")
        print_page(one, seen)
    if as_json:
        print_json({"data": str(data), "series": objects})


def summary_object(one: "SeriesSummary") -> dict[str, Any]:
    """Return what is known of a series from the manifest, for JSON; times are UTC µs."""
    return {
        **dict(zip(("market", "kind", "symbol", "timeframe"), one.series, strict=True)),
        "first": one.first,
        "last": one.last,
        "rows": one.rows,
        "bytes": one.bytes,
        "files": one.partitions,
        "gaps": len(one.gaps),
        "missing": one.missing,
        "outages": len(one.outages),
        "down": one.down,
        "repairs": one.repairs,
        "synthetic": one.synthetic,
        "origin": one.origin,
    }


def _line(one: "SeriesSummary") -> tuple[str, ...]:
    return (
        *(name or "-" for name in one.series),
        minute_text(one.first),
        minute_text(one.last),
        f"{one.rows:,}",
        size_text(one.bytes),
        f"{len(one.gaps):,}" if one.gaps else "-",
        f"{len(one.outages):,}" if one.outages else "-",
        one.origin,
    )
