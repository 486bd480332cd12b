"""`bt download` and `bt data available`: the public archive, into the lake."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtester.cli.argv import split_list
from backtester.cli.console import print_error, print_json, print_note

if TYPE_CHECKING:
    from backtester.config.configs import DownloaderConfig, RunContext
    from backtester.data.downloader.downloading import DownloadReport
    from backtester.data.downloader.fetching import Progress
    from backtester.data.downloader.sources.downloads import Plan

_DEFAULT = Path("data")
LICENCE = (
    "the archive's data is published by Binance under CC BY-NC-SA 4.0 and its Binance Vision Dataset Terms: "
    "name the source, no commercial use, share alike"
)
_LICENCE_SHOWN = "licence-shown"

Market = Annotated[str, typer.Option(help="spot, um (or futures), cm, option.")]
BaseUrl = Annotated[str | None, typer.Option(help="Another archive: http(s)://, file:// or a folder.")]
RestUrl = Annotated[str | None, typer.Option(help="Another REST interface: http(s)://.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]


def download_command(
    market: Annotated[str, typer.Option(help="spot, um (or futures), cm, option; kraken.spot for ccxt.")] = "spot",
    kind: Annotated[str | None, typer.Option(help="klines, aggTrades, trades, fundingRate, metrics, ...")] = None,
    symbols: Annotated[list[str] | None, typer.Option(help="BTCUSDT ETHUSDT")] = None,
    timeframe: Annotated[str | None, typer.Option(help="1m, 1h, ...; for candles only.")] = None,
    start: Annotated[str | None, typer.Option(help="From this time on; archives come in whole days.")] = None,
    end: Annotated[str | None, typer.Option(help="Before this time; now when left out.")] = None,
    source: Annotated[str, typer.Option(help="auto, archive, rest, ccxt, files, or an installed one.")] = "auto",
    data: Annotated[Path, typer.Option("--data", help="The lake's folder.")] = _DEFAULT,
    base_url: BaseUrl = None,
    rest_url: RestUrl = None,
    rest_weight: Annotated[int | None, typer.Option(help="Request weight a minute that REST may use.")] = None,
    connections: Annotated[int | None, typer.Option(help="Files fetched at a time.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be asked for, and fetch nothing.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Begin where the lake ends.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a file when one of its rows is bad.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Let new rows win over different ones.")] = False,
    recheck: Annotated[bool, typer.Option("--recheck", help="Ask whether stored files were published anew.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch history into the lake: from the public archive, and what is newer from the exchange's REST interface.

    Example: bt download --market spot --symbols BTCUSDT ETHUSDT --timeframe 1m --start 2024-01-01 --end 2024-03-01
    """
    from backtester.core.errors import Interrupted
    from backtester.core.time import parse_time
    from backtester.data.downloader.sources.downloads import Manner, prepare_download

    addresses = {"base_url": base_url, "rest_url": rest_url, "rest_weight": rest_weight}
    cfg = download_config(data, **addresses, connections=connections, log_dir=data / ".archives", recheck=recheck)
    prepared = prepare_download(
        source,
        (market, kind, tuple(split_list(symbols or [])), timeframe),
        None if start is None else parse_time(start),
        None if end is None else parse_time(end),
        Manner(cfg, download_context(), strict=strict, replace=replace, updating=update),
    )
    if dry_run:
        _print_plan(prepared.plan(), as_json)
        return
    if prepared.uses_archive:
        _show_licence(data)
    try:
        with _progress(show=not as_json) as on_progress:
            report = prepared.run(on_progress)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; what was fetched is kept, and every partition is whole",
            hint="the same command goes on from there",
        ) from None
    _finish(report, data, as_json)


