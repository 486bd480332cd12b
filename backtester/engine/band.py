"""The assumption band: one strategy over the same data under three sets of assumptions, one run after the other."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from backtester.config.band import BASE, differences
from backtester.core.errors import DataError
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import COMPLETE, FAILED, INTERRUPTED, Progress, RunResult, StopRequest, run_backtest
from backtester.engine.run_folder import RunFolder, new_run_id
from backtester.report.band import band_figures, dependence

Shown = Callable[[str], AbstractContextManager[Progress | None]]


class BandResult(NamedTuple):
    """Three sealed runs, or those that were made before one was interrupted, and what they say together.

    path: the folder of band.json. content: what is in it.
    """

    path: Path
    status: str
    runs: dict[str, RunResult]
    content: dict[str, Any]


def run_band(prepared: Mapping[str, PreparedRun], runs: Path, shown: Shown) -> BandResult:
    """Run each of the three and seal `band.json` in a folder of its own beside theirs.

    A run that fails leaves the others to be made; one that is interrupted ends the band.

    Args:
        prepared: the runs by name, from pessimistic to optimistic.
        runs: where the folders go.
        shown: what shows the progress of a run, by its name.

    Raises:
        StorageError: a folder cannot be written or sealed.
        DataError: the lake changed between the runs.
    """
    made: dict[str, RunResult] = {}
    with StopRequest() as stop:  # each run catches signals itself; this one catches those in between
        for name, run in prepared.items():
            with shown(name) as progress:
                made[name] = run_backtest(run, runs, progress=progress)
            if made[name].status == INTERRUPTED or stop.asked:
                break
    content = _content(prepared, made)
    _check_same_data(made, content["status"])
    base = prepared[BASE]
    symbols = base.symbols
    folder = RunFolder(runs, f"band-{new_run_id(base.name, symbols)}")
    folder.write_json("band.json", content)
    return BandResult(folder.seal(), content["status"], made, content)


def _content(prepared: Mapping[str, PreparedRun], made: Mapping[str, RunResult]) -> dict[str, Any]:
    statuses = {result.status for result in made.values()}
    status = FAILED if FAILED in statuses else COMPLETE if len(made) == len(prepared) else INTERRUPTED
    status = INTERRUPTED if INTERRUPTED in statuses else status
    content: dict[str, Any] = {
        "status": status,
        "runs": {
            name: {"run_id": result.run_id, "status": result.status, "digest": result.digest}
            for name, result in made.items()
        },
        "assumptions": differences({name: run.config for name, run in prepared.items()}),
    }
    if status != COMPLETE:
        return content | {"figures": None, "depends": {"value": None, "reason": "incomplete"}}
    figures = band_figures({name: result.metrics for name, result in made.items()}, BASE)
    for count, key in (("ambiguous_candles", "ambiguous"), ("candles_met", "met")):
        found = {name: sum(i[key] for i in r.details["candles_met"].values()) for name, r in made.items()}
        figures[count] = {"min": min(found.values()), "base": found[BASE], "max": max(found.values())}
    return content | {"figures": figures, "depends": dependence({n: _profit(r) for n, r in made.items()})}


def _profit(result: RunResult) -> Decimal:
    metrics = result.metrics
    return Decimal(metrics["final_equity"]["value"]) - Decimal(metrics["initial_equity"]["value"])


def _check_same_data(made: Mapping[str, RunResult], status: str) -> None:
    """Refuse to compare runs over different data: somebody wrote to the lake in between."""
    read = [{p["path"]: p["content"] for p in result.details["data"]} for result in made.values()]
    if status == COMPLETE and any(other != read[0] for other in read):
        changed = sorted({path for other in read for path in other if other.get(path) != read[0].get(path)})
        raise DataError(
            f"the lake changed between the three runs, which are not comparable: {', '.join(changed)}",
            hint="run the band again when nothing writes to the lake",
        )
