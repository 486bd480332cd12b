"""`bt runs`: what runs there are, one of them, and away with those that nobody needs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli.argv import split_list
from backtester.cli.console import print_json, print_note

if TYPE_CHECKING:
    from backtester.engine.run_summaries import Row, Summaries

runs_app = typer.Typer(help="The runs that there are: list, show, remove.", no_args_is_help=True, rich_markup_mode=None)

RunsOption = Annotated[Path, typer.Option(help="Folder of the runs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_RUNS = Path("runs")
_SHOWN = ("total_return", "sharpe", "max_drawdown", "n_trades")
_DIGITS = 6


@runs_app.command("ls")
def list_command(
    strategy: Annotated[str, typer.Option(help="Of this strategy.")] = "",
    symbol: Annotated[str, typer.Option(help="With this symbol: BTCUSDT or spot:BTCUSDT.")] = "",
    status: Annotated[str, typer.Option(help="complete, interrupted or failed.")] = "",
    since: Annotated[str, typer.Option(help="Started since: 2024-01-31, or 7d, 12h ago.")] = "",
    where: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help="On a figure: 'sharpe>1'; may be repeated.")
    ] = None,
    sort: Annotated[str, typer.Option(help="By a figure or column, highest first [default: newest first].")] = "",
    ascending: Annotated[bool, typer.Option("--asc", help="Lowest, or oldest, first.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many.")] = 0,
    columns: Annotated[list[str] | None, typer.Option(help="Figures to show: sharpe,sortino,fees.")] = None,
    runs: RunsOption = _RUNS,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with every figure, as runs/summary.csv.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List sealed runs with their headline figures; runs/summary.csv keeps them all.

    Example: bt runs ls --strategy sma_cross --where 'n_trades>=30' --sort sharpe
    """
    from backtester.core.errors import UsageError
    from backtester.engine.choosing_runs import Choice, chosen, known_column, runs_or_error
    from backtester.engine.run_summaries import COLUMNS, csv_text, summaries, typed

    if as_csv and as_json:
        raise UsageError("--csv and --json are two forms: give one")
    found = summaries(runs_or_error(runs))
    rows = chosen(found, Choice(strategy, symbol, status, since, where or (), sort, ascending, limit))
    for folder in found.unreadable:
        print_note(f"{folder} looks like a run and cannot be read", f"bt replay {folder} says what is wrong")
    if as_json:
        print_json({"runs_dir": str(runs), "runs": [typed(row) for row in rows]})
    elif as_csv:
        sys.stdout.write(csv_text(rows, [*COLUMNS, *found.figures]))
    else:
        shown = [known_column(name, found) for name in split_list(columns or [])]
        _print(rows, shown or _default_columns(sort, found), len(found.rows), runs)


def _default_columns(sort: str, found: "Summaries") -> list[str]:
    there = found.figures
    sorted_by = [sort] if sort in there and sort not in _SHOWN else []
    return [*(name for name in _SHOWN if name in there), *sorted_by]


def _print(rows: "list[Row]", figures: list[str], there: int, runs: Path) -> None:
    from backtester.cli.figures import figure_text, short_name
    from backtester.cli.tables import print_table

    if not rows:
        print("no run is like that" if there else f"{runs} holds no runs: bt run makes one")
        return
    header = ["run", "started", "strategy", "symbols", "tf", *map(short_name, figures), "state"]
    lines = [
        [
            row["run_id"][-_DIGITS:],
            row["started"][2:16].replace("T", " "),
            row["strategy"],
            _symbols(row["symbols"]),
            row["timeframe"],
            *(figure_text(name, row.get(name, "")) for name in figures),
            row["check"] if row["status"] == "complete" else row["status"],
        ]
        for row in rows
    ]
    print_table(header, lines, right=[*map(short_name, figures)], fold=("strategy", "symbols"), gap=1)
    print(f"{len(rows)} of {there} runs" if len(rows) < there else f"{there} run{'' if there == 1 else 's'}")


def _symbols(text: str) -> str:
    """Return symbols without their markets; of many the first ones."""
    names = [name.partition(":")[2] for name in text.split()]
    return " ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")


@runs_app.command("show")
def show_command(
    run: Annotated[str, typer.Argument(help="A run: folder, beginning of its name, its six digits, or latest.")] = (
        "latest"
    ),
    runs: RunsOption = _RUNS,
    as_json: JsonOption = False,
) -> None:
    """Show what a run came to, as at its end. Example: bt runs show latest"""
    from backtester.cli.summary import print_run, run_object
    from backtester.engine.run_folder import find_run

    path = Path(run)
    folder = find_run(path if len(path.parts) > 1 or (path / "audit.jsonl").is_file() else runs / run)
    if as_json:
        print_json(run_object(folder))
    else:
        print_run(folder)


@runs_app.command("rm")
def remove_command(
    names: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Runs, as bt runs ls lists them.")] = None,
    older_than: Annotated[str, typer.Option(help="All that started longer ago: 30d, 12h.")] = "",
    status: Annotated[str, typer.Option(help="All with this status: complete, interrupted, failed or killed.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    runs: RunsOption = _RUNS,
    as_json: JsonOption = False,
) -> None:
    """Remove runs for good: named ones, or all that are old enough and have a status. Asks first.

    Example: bt runs rm --status failed --older-than 30d
    """
    from backtester.cli.tables import size_text
    from backtester.core.errors import UsageError
    from backtester.engine.choosing_runs import runs_or_error
    from backtester.engine.removing_runs import matching_runs, named_runs, remove_runs, size_of

    if bool(names) == bool(older_than or status):
        raise UsageError(
            "name runs, or say which with --older-than and --status" if not names else "name runs or give conditions",
            hint="bt runs rm latest; bt runs rm --status failed --older-than 30d",
        )
    folders = named_runs(names, runs) if names else matching_runs(runs_or_error(runs), older_than, status)
    size = sum(map(size_of, folders))
    what = f"{len(folders)} run{'' if len(folders) == 1 else 's'}, {size_text(size)}"
    if folders and not yes:
        if as_json or not sys.stdin.isatty():
            raise UsageError(f"this would remove {what}, and there is nobody to ask", hint="--yes removes them")
        print("\n".join(str(folder) for folder in folders))
        typer.confirm(f"remove {what} for good?", abort=True)
    remove_runs(folders)
    removed: dict[str, Any] = {"removed": [str(folder) for folder in folders], "bytes": size}
    if as_json:
        print_json(removed)
    else:
        print(f"removed {what}" if folders else "there is nothing to remove")
