"""`bt data diff`: a lake against another lake, or against the source from which it came."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtester.cli.console import print_json
from backtester.cli.data_options import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    KindOption,
    MarketOption,
    TimeframeOption,
    place_of,
)
from backtester.cli.progress import progress
from backtester.cli.tables import count_text, time_text

if TYPE_CHECKING:
    from backtester.data.choosing import SeriesFilter
    from backtester.data.downloader.republished import SourceState
    from backtester.data.lake_diff import LakeDiff, PartitionDiff

_SHOWN = 20


def diff_command(
    places: Annotated[list[str] | None, typer.Argument(metavar="A B", help="Two lakes; or a symbol.")] = None,
    source: Annotated[bool, typer.Option("--source", help="Compare with what the source publishes now.")] = False,
    base_url: Annotated[str | None, typer.Option(help="Another source: http(s)://, file:// or a folder.")] = None,
    market: MarketOption = None,
    kind: KindOption = None,
    symbol: Annotated[str | None, typer.Option(help="BTCUSDT, or spot:BTCUSDT")] = None,
    timeframe: TimeframeOption = None,
    rows: Annotated[int, typer.Option(min=0, help="So many differing rows of each partition.")] = 5,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """Compare two lakes, or the lake with its source; 4 is the exit code when they differ.

    Example: bt data diff data other/data --symbol BTCUSDT; bt data diff --source spot:BTCUSDT
    """
    from backtester.core.errors import UsageError
    from backtester.data.choosing import SeriesFilter

    given = places or []
    if source:
        if len(given) > 1 or (given and symbol):
            raise UsageError("--source takes one symbol at most", hint="bt data diff --source spot:BTCUSDT")
        where, name = place_of(given[0] if given else symbol, market)
        _diff_source(data, SeriesFilter(where, kind, name, timeframe), base_url, as_json)
        return
    if len(given) != 2:
        raise UsageError("name two lakes, or say --source", hint="bt data diff data other/data")
    where, name = place_of(symbol, market)
    _diff_lakes(Path(given[0]), Path(given[1]), SeriesFilter(where, kind, name, timeframe), rows, as_json)


def _diff_lakes(a: Path, b: Path, chosen: "SeriesFilter", rows: int, as_json: bool) -> None:
    from backtester.core.errors import CheckFailed, DataError
    from backtester.data.lake import Lake
    from backtester.data.lake_diff import diff_lakes

    one, other = Lake(a), Lake(b)
    for lake in (one, other):
        if not lake.all_partitions():
            raise DataError(f"{lake.root} holds nothing", hint=f"bt data ls --data {lake.root}")
    found = diff_lakes(one, other, chosen, examples=rows)
    if as_json:
        import msgspec

        print_json({"a": str(a), "b": str(b), "same": found.same, **msgspec.to_builtins(found)})
        if not found.same:
            raise typer.Exit(CheckFailed.exit_code)
        return
    _print_lake_diff(found, a, b)
    if not found.same:
        raise CheckFailed(
            f"{a} and {b} differ: {count_text(len(found.partitions), 'partition')} in content, "
            f"{len(found.only_a):,} only in {a}, {len(found.only_b):,} only in {b}",
            hint="bt data show SYMBOL --partitions tells where the rows of each came from",
        )


def _print_lake_diff(found: "LakeDiff", a: Path, b: Path) -> None:
    for lake, series, paths in ((a, found.series_a, found.only_a), (b, found.series_b, found.only_b)):
        for one in series:
            print(f"only in {lake}: all of {one[0]}:{one[2]} {' '.join(filter(None, (one[3], one[1])))}")
        for path in paths[:_SHOWN]:
            print(f"only in {lake}: {path}")
        if len(paths) > _SHOWN:
            print(f"only in {lake}: {len(paths) - _SHOWN:,} more partitions (--json lists all)")
    for partition in found.partitions:
        for line in _partition_lines(partition, a, b):
            print(line)
    print(f"{count_text(found.equal, 'partition')} equal")


def _partition_lines(one: "PartitionDiff", a: Path, b: Path) -> "list[str]":
    lines = [f"{one.path}: {one.only_a:,} rows only in {a}, {one.only_b:,} only in {b}, {one.differing:,} differ"]
    for row in one.examples:
        for name, (in_a, in_b) in row.values.items():
            lines.append(f"  {time_text(row.time)} {name}: {_or_unknown(in_a)} in {a}, {_or_unknown(in_b)} in {b}")
    return lines


def _or_unknown(value: object) -> str:
    return "unknown" if value is None else str(value)


def _diff_source(data: Path, chosen: "SeriesFilter", base_url: str | None, as_json: bool) -> None:
    from backtester.cli.download import download_config, download_context
    from backtester.core.errors import CheckFailed, DataError
    from backtester.data.downloader.republished import diff_sources
    from backtester.data.lake import Lake

    cfg = download_config(data, base_url=base_url)
    partitions = [partition for partition in Lake(data).all_partitions() if chosen.takes(partition)]
    if not partitions:
        raise DataError(f"{data} holds nothing of that", hint=f"bt data ls --data {data}")
    with progress("asking", show=not as_json) as on_asked:
        found = diff_sources(partitions, cfg, download_context(), on_asked)
    changed = [one for one in found if one.status == "changed"]
    if as_json:
        import msgspec

        counts = _counts(found)
        print_json({"data": str(data), "source": cfg.base_url, **counts, "files": msgspec.to_builtins(found)})
        if changed:
            raise typer.Exit(CheckFailed.exit_code)
        return
    for one in found:
        if one.status == "changed":
            print(f"changed at the source since it was downloaded: {one.key}\n  had {one.had}\n  now {one.now}")
        elif one.status != "unchanged":
            print(f"{_WORDS[one.status]}: {one.key}: had {one.had}, now {one.now}")
    print(", ".join(f"{count:,} {_WORDS[status]}" for status, count in _counts(found).items()))
    if changed:
        shown = "\n  ".join(one.take for one in changed[:_SHOWN])
        raise CheckFailed(
            f"{len(changed)} of {count_text(len(found), 'archive')} changed at {cfg.base_url} since the download",
            hint=f"take the new versions:\n  {shown}" + ("\n  ..." if len(changed) > _SHOWN else ""),
        )


_WORDS = {"unchanged": "unchanged", "changed": "changed", "withdrawn": "withdrawn", "unknown": "cannot be told"}


def _counts(found: "list[SourceState]") -> dict[str, int]:
    return {status: sum(one.status == status for one in found) for status in _WORDS}
