"""`bt check`: the proof that a strategy does not look ahead."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli import run_options as option
from backtester.cli.console import console, print_json, prints_aside
from backtester.cli.progress import RunProgress

if TYPE_CHECKING:
    from backtester.engine.check.checking import Checked
    from backtester.engine.check.subject import CheckOptions
    from backtester.engine.prepare import PreparedRun


def check_command(
    subject: Annotated[
        str, typer.Argument(metavar="STRATEGY|RUN", help="A strategy as for bt run, or the folder of a run.")
    ] = "",
    strategy: option.Strategy = "",
    symbols: option.Symbols = None,
    market: option.Market = "",
    timeframe: option.Timeframe = "",
    start: option.Start = "",
    end: option.End = "",
    config: option.Config = None,
    risk: option.Risk = None,
    params: option.Params = None,
    param: option.Param = None,
    set_: option.Set = None,
    wallet: option.Wallet = None,
    data: option.Data = "",
    seed: option.Seed = None,
    feeds: option.Feeds = None,
    gap_policy: option.GapPolicy = "",
    cuts: Annotated[int, typer.Option(min=1, help="At how many instants the data are cut.")] = 5,
    processes: Annotated[int, typer.Option(min=1, help="In how many processes, each with a hash seed, it runs.")] = 2,
    check_seed: Annotated[int, typer.Option(min=0, help="Seed of the cuts and of what replaces the data.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Prove that a strategy does not look ahead, or show where it does (exit code 4).

    Runs it again and again with the data after an instant taken away and replaced, in other processes and with more
    warm-up, and watches what it touches. Options as for bt run; a run's folder has its own and gets the certificate.

    Example: bt check sma_cross --symbols BTCUSDT --start 2024-03-01
    """
    from backtester.core.errors import UsageError
    from backtester.engine.check.integrity import engine_kept
    from backtester.engine.check.subject import CheckOptions

    options = CheckOptions(cuts, check_seed, processes)
    given: dict[str, Any] = {
        "strategy": strategy, "symbols": symbols, "market": market, "timeframe": timeframe, "start": start,
        "end": end, "config": config, "risk": risk, "params": params, "param": param, "set_": set_, "wallet": wallet,
        "data": data,
        "seed": seed, "feeds": feeds, "gap_policy": gap_policy,
    }  # fmt: skip
    folder = _run_folder(subject)
    with prints_aside(True), engine_kept():
        if folder is not None:
            if extra := [name.rstrip("_") for name, value in given.items() if value and name != "data"]:
                raise UsageError(
                    f"{folder} is a run, and its config says all: --{' --'.join(extra)} cannot change it",
                    hint="of the options for bt run only --data, where the lake is now",
                )
            checked = _check_folder(folder, data, options, quiet=as_json)
        else:
            if subject and strategy and subject != strategy:
                raise UsageError(f"two strategies were named: {subject} and {strategy}")
            checked = _check_strategy(option.asked_run(**{**given, "strategy": subject or strategy}), options, as_json)
    if as_json:
        print_json({"run": None if folder is None else str(folder), **checked.certificate})
    else:
        print_check(checked)
        if folder is not None:
            console().print(f"certificate {folder / 'certificate.json'}", markup=False)
    raise_findings(checked)


def _run_folder(subject: str) -> Path | None:
    from backtester.engine.run_folder import find_run, runs_named

    path = Path(subject)
    is_file = ".py" in subject or path.suffix == ".toml"
    is_run = (path / "audit.jsonl").is_file() or (len(path.parts) > 1 and not is_file) or runs_named(subject)
    return find_run(subject) if subject and is_run else None


def _check_strategy(asked: option.Asked, options: "CheckOptions", quiet: bool) -> "Checked":
    from backtester.core.errors import Interrupted
    from backtester.engine.check.subject import scratch
    from backtester.engine.run import COMPLETE, run_backtest

    prepared = asked.prepared(asked.config)
    with scratch() as folder:
        began = time.perf_counter()
        with RunProgress(prepared.start, prepared.end, quiet=quiet, name="first run") as progress:
            result = run_backtest(prepared, folder, progress=progress)
        if result.error is not None:
            raise result.error
        if result.status != COMPLETE:
            raise Interrupted("the check was interrupted: it proves nothing")
        seconds = time.perf_counter() - began
        return checked_run(
            prepared, result.path, result.details, seconds, asked.relative_to, options, quiet=quiet, keep=False
        )


