"""A check from a complete run to its certificate: every step, what they found together, and the verdict."""

import gc
from typing import Any, NamedTuple

from backtester.core.time import format_time
from backtester.engine.check.certificate import FOUND, PROVEN, identity_of, sealed
from backtester.engine.check.clean import take_apart
from backtester.engine.check.steps import LOOK_AHEAD, NOT_REPEATABLE, processes, repeat, watch
from backtester.engine.check.subject import Finding, StepResult, Subject
from backtester.engine.garbage import rarely_collected


class Checked(NamedTuple):
    """What came of a check. certificate: as it is stored."""

    verdict: str
    findings: list[Finding]
    warnings: list[str]
    certificate: dict[str, Any]


def check(subject: Subject, details: dict[str, Any]) -> Checked:
    """Take a run through all steps. details: its run.json.

    Raises:
        Interrupted: the user stopped it.
    """
    results: list[StepResult] = []
    skipped: list[str] = []
    gc.collect()  # of the run itself; then each probe looks for what the one before it left, and no further
    with rarely_collected():
        results += [repeat(subject), watch(subject)]
        if _repeatable(results):
            results.append(processes(subject))
        else:
            skipped.append("processes")
        if not _repeatable(results):  # then there is nothing fixed to compare with
            skipped += ["cuts", "warmup"]
        results += take_apart(subject, skipped)
    findings = sorted((f for one in results for f in one.findings), key=_weight)
    warnings = [w for one in results for w in one.warnings]
    verdict = FOUND if findings else PROVEN
    content = {
        "verdict": verdict,
        "strategy": subject.name,
        "range": {"start": format_time(subject.run.start), "end": format_time(subject.run.end)},
        "seed": subject.options.seed,
        "runs": sum(one.runs for one in results),
        "steps": {one.name: one.facts for one in results if one.facts},
        "skipped": skipped,
        "findings": [{**f._asdict(), "cut": None if f.cut is None else format_time(f.cut)} for f in findings],
        "warnings": warnings,
        "of": identity_of(details),
    }
    return Checked(verdict, findings, warnings, sealed(content))


def _repeatable(results: list[StepResult]) -> bool:
    return not any(finding.kind == NOT_REPEATABLE for one in results for finding in one.findings)


def _weight(finding: Finding) -> int:
    """Order findings by how much they say: where it looks ahead, what it touches, and that it cannot be repeated."""
    return {LOOK_AHEAD: 0, NOT_REPEATABLE: 2}.get(finding.kind, 1)