def available_command(
    market: Market = "spot",
    kind: Annotated[str, typer.Option(help="klines, aggTrades, fundingRate, ...")] = "klines",
    symbol: Annotated[str | None, typer.Option(help="Its files; without, all symbols.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    listing_url: Annotated[str | None, typer.Option(help="Another listing: http(s)://, file:// or a folder.")] = None,
    as_json: Json = False,
) -> None:
    """List what the archive holds. Example: bt data available --market um --kind fundingRate --symbol BTCUSDT"""
    import msgspec

    from backtester.core.errors import DataError, UsageError
    from backtester.core.time import format_time
    from backtester.data.downloader.listing import available_files, available_symbols
    from backtester.data.downloader.planning import PUBLISHED
    from backtester.data.partition import market_name

    where = market_name(market)
    if kind not in PUBLISHED.get(where, ()):
        kinds = "; ".join(f"{name}: {' '.join(own)}" for name, own in PUBLISHED.items())
        raise UsageError(f"the archive has no {kind} of {market}", hint=kinds)
    cfg = download_config(_DEFAULT, listing_url=listing_url)
    if symbol is None:
        names = available_symbols(where, kind, cfg, download_context())
        if as_json:
            print_json({"market": where, "kind": kind, "symbols": names})
        else:
            print("\n".join(names) if names else f"no {kind} of {where}")
        return
    found = available_files(where, kind, symbol.upper(), timeframe, cfg, download_context())
    if as_json:
        print_json({"market": where, "kind": kind, "files": msgspec.to_builtins(found)})
    elif not found:
        raise DataError(
            f"{cfg.listing_url} has no {kind} of {where}:{symbol}",
            hint=f"bt data available --market {where} --kind {kind} lists the symbols",
        )
    else:
        for one in found:
            lacking = f", {one.missing} days missing" if one.missing else ""
            print(
                f"{one.symbol} {one.timeframe or kind} {one.frequency}: {one.files:,} files, {_megabytes(one.bytes)}, "
                f"{format_time(one.first)} up to {format_time(one.end)}{lacking}"
            )


def download_config(data: Path, **given: object) -> "DownloaderConfig":
    """Return the config of a download; options that were not given keep their defaults.

    Raises:
        UsageError: an option has a value that it cannot have.
    """
    from pydantic import ValidationError

    from backtester.config.configs import DownloaderConfig
    from backtester.core.errors import UsageError

    try:
        return DownloaderConfig.model_validate({"base_dir": data, **{k: v for k, v in given.items() if v is not None}})
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option} {first['input']}: {first['msg']}", hint="bt download --help") from None


def download_context() -> "RunContext":
    """Return who a download is: the network may be used, and its waits are always the same."""
    from backtester.config.configs import RunContext

    return RunContext(run_id="download", seed=0, git_sha="", allow_net=True)


def _show_licence(data: Path) -> None:
    """Print the licence of the data, once per lake."""
    from backtester.data.durable import make_folder, storing

    note = data / ".archives" / _LICENCE_SHOWN
    with storing(note):
        if note.exists():
            return
        make_folder(note.parent)
        note.write_text(LICENCE + "\n", encoding="utf-8")
    print_note(LICENCE)


def _print_plan(plan: "Plan", as_json: bool) -> None:
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(plan))
        return
    for file in plan.files:
        size = "" if file.size is None else f"  {_megabytes(file.size)}"
        there = "  (stored)" if file.stored else "  (not published)" if file.published is False else ""
        print(f"{file.key}{size}{there}")
    for asked in plan.pages:
        from backtester.core.time import format_time

        span = f"{format_time(asked.start)} up to {format_time(asked.end)}"
        print(f"{asked.address.partition('?')[0]}: {span}, {asked.pages:,} full pages")
    known = [file.size for file in plan.files if file.size is not None]
    stored = sum(file.stored for file in plan.files)
    print(
        f"{len(plan.files):,} files, {stored:,} of them stored; {len(known):,} of known size: "
        f"{_megabytes(sum(known))}; {sum(asked.pages for asked in plan.pages):,} full pages of REST"
    )
    for note in plan.notes:
        print_note(note)


def _finish(report: "DownloadReport", data: Path, as_json: bool) -> None:
    """Print what a download did, and end with an error when something is not in the lake."""
    from backtester.core.errors import DataError

    if as_json:
        import msgspec

        print_json({"data": str(data), **msgspec.to_builtins(report)})
    else:
        _print_report(report, data)
    if report.refused:
        reasons = list(dict.fromkeys(reason for _, reason in report.refused))
        listed = "\n  ".join(reasons[:5]) + (f"\n  and {len(reasons) - 5} more" if len(reasons) > 5 else "")
        print_error(f"{len(report.refused)} of {report.files} files are not in the lake:\n  {listed}", report.hint)
        raise typer.Exit(DataError.exit_code)


def _print_report(report: "DownloadReport", data: Path) -> None:
    written, parsed = report.written, report.parsed
    pages = f", {report.pages:,} pages of other sources" if report.pages else ""
    print(
        f"{report.fetched:,} files fetched ({_megabytes(report.bytes)}), {report.kept:,} were stored, "
        f"{len(report.absent):,} are not published{pages}"
    )
    print(
        f"{written.rows_added:,} of {parsed.rows:,} rows are new, {len(written.partitions):,} partitions written to "
        f"{data}, {written.unchanged:,} unchanged"
    )
    for name, count in parsed.repaired.items():
        print(f"  recorded: {name.replace('_', ' ')} {count:,}")
    for name, count in parsed.refused.items():
        print(f"  refused: {name.replace('_', ' ')} {count:,}")
    for path in written.quarantined:
        print(f"  refused rows are in {path}")
    for note in report.notes:
        print_note(note)


@contextmanager
def _progress(*, show: bool) -> "Iterator[Callable[[Progress], None] | None]":
    """Show files, bytes, rate and time left on a terminal's standard error."""
    if not show or not sys.stderr.isatty():
        yield None
        return
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began = time.monotonic()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("planning", total=None)

        def on_progress(now: "Progress") -> None:
            rate = now.received / max(time.monotonic() - began, 0.1)
            text = f"{now.name}  {_megabytes(now.received)}, {_megabytes(int(rate))}/s"
            bar.update(task, completed=now.settled, total=now.files, description=text)

        yield on_progress


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
