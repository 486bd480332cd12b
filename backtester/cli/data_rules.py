"""`bt data rules`: the exchange's own rules by date, into the lake and out of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli.argv import split_list
from backtester.cli.console import print_json
from backtester.cli.data_options import DataOption, JsonOption

if TYPE_CHECKING:
    from backtester.data.rules.importing import Imported

rules_app = typer.Typer(
    help="Exchange rules by date: exchangeInfo, leverage brackets, fee rates, funding intervals.", no_args_is_help=True
)

_DEFAULT = Path("data")

Symbols = Annotated[list[str] | None, typer.Option(help="Only these: BTCUSDT ETHUSDT; all when left out.")]
Replace = Annotated[bool, typer.Option("--replace", help="Let this win over another answer of the same date.")]


@rules_app.command("import")
def import_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Answers of the venue: .json or .json.gz.")],
    market: Annotated[str, typer.Option(help="spot, um, cm or option; the content tells it.")] = "",
    date: Annotated[str, typer.Option(help="When answers were true that have no serverTime of their own.")] = "",
    symbols: Symbols = None,
    replace: Replace = False,
    data: DataOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Import saved answers: exchangeInfo, leverageBracket, fundingInfo, tradeFee (spot), commissionRate (um, cm).

    Example: bt data rules import exchangeInfo.json leverageBracket.json --date 2024-09-08
    """
    from backtester.core.time import parse_time
    from backtester.data.rules.importing import file_sources, import_rules

    when = parse_time(date) if date else None
    names = split_list(symbols or [])
    found = import_rules(file_sources(files), data, market=_market(market), date=when, symbols=names, replace=replace)
    _print_imported(found, data, as_json)


@rules_app.command("fetch")
def fetch_command(
    market: Annotated[str, typer.Option(help="spot, um, cm or option.")],
    symbols: Symbols = None,
    rest_url: Annotated[str, typer.Option(help="Another address: http(s)://, file:// or a folder.")] = "",
    replace: Replace = False,
    data: DataOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Fetch exchangeInfo, and of futures fundingInfo, dated by the server's time.

    Leverage brackets and fee rates need a signed request: save the answer yourself and import it.

    Example: bt data rules fetch --market spot --symbols BTCUSDT ETHUSDT
    """
    from backtester.config.configs import RunContext
    from backtester.data.rules.fetching import fetch_rules

    context = RunContext(run_id="rules", seed=0, git_sha="", allow_net=True)
    names = split_list(symbols or [])
    found = fetch_rules(_market(market), data, context, base=rest_url, symbols=names, replace=replace)
    _print_imported(found, data, as_json)


@rules_app.command("ls")
def list_command(data: DataOption = _DEFAULT, as_json: JsonOption = False) -> None:
    """List what is known, by market and kind. Example: bt data rules ls"""
    from backtester.core.time import day_of
    from backtester.data.rules.lake_rules import LakeRules
    from backtester.data.rules.views import summaries

    rows = summaries(LakeRules(data))
    if as_json:
        print_json({"data": str(data), "rules": [row._asdict() for row in rows]})
        return
    if not rows:
        print(f"{data} has no rules: bt data rules fetch --market spot, or bt data rules import FILES")
    for row in rows:
        versions = f"{row.versions:,} version{'' if row.versions == 1 else 's'}"
        print(
            f"{row.market} {row.kind}: {row.symbols:,} symbols, {versions}, {day_of(row.first)} .. {day_of(row.last)}"
        )


@rules_app.command("show")
def show_command(
    instrument: Annotated[str, typer.Argument(help="spot:BTCUSDT; a bare symbol is of the spot market.")],
    at: Annotated[str, typer.Option(help="Only what holds at this time.")] = "",
    data: DataOption = _DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Show every version of an instrument's rules, and what changed. Example: bt data rules show spot:BTCUSDT"""
    from backtester.core.instruments import parse_instrument
    from backtester.core.time import format_time, parse_time
    from backtester.data.rules.lake_rules import LakeRules
    from backtester.data.rules.views import in_words, version_views

    name = parse_instrument(instrument, "spot")
    views = version_views(LakeRules(data), name, parse_time(at) if at else None)
    if as_json:
        versions: list[dict[str, Any]] = [view._asdict() | {"source": view.source._asdict()} for view in views]
        print_json({"data": str(data), "instrument": name, "versions": versions})
        return
    for view in views:
        print(f"{name} {view.kind} of {format_time(view.date)}, last seen {format_time(view.last_seen)}")
        print(f"  from {view.source.file} (sha256 {view.source.sha256})")
        if view.changed and not at:
            for field, (before, after) in view.changed.items():
                print(f"  {field}: {before} -> {after}")
        elif view.kind == "brackets":
            for number, step in enumerate(view.value["steps"], start=1):
                print(
                    f"  bracket {number}: from {step['floor']} up to {step['cap']}, leverage at most "
                    f"{step['max_leverage']}, maintenance {step['maintenance_rate']}, deduction {step['deduction']}"
                )
        else:
            for field, text in in_words(view).items():
                print(f"  {field}: {text}")


def _market(text: str) -> str:
    from backtester.data.partition import market_name

    return market_name(text) if text else ""


def _print_imported(found: "list[Imported]", data: Path, as_json: bool) -> None:
    from backtester.core.time import format_time

    if as_json:
        print_json({"data": str(data), "imported": [one._asdict() for one in found]})
        return
    for one in found:
        print(
            f"{one.file}: {one.market} {one.kind} of {format_time(one.date)}: {one.symbols:,} symbols, "
            f"{one.new:,} new versions"
        )
