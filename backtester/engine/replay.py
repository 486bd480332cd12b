"""Replay: a log folded into an account and checked against its own snapshots; and a run made again and compared."""

import tempfile
from collections.abc import Iterator
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from backtester.audit.fold import Divergence, FoldedAccount, fold
from backtester.audit.reader import LogLine, read_log
from backtester.config.loading import load_backtest_config
from backtester.core.errors import CheckFailed, DataError, StorageError, UsageError
from backtester.engine.check.certificate import UNPROVEN, read_certificate
from backtester.engine.columns import table_digest
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.prepare import PreparedRun, prepare
from backtester.engine.provenance import digest_of, engine_digest, versions
from backtester.engine.run import COMPLETE, run_backtest

LOG = "audit.jsonl"


class Diverged(CheckFailed):
    """A run that was made again has another log; changed: the recorded inputs that are not what they were."""

    def __init__(self, message: str, changed: list[str]) -> None:
        said = "; ".join(changed) if changed else "nothing that is recorded"
        super().__init__(message, hint=f"changed since the run: {said}")
        self.changed = changed


class Replay(NamedTuple):
    """What a fold of the log gave. sealed: the folder has its run.json; partial runs do not. check: the verdict of
    its certificate.
    """

    status: str
    sealed: bool
    lines: int
    digest: str
    account: FoldedAccount
    check: str


def replay(folder: Path, *, certified: bool = True) -> Replay:
    """Fold a run's log and compare every snapshot, the digest and the final balances with what the run recorded.

    Args:
        folder: the run.
        certified: look at its certificate, too, if it has one.

    Raises:
        UsageError: there is no log or no readable run.json.
        CheckFailed: the log was changed or cut, a snapshot is not what its events make, or its certificate is of
            another run.
    """
    recorded = read_run_json(folder)
    try:
        account, lines, digest = fold(read_log(folder / LOG, torn_end_allowed=recorded is None))
    except Divergence as error:
        raise CheckFailed(f"replay diverged: {folder / LOG}, {error}") from None
    if recorded is None:
        return Replay("not sealed", False, lines, digest, account, UNPROVEN)
    if digest != recorded["log"]["digest"]:
        raise CheckFailed(
            f"{folder / LOG}: the log has {lines} lines and digest {digest}, "
            f"run.json says {recorded['log']['lines']} lines and {recorded['log']['digest']}",
            hint="lines were cut off or replaced; restore the log or run again",
        )
    try:
        _compare_final(folder, account, recorded["final"])
    except (ArithmeticError, KeyError, TypeError, AttributeError) as error:
        raise CheckFailed(f"{folder}/run.json was changed: its final state cannot be read ({error!r})") from None
    _compare_tables(folder, recorded)
    certificate = read_certificate(folder, recorded) if certified else None
    check = UNPROVEN if certificate is None else str(certificate["verdict"])
    return Replay(recorded["status"], True, lines, digest, account, check)


def _compare_final(folder: Path, account: FoldedAccount, final: dict[str, Any]) -> None:
    said_cash = {asset: Decimal(text) for asset, text in final["cash"].items() if Decimal(text)}
    cash = {asset: amount for asset, amount in account.cash.items() if amount}
    if cash != said_cash:
        raise CheckFailed(
            f"replay diverged: {folder}/run.json says {_amounts(said_cash)} at the end, the log {_amounts(cash)}"
        )
    held = {i: p for i, p in account.positions.items() if any(p)}
    said = {i: (Decimal(p["qty"]), Decimal(p["basis"])) for i, p in final["positions"].items()}
    if held != said:
        raise CheckFailed(f"replay diverged: {folder}/run.json says positions {said}, the log {held}")


def _amounts(cash: dict[str, Decimal]) -> str:
    return ", ".join(f"{asset} {amount:f}" for asset, amount in sorted(cash.items())) or "nothing"


def _compare_tables(folder: Path, recorded: dict[str, Any]) -> None:
    """Compare the tables and metrics.json with the digests that the run recorded."""
    for name, digest in recorded.get("tables", {}).items():
        path = folder / f"{name}.parquet"
        try:
            found = table_digest(path)
        except StorageError as error:
            raise CheckFailed(error.message) from None
        if found != digest:
            raise CheckFailed(f"{path} is not the table that the run wrote: its digest is {found}, not {digest}")
    metrics = folder / "metrics.json"
    if "metrics" in recorded and (not metrics.is_file() or digest_of(metrics.read_bytes()) != recorded["metrics"]):
        raise CheckFailed(f"{metrics} is missing or is not what the run wrote")


