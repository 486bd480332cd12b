"""`bt data repair`: fill gaps, mend damaged partitions, record what nobody has."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtester.cli.console import print_error, print_json
from backtester.cli.data_options import (
    DEFAULT_DATA,
    DataOption,
    JsonOption,
    KindOption,
    MarketOption,
    TimeframeOption,
    place_of,
)
from backtester.cli.download import BaseUrl, RestUrl, download_config, download_context

if TYPE_CHECKING:
    from backtester.data.downloader.repairing import RepairReport


def repair_command(
    symbol: Annotated[str | None, typer.Argument(help="BTCUSDT, or spot:BTCUSDT; all when left out.")] = None,
    market: MarketOption = None,
    kind: KindOption = None,
    timeframe: TimeframeOption = None,
    base_url: BaseUrl = None,
    rest_url: RestUrl = None,
    data: DataOption = DEFAULT_DATA,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be mended; ask nobody.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Ask again for recorded outages.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fill gaps from archives and REST, mend damaged files, record what nobody has. Exit code 3: something is left.

    Example: bt data repair spot:BTCUSDT --timeframe 1m
    """
    from backtester.core.errors import DataError, Interrupted
    from backtester.data.downloader.repairing import Choice, repair

    where, name = place_of(symbol, market)
    choice = Choice(where, kind, name, timeframe, again)
    cfg = download_config(data, base_url=base_url, rest_url=rest_url, log_dir=data / ".archives")
    try:
        with _progress(show=not as_json) as on_series:
            report = repair(choice, cfg, download_context(), dry_run=dry_run, on_series=on_series)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; what was mended is kept, and every partition is whole", hint="the same command goes on"
        ) from None
    _print(report, data, as_json)
    if report.left and not dry_run:
        what = f"{report.left} of {len(report.gaps) + len(report.partitions)} defects are left in {data}"
        print_error(what, "the reasons are above; run it again when the sources can be asked")
        raise typer.Exit(DataError.exit_code)


def _print(report: "RepairReport", data: Path, as_json: bool) -> None:
    import msgspec

    from backtester.core.time import format_time

    if as_json:
        print_json({"data": str(data), "left": report.left, **msgspec.to_builtins(report)})
        return
    for damaged in report.partitions:
        print(f"{damaged.path}: {damaged.problem}: {damaged.outcome} {damaged.reason}".rstrip())
    for one in report.gaps:
        place = f"{one.market}:{one.symbol} {one.timeframe} {one.kind}"
        span = f"{format_time(one.start)} up to {format_time(one.end)}"
        print(f"{place}: {span}, {one.missing:,} candles: {_WORDS[one.outcome]} {one.reason}")
    if not report.partitions and not report.gaps:
        print("nothing to mend: no damaged file and no unknown gap")


_WORDS = {
    "mended": "filled from",
    "outage": "recorded as an outage:",
    "left": "left:",
    "planned": "unknown gap,",
}


@contextmanager
def _progress(*, show: bool) -> "Iterator[Callable[[str], None] | None]":
    """Show what is being mended, on a terminal's standard error."""
    if not show or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("looking") as status:
        yield status.update
