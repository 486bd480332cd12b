"""`bt report`: the page and the pictures of a sealed run; `bt run` writes them, too."""

from pathlib import Path
from typing import Annotated

import typer

from backtester.cli.console import console, print_json, print_note


def report_command(
    run: Annotated[str, typer.Argument(help="Folder of a run: runs/...")],
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write no report.html, report.txt and plots/*.png: of use with --csv.")
    ] = False,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Write no plots/*.png.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write trades.csv and equity.csv.")] = False,
    data: Annotated[Path | None, typer.Option(help="Where the lake is now, if it moved.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Write report.html, report.txt and plots/*.png of a sealed run, in place of those that are there.

    Example: bt report runs/20240401T120000Z-sma_extended-BTCUSDT-0a1b2c
    """
    from backtester.core.errors import UsageError
    from backtester.engine.reporting.writing import write_reports
    from backtester.engine.run_folder import find_run
    from backtester.engine.run_texts import write_csv, write_text

    if no_report and not csv:
        raise UsageError(
            "--no-report leaves nothing to write", hint="bt report RUN --no-report --csv writes the tables"
        )
    folder = find_run(run)
    written = [] if no_report else write_reports(folder, plots=not no_plots, data=data)
    written += [] if no_report else [write_text(folder)]
    written += write_csv(folder) if csv else []
    if as_json:
        print_json({"run": str(folder), "written": [str(path) for path in written]})
        return
    out = console()
    for path in written:
        out.print(str(path), markup=False)


def reported(folder: Path, *, html: bool, plots: bool, text: bool = False, csv: bool = False) -> Path | None:
    """Write what people look at of a run that has just been sealed; return where the page is, None without one.

    Whatever goes wrong here, the run is a result: it becomes a note that says what to do.
    """
    from backtester.core.errors import BacktesterError
    from backtester.engine.reporting.writing import REPORT, write_reports
    from backtester.engine.run_texts import write_csv, write_text

    again = f"the run itself is sealed and whole; bt report {folder} writes them"
    try:
        if text:
            write_text(folder)
        if csv:
            write_csv(folder)
        if html or plots:
            write_reports(folder, html=html, plots=plots)
    except KeyboardInterrupt:
        print_note("interrupted while report and plots were written", again)
    except BacktesterError as error:
        print_note(f"report and plots could not be written: {error.message}", again)
    except Exception as error:  # a derived file never costs a run
        print_note(f"report and plots could not be written: {type(error).__name__}: {error}", again)
    path = folder / REPORT
    return path if html and path.is_file() else None