def read_run_json(folder: Path) -> dict[str, Any] | None:
    """Return a run's run.json; None when the run was never sealed.

    Raises:
        UsageError: it cannot be read.
    """
    path = folder / "run.json"
    if not path.exists():
        return None
    try:
        content = msgspec.json.decode(path.read_bytes())
        content["log"]["digest"], content["log"]["lines"], content["status"], content["final"]["cash"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a run.json: {error}") from None
    return dict(content)


def verify(folder: Path, *, data: Path | None = None) -> PreparedRun:
    """Run the strategy of a run again, from the inputs it recorded, and compare the logs.

    An interrupted or failed run is compared as far as its log goes.

    Args:
        folder: the run.
        data: where the lake is now, when it has moved.

    Raises:
        UsageError: the run was never sealed.
        CheckFailed: the logs differ; names the first event that differs, and the inputs that changed.
    """
    recorded = read_run_json(folder)
    if recorded is None:
        raise UsageError(f"{folder} was never sealed: it names no inputs to run again", hint=f"bt replay {folder}")
    if lacking := recorded["strategy"].get("unrecorded"):
        raise UsageError(
            f"{folder} cannot be run again: the source of {recorded['strategy']['name']} was not recorded, {lacking}",
            hint="put the strategy into a file of its own; bt replay without --verify checks the log",
        )
    replay(folder, certified=False)
    run = prepared_again(folder, data)
    with tempfile.TemporaryDirectory(prefix="bt-verify-") as scratch:
        again = run_backtest(run, Path(scratch))
        if recorded["status"] == COMPLETE and again.digest == recorded["log"]["digest"]:
            return run
        difference = _first_difference(folder / LOG, again.path / LOG, prefix=recorded["status"] != COMPLETE)
        if difference is not None:
            raise Diverged(f"verification failed: {difference}", _changed_inputs(folder, recorded, again.details))
    return run


def prepared_again(folder: Path, data: Path | None = None) -> PreparedRun:
    """Return what a run's own config makes of the lake today; data: where that is, when it has moved.

    Raises:
        CheckFailed: the lake has not got it any more.
    """
    layer: dict[str, Any] = {} if data is None else {"data": {"dir": str(data)}}
    config = load_backtest_config(folder / CONFIG, layer)
    try:
        return prepare(config, relative_to=folder)
    except DataError as error:
        raise CheckFailed(f"cannot run again: {error.message}", hint="--data DIR says where the lake is now") from None


def _first_difference(was: Path, now: Path, *, prefix: bool) -> str | None:
    lines: Iterator[tuple[LogLine | None, LogLine | None]] = zip_longest(read_log(was), read_log(now))
    for old, new in lines:
        if old is None:
            return None if prefix else f"the log goes on after line {new.seq - 1 if new else 0}: {_shown(new)}"
        if new is None or old.h != new.h:
            return f"the first event that differs is line {old.seq}: was {_shown(old)}, is {_shown(new)}"
    return None


def _shown(line: LogLine | None) -> str:
    if line is None:
        return "nothing"
    return f"{line.topic} at tick {line.tick} {msgspec.json.encode(line.event).decode()}"


def _changed_inputs(folder: Path, was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in words which recorded inputs are not what they were."""
    changed = []
    if was.get("config") != digest_of((folder / CONFIG).read_bytes()):
        changed.append(CONFIG)
    if was.get("engine_digest") != engine_digest():
        changed.append("the engine's sources")
    for name, value in versions().items():
        if was.get("versions", {}).get(name) != value:
            changed.append(f"{name} {was.get('versions', {}).get(name)} → {value}")
    before = {p["path"]: p["content"] for p in was.get("data", [])}
    after = {p["path"]: p["content"] for p in now["data"]}
    changed.extend(f"data {path}" for path in sorted(before | after) if before.get(path) != after.get(path))
    for kind in ("modules", "imported"):
        old, new = was["strategy"].get(kind, {}), now["strategy"].get(kind, {})
        names = old.keys() | new.keys() if kind == "modules" else old.keys() & new.keys()
        changed.extend(f"strategy source {name}" for name in sorted(names) if old.get(name) != new.get(name))
    return changed
