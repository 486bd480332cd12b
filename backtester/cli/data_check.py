"""`bt data verify` and `bt data gaps`: whether the lake is what it says, and what it lacks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli.console import print_json
from backtester.cli.data_options import DEFAULT_DATA, DataOption, JsonOption, MarketOption, place_of
from backtester.cli.progress import progress
from backtester.cli.tables import count_text, time_text

if TYPE_CHECKING:
    from backtester.data.cross_check import CrossCheck
    from backtester.data.flat_stretches import FlatStretch
    from backtester.data.gap_report import GapFinding
    from backtester.data.lake import Lake
    from backtester.data.verifying import Discrepancy

_SHOWN = 5


def verify_command(
    data: DataOption = DEFAULT_DATA,
    full: Annotated[bool, typer.Option("--full", help="Read every row too, not only each file's digest.")] = False,
    cross: Annotated[bool, typer.Option("--cross", help="Compare stored timeframes with each other.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare every file with the manifest, and timeframes with each other. Example: bt data verify --full --cross"""
    from backtester.core.errors import DataError
    from backtester.data.cross_check import cross_check
    from backtester.data.lake import Lake

    lake = Lake(data)
    found = _verified(lake, full=full, show=not as_json)
    crossed = cross_check(lake, without=[one.partition.path for one in found]) if cross else []
    if as_json:
        _print_verified_json(lake, found, crossed if cross else None)
    else:
        _print_verified(lake, found, crossed, full=full, cross=cross)
    problems = [f"{one.partition.path}: {one.text}" for one in found]
    disagreeing = [one for one in crossed if one.differing]
    if as_json and (problems or disagreeing):
        raise typer.Exit(DataError.exit_code)
    if problems:
        listed = "\n  ".join(problems)
        raise DataError(
            f"{len(found)} of {len(lake.all_partitions())} partitions in {data} are not what the manifest promises:"
            f"\n  {listed}",
            hint=f"bt data repair --data {data} makes them anew from their sources; what it cannot mend, "
            "import again with --replace, or take out with bt data rm",
        )
    if disagreeing:
        candles = sum(one.differing for one in disagreeing)
        raise DataError(
            f"{count_text(candles, 'candle')} in {data} are not what shorter ones of the same series add up to",
            hint="one of the two sources is wrong: download the one that you trust with --replace, or keep only one",
        )


def gaps_command(
    symbol: Annotated[str | None, typer.Argument(help="BTCUSDT, or spot:BTCUSDT; all when left out.")] = None,
    market: MarketOption = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="Leave out gaps that are recorded outages.")] = False,
    flat: Annotated[bool, typer.Option("--flat", help="Also futures that stood still: possible outages.")] = False,
    data: DataOption = DEFAULT_DATA,
    as_json: JsonOption = False,
) -> None:
    """List gaps: where, how long, known or not, and whether others miss the same. Example: bt data gaps spot:BTCUSDT

    --flat reads the rows of all futures for stretches of at least five minutes at one price and without volume.
    """
    from backtester.core.errors import DataError
    from backtester.data.flat_stretches import find_flat
    from backtester.data.gap_report import find_gaps
    from backtester.data.lake import Lake

    where, name = place_of(symbol, market)
    lake = Lake(data)
    if symbol and not any(p.symbol == name and where in {None, p.market} for p in lake.all_partitions()):
        raise DataError(f"{symbol} is not in {data}", hint=f"bt data ls --data {data}")
    found = [one for one in find_gaps(lake, where, name) if not (unknown and one.reason is not None)]
    still = find_flat(lake, where, name) if flat else []
    if as_json:
        stretches = {"flat": [_flat_object(one) for one in still]} if flat else {}
        print_json({"data": str(data), "gaps": [_gap_object(one) for one in found], **stretches})
        return
    if not found:
        print("no unknown gaps" if unknown else "no gaps")
    for one in found:
        print(_gap_line(one))
    for stretch in still:
        print(_flat_line(stretch))
    if flat and not still:
        print("no futures stood still")
    mendable = [one for one in found if one.reason is None and one.series[3]]
    if mendable:
        missing = sum(one.missing for one in mendable)
        print(
            f"{count_text(len(mendable), 'unknown gap')}, {count_text(missing, 'candle')}: "
            "bt data repair asks other sources for them"
        )


