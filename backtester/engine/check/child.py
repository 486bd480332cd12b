"""The same run in a process of its own, watched: `python -m backtester.engine.check.child REQUEST`."""

import random
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from backtester.config.configs import BacktestConfig
from backtester.core.errors import BacktesterError
from backtester.engine.check.integrity import Integrity, shadowed
from backtester.engine.check.spawning import REPORT, ask_apart
from backtester.engine.check.watch import Sighting, Watch
from backtester.engine.check.watched import WatchedRun
from backtester.engine.prepare import prepare
from backtester.engine.provenance import PACKAGE_ROOT
from backtester.engine.run import run_backtest
from backtester.strategy.registry import BUILT_IN, strategy_names

_MODULE: Final = "backtester.engine.check.child"


class Request(msgspec.Struct, frozen=True):
    """What a child is to run. config: resolved, as JSON. folder: where its run and report go."""

    config: str
    relative_to: str | None
    folder: str
    watched: bool


class Report(msgspec.Struct, frozen=True):
    """What became of it. path: the run's folder; empty where none could be made. error: why it did not end well."""

    status: str
    path: str
    digest: str
    error: str
    sightings: list[Sighting]


def run_apart(
    config: BacktestConfig,
    folder: Path,
    *,
    hash_seed: int,
    relative_to: Path | None = None,
    watched: bool = False,
    timeout_s: float,
) -> Report:
    """Run a resolved config in a new process and return what became of it.

    Args:
        folder: empty; takes the run.
        hash_seed: its PYTHONHASHSEED.
        relative_to: a folder in which a relative strategy file is looked for.
        watched: look at what the strategy touches.

    Raises:
        ChildFailed: it was killed, or ran far longer than the first run.
        Interrupted: the user stopped it.
    """
    relative = None if relative_to is None else str(relative_to.absolute())
    request = Request(config.model_dump_json(), relative, str(folder), watched)
    answer = ask_apart(_MODULE, request, folder, hash_seed=hash_seed, timeout_s=timeout_s)
    return msgspec.json.decode(answer, type=Report)


def _own_files(name: str) -> frozenset[str]:
    """Return the files of the package that are the strategy's own: those of one that ships."""
    target = strategy_names().get(name, "") if name in BUILT_IN else ""
    module = target.partition(":")[0].removeprefix("backtester.").replace(".", "/")
    return frozenset({str(PACKAGE_ROOT / f"{module}.py")} if module else ())


def run_request(request: Request) -> Report:
    """Run what was asked for in this process."""
    config = BacktestConfig.model_validate_json(request.config)
    relative_to = None if request.relative_to is None else Path(request.relative_to)
    if not request.watched:
        return _report(request, lambda: prepare(config, relative_to=relative_to), {})
    names = [entry.name for entry in config.strategies] or [config.strategy.name]
    watch = Watch(frozenset[str]().union(*map(_own_files, names)))
    engine = Integrity()
    seeds = _generator_states()
    last: list[Any] = []

    def watched_run() -> WatchedRun:
        with watch.watching():
            run = WatchedRun(*prepare(config, relative_to=relative_to))
        run.watch = watch
        return run

    report = _report(request, watched_run, watch.sightings, last)
    strategy = ", ".join(Path(name.rpartition(":")[0]).name or name for name in names)
    for name in engine.replaced():
        watch.saw("engine", f"replaced {name}", strategy)
    for name in shadowed((*last[0], *(one.host for one in last[0].strategies))) if last else ():
        watch.saw("engine", f"replaced {name}", strategy)
    if seeds != _generator_states() and not any(s.kind == "random" for s in watch.sightings):
        watch.saw("random", "a process-wide generator", strategy)
    return msgspec.structs.replace(report, sightings=list(watch.sightings))


def _report(request: Request, prepared: Any, sightings: dict[Sighting, None], last: list[Any] | None = None) -> Report:
    def remember(_: int, wired: Any) -> None:
        if last is not None:
            last[:] = [wired]

    try:
        result = run_backtest(prepared(), Path(request.folder), progress=remember)
    except BacktesterError as error:
        return Report("failed", "", "", error.message, list(sightings))
    error_text = "" if result.error is None else str(result.error)
    return Report(result.status, str(result.path), result.digest, error_text, list(sightings))


def _generator_states() -> tuple[Any, ...]:
    """Return where the process-wide generators stand."""
    name, words, *rest = np.random.get_state()
    return random.getstate(), name, np.asarray(words).tobytes(), rest


def main() -> None:
    """Do what the request in the file that is named says, and write the report beside it."""
    request = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Request)
    report = run_request(request)
    (Path(request.folder) / REPORT).write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
