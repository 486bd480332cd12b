"""A sweep from grid to folder: every combination once, what is done kept, the best first."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from backtester.config.configs import BacktestConfig
from backtester.core.errors import UsageError
from backtester.core.time import format_time
from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import digest_of, engine_digest, modules_below, platform_text, versions
from backtester.engine.run import COMPLETE, INTERRUPTED, StopRequest
from backtester.search.engines import Engine, outcomes_of
from backtester.search.folder import SweepFolder, read_record
from backtester.search.grid import Axis, Combination, combinations, parse_grid, size_of
from backtester.search.outcome import Outcome
from backtester.search.ranking import Deflated, deflated_sharpe, ranked
from backtester.search.subject import Subject
from backtester.strategy.base import StrategyParams

Progress = Callable[[int, int, str], None]
RUNNING = "running"


class Asked(NamedTuple):
    """A sweep as it was asked for. config: with all that is known of the strategy's parameters. grid: texts of axes."""

    config: BacktestConfig
    relative_to: Path | None
    grid: tuple[str, ...]
    sort: str = "sharpe"
    engine: Engine = "auto"


class Swept(NamedTuple):
    """A sweep as it stands. best: those that ran, best first. trials: how many distinct parameters ran."""

    path: Path
    status: str
    axes: tuple[Axis, ...]
    outcomes: list[Outcome]
    best: list[Outcome]
    trials: int
    deflated: Deflated | None
    record: dict[str, Any]


def sweep(asked: Asked, path: Path, *, workers: int, progress: Progress | None = None) -> Swept:
    """Run every combination that is not done yet, and write the folder.

    Args:
        asked: what is varied over what.
        path: the sweep's folder; of one that was interrupted, which is then finished.
        workers: processes of the event engine.

    Raises:
        UsageError: the grid or the config is wrong, or the folder is of another sweep.
        BacktesterError: the run cannot be prepared at all.
    """
    axes = parse_grid(asked.grid)
    subject = Subject(asked.config, asked.relative_to)
    _check_names(subject, axes)
    accepted, refused = judged(subject, axes)
    first = subject.prepared(accepted[0].values)
    origin = origin_of(asked, subject, first)
    folder = SweepFolder(path)
    try:
        _check_same(path, origin)
        began = time.perf_counter()
        record = origin | {"status": RUNNING, "workers": workers, "sort": asked.sort, "engine": asked.engine}
        folder.write_record(record)
        known = {one.number for one in folder.done()}
        for one in refused:
            if one.number not in known:
                folder.add(one)
        todo = [one for one in accepted if one.number not in known]
        with StopRequest() as stop:
            count, total = len(known | {o.number for o in refused}), size_of(axes)
            for outcome in outcomes_of(subject, todo, workers, stop, engine=asked.engine):
                folder.add(outcome)
                count += 1
                if progress is not None:
                    progress(count, total, "")
        outcomes = folder.done()
        swept = _summed_up(folder, axes, outcomes, subject, asked.sort, record, total)
        swept.record["seconds"] = round(time.perf_counter() - began, 3)
        folder.write_results(axes, outcomes)
        folder.write_record(swept.record)
        return swept
    finally:
        folder.close()


def judged(subject: Subject, axes: Sequence[Axis]) -> tuple[list[Combination], list[Outcome]]:
    """Return the combinations that the strategy's parameters accept, and the others as refused ones.

    Raises:
        UsageError: none is accepted.
    """
    accepted: list[Combination] = []
    refused: list[Outcome] = []
    for one in combinations(axes):
        try:
            subject.params(one.values)
        except UsageError as error:
            refused.append(Outcome(number=one.number, values=one.values, status="refused", why=error.message))
        else:
            accepted.append(one)
    if not accepted:
        raise UsageError(f"no combination of the grid is allowed: {refused[0].why}")
    return accepted, refused


def _check_names(subject: Subject, axes: Sequence[Axis]) -> None:
    allowed = sorted(subject.found.cls.Params.model_fields)
    for axis in axes:
        if axis.name not in allowed:
            raise UsageError(
                f"--grid {axis.name}: {subject.found.name} has no such parameter", hint=f"it has: {', '.join(allowed)}"
            )


def origin_of(asked: Asked, subject: Subject, run: PreparedRun) -> dict[str, Any]:
    """Return what decides a sweep's results: two sweeps of one origin come to the same."""
    file = subject.found.file
    modules = {} if file is None else {n: digest_of(p.read_bytes()) for n, p in modules_below(file.parent).items()}
    return {
        "strategy": subject.found.name,
        "modules": modules,
        "config": msgspec.json.decode(asked.config.model_dump_json()),
        "relative_to": None if asked.relative_to is None else str(asked.relative_to),
        "grid": list(asked.grid),
        "range": {"start": format_time(run.start), "end": format_time(run.end)},
        "data": [
            {"path": p.path, "content": p.content, "rows": p.rows}
            for feed in run.feeds
            for p in run.lake.partitions(*feed.stored.series, feed.start, run.end)
        ],
        "engine_digest": engine_digest(),
        "versions": versions(),
        "platform": platform_text(),
    }


def _check_same(path: Path, origin: dict[str, Any]) -> None:
    """Refuse to go on with a sweep under other code or data: one table must not mix the two."""
    if not (path / "sweep.json").exists():
        return
    before = read_record(path)
    changed = [key for key in ("grid", "config", "data", "modules", "engine_digest", "versions")
               if before.get(key) != msgspec.json.decode(msgspec.json.encode(origin[key]))]  # fmt: skip
    if changed:
        raise UsageError(
            f"the sweep {path} cannot go on: {', '.join(changed)} changed since it began",
            hint="start it anew: its results would not belong together",
        )


def asked_again(path: Path) -> Asked:
    """Return what a sweep that was interrupted was asked for.

    Raises:
        UsageError: there is no such sweep.
    """
    record = read_record(path)
    relative_to = record["relative_to"]
    config = BacktestConfig.model_validate(record["config"])
    folder = None if relative_to is None else Path(relative_to)
    return Asked(config, folder, tuple(record["grid"]), record["sort"], record["engine"])


def _summed_up(
    folder: SweepFolder,
    axes: tuple[Axis, ...],
    outcomes: list[Outcome],
    subject: Subject,
    sort: str,
    record: dict[str, Any],
    total: int,
) -> Swept:
    status = COMPLETE if len(outcomes) == total else INTERRUPTED
    best = ranked(outcomes, sort)
    trials = len({_identity(subject.params(o.values)) for o in best})
    deflated = deflated_sharpe(best[0], best, trials) if best else None
    by_status = Counter[str](o.status for o in outcomes)
    content = record | {
        "status": status,
        "sort": sort,
        "counts": {"combinations": total, "done": len(outcomes)} | dict(sorted(by_status.items())),
        "engines": dict(sorted(Counter(o.engine for o in outcomes if o.engine).items())),
        "bails": dict(sorted(Counter(o.bail for o in outcomes if o.bail).items())),
        "trials_distinct": trials,
        "best": None if not best else msgspec.to_builtins(best[0]),
        "deflated_sharpe": None if deflated is None else deflated._asdict(),
    }
    return Swept(folder.path, status, axes, outcomes, best, trials, deflated, content)


def _identity(params: StrategyParams) -> str:
    """Return a text that parameters of one meaning share: 50 and 50.0 are one."""
    content = params.model_dump()
    return repr({k: v.normalize() if isinstance(v, Decimal) else v for k, v in sorted(content.items())})