def _verified(lake: "Lake", *, full: bool, show: bool) -> "list[Discrepancy]":
    total, done = len(lake.all_partitions()), 0
    with progress("checking", show=show) as on_progress:

        def on_checked(path: str) -> None:
            nonlocal done
            done += 1
            if on_progress is not None:
                on_progress(done, total, Path(path).name)

        return lake.verify(full=full, on_checked=on_checked)


def _print_verified_json(lake: "Lake", found: "list[Discrepancy]", crossed: "list[CrossCheck] | None") -> None:
    import msgspec

    wrong = [{"path": one.partition.path, "problem": one.text} for one in found]
    more = {} if crossed is None else {"cross": msgspec.to_builtins(crossed)}
    checked, unlisted = len(lake.all_partitions()), lake.unlisted()
    print_json({"data": str(lake.root), "checked": checked, "problems": wrong, "unlisted": unlisted, **more})


def _print_verified(
    lake: "Lake", found: "list[Discrepancy]", crossed: "list[CrossCheck]", *, full: bool, cross: bool
) -> None:
    for path in lake.unlisted():
        print(f"not in the manifest, and ignored: {path} (bt data rebuild would add it)")
    if not found:
        checked = count_text(len(lake.all_partitions()), "partition")
        print(f"{checked} in {lake.root} {'is' if checked == '1 partition' else 'are'} as the manifest says", end="")
        print(", every row read" if full else "")
    for one in crossed:
        for line in _cross_lines(one):
            print(line)
    if cross and not crossed:
        print("no series has two timeframes to compare")


def _cross_lines(one: "CrossCheck") -> "list[str]":
    market, kind, symbol, timeframe = one.series
    counts = (
        (one.incomplete, "with parts missing"),
        (one.uncovered, "without any part"),
        (one.absent, f"in {one.shorter} only"),
    )
    aside = "".join(f", {count:,} {what}" for count, what in counts if count)
    verdict = f"{one.differing:,} differ" if one.differing else "all equal"
    what = f"{market}:{symbol} {timeframe} {kind} against {one.shorter}"
    lines = [f"{what}: {one.compared:,} candles compared, {verdict}{aside}"]
    if one.columns:
        lines.append("  by column: " + ", ".join(f"{name} {count:,}" for name, count in one.columns.items()))
    for shown in one.examples[:_SHOWN]:
        at = time_text(shown.time)
        lines.append(f"  {at} {shown.column}: {shown.derived!r} from {one.shorter}, {shown.stored!r} in {timeframe}")
    return lines


def _gap_object(one: "GapFinding") -> dict[str, Any]:
    return {
        **_series_object(one.series),
        "start": one.start,
        "end": one.end,
        "missing": one.missing,
        "long": one.long,
        "known": one.reason is not None,
        "reason": one.reason,
        "others": one.others,
        "also_missing": one.also_missing,
    }


def _flat_object(one: "FlatStretch") -> dict[str, Any]:
    return {
        **_series_object(one.series),
        "start": one.start,
        "end": one.end,
        "candles": one.candles,
        "others": one.others,
        "also_flat": one.also_flat,
    }


def _series_object(series: tuple[str, str, str, str]) -> dict[str, Any]:
    return dict(zip(("market", "kind", "symbol", "timeframe"), series, strict=True))


def _gap_line(one: "GapFinding") -> str:
    shared = f"; missing in {one.also_missing} of {one.others} others too" if one.others else ""
    down = " - the exchange was probably down" if one.everywhere else ""
    long = ", LONG" if one.long else ""
    known = f"; known outage: {one.reason}" if one.reason is not None else ""
    missing = count_text(one.missing, "candle" if one.series[3] else "day")
    return (
        f"{_place(one.series)}: {time_text(one.start)} up to {time_text(one.end)}, {missing}{long}{shared}{down}{known}"
    )


def _flat_line(one: "FlatStretch") -> str:
    shared = f"; {one.also_flat} of {one.others} others too" if one.others else ""
    down = " - the exchange was probably down" if one.everywhere else ""
    candles = count_text(one.candles, "candle")
    return (
        f"{_place(one.series)}: {time_text(one.start)} up to {time_text(one.end)}, {candles} at one price without "
        f"volume: possible outage{shared}{down}"
    )


def _place(series: tuple[str, str, str, str]) -> str:
    return " ".join(filter(None, (f"{series[0]}:{series[2]}", series[3], series[1])))
