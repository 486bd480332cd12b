"""`bt replay`: check a run by its log."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backtester.cli.console import console, print_json


def replay_command(
    run: Annotated[str, typer.Argument(help="Folder of a run: runs/...")],
    verify: Annotated[bool, typer.Option("--verify", help="Run the strategy again and compare the logs.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Print the timeline of the log.")] = False,
    data: Annotated[Path | None, typer.Option(help="Where the lake is now, if it moved.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Fold a run's log into an account and compare every snapshot.

    Example: bt replay runs/20240401T120000Z-sma_extended-BTCUSDT-0a1b2c --verify
    """
    from backtester.core.errors import UsageError
    from backtester.engine import replay as engine
    from backtester.engine.run_folder import find_run

    if verify and events:
        raise UsageError("--verify and --events are two modes: give one")
    folder = find_run(run)
    if events:
        _print_events(folder, as_json)
        return
    if verify:
        engine.verify(folder, data=data)
    done = engine.replay(folder)
    if as_json:
        print_json(
            {
                "run": str(folder),
                "status": done.status,
                "sealed": done.sealed,
                "lines": done.lines,
                "digest": done.digest,
                "snapshots": done.account.snapshots,
                "verified": verify,
                "check": done.check,
                "cash": {asset: f"{amount:f}" for asset, amount in sorted(done.account.cash.items())},
            }
        )
        return
    out = console()
    out.print(
        f"{folder}: {done.status}. {done.lines} lines, {done.account.fills} fills; "
        f"{done.account.snapshots} snapshots recomputed from the log alone, all equal",
        markup=False,
    )
    out.print("cash " + ", ".join(f"{amount:f} {asset}" for asset, amount in sorted(done.account.cash.items())))
    if verify:
        out.print("ran again: the same log, byte for byte")
    if done.check != "unproven":
        out.print(f"check: {done.check}, by a certificate of this run")
    if not done.sealed:
        out.print("this run was killed before it was sealed: it is not a result", style="yellow")
    out.print(f"digest {done.digest}")


def _print_events(folder: Path, as_json: bool) -> None:
    from backtester.audit.reader import read_log
    from backtester.core.time import format_time
    from backtester.engine.replay import LOG, read_run_json

    out = console()
    torn = read_run_json(folder) is None
    events: list[dict[str, Any]] = []
    for line in read_log(folder / LOG, torn_end_allowed=torn):
        if as_json:
            events.append({"seq": line.seq, "tick": line.tick, "topic": line.topic, "event": line.event})
            continue
        event = {k: v for k, v in line.event.items() if k not in ("ts", "event_id") and v not in (None, "", {}, [])}
        shown = " ".join(f"{key}={value}" for key, value in event.items() if not isinstance(value, list))
        out.print(f"{line.seq:>6} {format_time(line.tick)} {line.topic:<16} {shown}", markup=False)
    if as_json:
        print_json({"run": str(folder), "events": events})
