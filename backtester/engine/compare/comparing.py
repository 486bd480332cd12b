"""`bt compare`: all that is known of how runs differ, as one object."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from backtester.core.errors import UsageError
from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.time import format_time
from backtester.engine.compare.differences import code_differences, config_differences, data_differences
from backtester.engine.compare.first_difference import Parting, fields_that_differ, parting
from backtester.engine.compare.sides import ComparedRun, NoBridge
from backtester.engine.explain.explaining import explain_event
from backtester.engine.explain.told import Told
from backtester.report.bridge import bridge
from backtester.report.side_by_side import side_by_side

CURVE_POINTS: Final = 60


class PartingTold(NamedTuple):
    """Where two runs part, each side told with its causes; None: that run has nothing there."""

    first: Told | None
    second: Told | None
    fields: dict[str, list[Any]]


class Comparison(NamedTuple):
    """What `bt compare` prints. content: all of it as plain values. event, decision: of two runs, where they part."""

    runs: list[ComparedRun]
    content: dict[str, Any]
    event: PartingTold | None
    decision: PartingTold | None


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare sealed runs; the first is what the others are measured by.

    Raises:
        UsageError: fewer than two runs, one of them twice, or one without figures.
        CheckFailed: the tables of a run do not add up to its account.
    """
    if len(folders) < 2:
        raise UsageError("a comparison needs two runs or more", hint="bt compare runs/A runs/B")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("the same run is named twice")
    runs = [ComparedRun(folder) for folder in folders]
    content: dict[str, Any] = {
        "runs": [_named(run) for run in runs],
        "remarks": _remarks(runs),
        "metrics": side_by_side([run.metrics for run in runs]),
        "equity": _curves(runs),
        "config": config_differences(runs),
        "data": data_differences(runs),
        "code": code_differences(runs),
    }
    if len(runs) > 2:
        return Comparison(runs, content, None, None)
    event, decision = _partings(*runs)
    content["first_difference"] = _object(event)
    content["first_decision"] = _object(decision)
    content["bridge"] = _bridge(*runs)
    return Comparison(runs, content, event, decision)


def _named(run: ComparedRun) -> dict[str, Any]:
    return {
        "run_id": run.name,
        "path": str(run.folder),
        "status": run.record["status"],
        "strategy": run.strategy,
        "start": run.record["range"]["start"],
        "end": run.record["range"]["end"],
        "currency": run.currency,
        "digest": run.record["log"]["digest"],
    }


def _remarks(runs: list[ComparedRun]) -> list[str]:
    """Return what makes a comparison lame, and must be said before any figure."""
    said = []
    if len({run.currency for run in runs}) > 1:
        said.append("the accounts are in other currencies: money is not compared")
    if len({run.range for run in runs}) > 1:
        start, end = max(run.range[0] for run in runs), min(run.range[1] for run in runs)
        both = f"all cover {format_time(start)} to {format_time(end)}" if start < end else "no time is covered by all"
        said.append(f"the runs cover other times ({both}): figures are of each run's own range")
    if len({run.strategy for run in runs}) > 1:
        said.append("the runs are of other strategies")
    said += [f"{run.name} is {run.record['status']}" for run in runs if run.record["status"] != "complete"]
    if len({run.record["log"]["digest"] for run in runs}) == 1:
        said.append("the runs have the same log: they decided and did the same")
    return said


def _curves(runs: list[ComparedRun]) -> dict[str, Any]:
    """Return the equity of all runs at equal steps over all the time that any of them covers; of accounts in other
    currencies as multiples of what they began with.
    """
    start, end = min(run.range[0] for run in runs), max(run.range[1] for run in runs)
    relative = len({run.currency for run in runs}) > 1
    curves = [run.equity(start, end, CURVE_POINTS) / (run.initial if relative else 1) for run in runs]
    return {
        "start": format_time(start),
        "end": format_time(end),
        "relative": relative,
        "points": [[None if value != value else float(value) for value in curve] for curve in curves],
    }


def _partings(first: ComparedRun, second: ComparedRun) -> tuple[PartingTold | None, PartingTold | None]:
    event = parting(first, second)
    if event is None:
        return None, None
    decision = parting(first, second, decisions=True)
    return _told(first, second, event), None if decision is None else _told(first, second, decision)


def _told(first: ComparedRun, second: ComparedRun, found: Parting) -> PartingTold:
    one, other = (
        None if line is None else explain_event(run.files, line.seq)
        for run, line in zip((first, second), found, strict=True)
    )
    return PartingTold(one, other, fields_that_differ(found))


def _object(found: PartingTold | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "first": None if found.first is None else found.first.as_object(),
        "second": None if found.second is None else found.second.as_object(),
        "fields": found.fields,
    }


def _bridge(first: ComparedRun, second: ComparedRun) -> dict[str, Any]:
    """Return the bridge as exact text, or why there is none."""
    if first.currency != second.currency:
        return {"lines": None, "reason": f"one account is in {first.currency}, the other in {second.currency}"}
    try:
        one, other = first.side(), second.side()
    except NoBridge as error:
        return {"lines": None, "reason": error.message}
    lines = bridge(one, other)
    return {
        "currency": first.currency,
        "from": fixed(one.final_units, MONEY_EXPONENT),
        "to": fixed(other.final_units, MONEY_EXPONENT),
        "difference": fixed(other.final_units - one.final_units, MONEY_EXPONENT),
        "lines": [{"name": x.name, "amount": fixed(x.units, MONEY_EXPONENT), "trades": x.trades} for x in lines],
    }
