"""The command line `bt`: parse, call one function, print. Nothing heavy is imported before it is needed."""

import sys
from typing import Annotated

import typer

from backtester.cli.argv import rewritten
from backtester.cli.bench import bench_app
from backtester.cli.check import check_command
from backtester.cli.compare import compare_command
from backtester.cli.console import guarded, print_error
from backtester.cli.data import data_app
from backtester.cli.data_rules import rules_app
from backtester.cli.download import available_command, download_command
from backtester.cli.explain import explain_command
from backtester.cli.new import new_app
from backtester.cli.replay import replay_command
from backtester.cli.report import report_command
from backtester.cli.run import run_command
from backtester.cli.runs import runs_app
from backtester.cli.strategies import strategies_command
from backtester.cli.sweep import sweep_command

app = typer.Typer(
    name="bt",
    help="An honest, event-driven backtesting engine for crypto markets: a run is its log.\n\n"
    "First result: bt data sample, then bt run --strategy sma_extended --symbols BTCUSDT ETHUSDT",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run_command)
app.command("check")(check_command)
app.command("sweep")(sweep_command)
app.command("replay")(replay_command)
app.command("explain")(explain_command)
app.command("compare")(compare_command)
app.command("report")(report_command)
app.command("download")(download_command)
data_app.command("available")(available_command)
data_app.add_typer(rules_app, name="rules")
app.add_typer(data_app, name="data")
app.command("strategies")(strategies_command)
app.add_typer(new_app, name="new")
app.add_typer(runs_app, name="runs")
app.add_typer(bench_app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"backtester {version('backtester')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Carry the options that stand before a command."""


def main() -> None:
    """Run `bt` with the arguments of the process."""
    sys.exit(guarded(lambda: _call(rewritten(sys.argv[1:]))))


def _call(arguments: list[str]) -> None:
    """Run Typer without letting it end the process, so that exit codes are ours."""
    try:
        code = app(arguments, prog_name="bt", standalone_mode=False)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # Typer brings a copy of Click whose error classes have no public name; they are told by this method.
        if not hasattr(error, "format_message"):
            raise
        print_error(error.format_message(), _usage_hint(error))
        sys.exit(2)
    if isinstance(code, int) and code:
        sys.exit(code)


def _usage_hint(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path} --help" if context is not None else "bt --help"