def _check_folder(folder: Path, data: str, options: "CheckOptions", *, quiet: bool) -> "Checked":
    from backtester.core.errors import UsageError
    from backtester.engine.replay import Diverged, prepared_again, read_run_json, verify
    from backtester.engine.run import COMPLETE

    details = read_run_json(folder)
    if details is None or details["status"] != COMPLETE:
        said = "was never sealed" if details is None else f"is {details['status']}"
        raise UsageError(f"{folder} {said}: only a complete run can be checked", hint="run it again, to its end")
    moved = Path(data) if data else None
    try:
        prepared = verify(folder, data=moved)
    except Diverged as error:
        if error.changed:  # the strategy cannot be blamed for that
            raise
        prepared = prepared_again(folder, moved)
    seconds = float(details.get("timings", {}).get("run_s", 0))
    return checked_run(prepared, folder, details, seconds, folder, options, quiet=quiet)


def checked_run(
    prepared: "PreparedRun",
    folder: Path,
    details: dict[str, Any],
    seconds: float,
    relative_to: Path | None,
    options: "CheckOptions | None" = None,
    *,
    quiet: bool,
    keep: bool = True,
) -> "Checked":
    """Check a complete run and, where it is kept, store the certificate in its folder."""
    from backtester.engine.check.certificate import write_certificate
    from backtester.engine.check.checking import check
    from backtester.engine.check.subject import CheckOptions, Subject

    def shown(name: str, run: "PreparedRun") -> RunProgress:
        return RunProgress(run.start, run.end, quiet=quiet, name=name)

    subject = Subject(prepared, folder / "audit.jsonl", options or CheckOptions(), seconds, relative_to, shown)
    checked = check(subject, details)
    if keep:
        write_certificate(folder, checked.certificate)
    return checked


def print_check(checked: "Checked") -> None:
    """Print what a check came to."""
    out = console()
    certificate = checked.certificate
    span = f"{certificate['range']['start']} to {certificate['range']['end']}"
    out.print(f"{certificate['strategy']}, {span}: {checked.verdict}, {certificate['runs']} runs", style="bold")
    for step, facts in certificate["steps"].items():
        out.print(f"  {_in_words(step, facts)}", style="dim", markup=False)
    for name in certificate["skipped"]:
        out.print(f"  {name}: left out, there is nothing fixed to compare with", style="dim", markup=False)
    for finding in checked.findings:
        out.print(f"found: {finding.message}", style="red", markup=False)
    for warning in checked.warnings:
        out.print(f"warning: {warning}", style="yellow", markup=False)


def _in_words(step: str, facts: dict[str, Any]) -> str:
    same = "the same log" if facts.get("identical") else "another log"
    match step:
        case "repeat":
            said = f"again in this process: {same}"
        case "watch":
            said = f"in a process of its own, PYTHONHASHSEED={facts['hash_seed']}, watched: {same}"
        case "processes":
            seeds = ", ".join(map(str, facts["hash_seeds"]))
            said = f"PYTHONHASHSEED={seeds}, symbols in the opposite order: {same}" if seeds else "none but the watched"
        case "frames":
            changed = facts["leaks"] or "no"
            said = f"its rows after {facts['cuts']} instants left out and replaced: {changed} values changed"
        case "cuts":
            at = ", ".join(f"{cut['time']} ({cut['why']})" for cut in facts["at"])
            said = f"without a future and with another after {at}"
        case "warmup":
            said = f"{facts['declared']} candles declared, {facts['loaded']} loaded, "
            if facts["tried"] is None:
                said += "the lake has nothing older to try"
            else:
                said += f"{facts['tried']} tried: {facts['different']} of {facts['decisions']} decisions gone"
        case _:
            said = str(facts)
    return f"{step}: {said}"


def raise_findings(checked: "Checked") -> None:
    """End with the first finding.

    Raises:
        CheckFailed: there is one.
    """
    from backtester.core.errors import CheckFailed

    if checked.findings:
        first, *others = checked.findings
        more = f" (and {len(others)} more)" if others else ""
        raise CheckFailed(first.message + more, hint=first.hint)
