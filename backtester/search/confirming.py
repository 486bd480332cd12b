"""The best combinations once more, as whole runs of the event engine: their fills must be those of the sweep."""

from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from backtester.core.errors import CheckFailed, Interrupted
from backtester.core.numbers import exact_units
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import COMPLETE, INTERRUPTED, run_backtest
from backtester.search.grid import Combination
from backtester.search.kernel.running import KernelRuns
from backtester.search.outcome import FillRow, FillsDigest, Outcome
from backtester.search.subject import Subject
from backtester.search.trial import run_trial

_FIELDS = ("ts", "instrument", "side", "qty", "price", "fee")


class Confirmed(NamedTuple):
    """A combination that was run again. path: of the sealed run."""

    number: int
    path: Path


def confirm(subject: Subject, outcome: Outcome, runs: Path) -> Confirmed:
    """Run a combination in the event engine, seal the run under `runs`, and compare every fill and the final equity.

    Raises:
        CheckFailed: they differ; names the first fill that does.
        Interrupted: the user stopped it.
    """
    combination = Combination(outcome.number, outcome.values)
    run = subject.prepared(outcome.values)
    result = run_backtest(run, runs)
    if result.status == INTERRUPTED:
        raise Interrupted("the confirmation was interrupted: what the sweep found is kept")
    if result.status != COMPLETE:
        raise CheckFailed(f"combination {outcome.number} ran in the sweep and failed as a run of its own")
    fills = fills_of_run(run, result.path)
    digest = FillsDigest(run.instruments)
    for fill in fills:
        digest.add(fill)
    final = exact_units_of(result.metrics["final_equity"]["value"])
    if digest.hexdigest() != outcome.fills_digest:
        where = _first_difference(subject, combination, outcome, fills)
        raise CheckFailed(
            f"combination {outcome.number} ({_shown(outcome)}): {where}",
            hint=f"the run is {result.path}; please report it with both",
        )
    if final != outcome.final_equity_units:
        raise CheckFailed(
            f"combination {outcome.number} ({_shown(outcome)}) has the same fills and another final equity: "
            f"{outcome.final_equity_units} in the sweep, {final} in the run {result.path} (1e-8)"
        )
    return Confirmed(outcome.number, result.path)


def exact_units_of(text: str) -> int:
    """Return money from its text, 1e-8."""
    return exact_units(Decimal(text), 8)


def fills_of_run(run: PreparedRun, path: Path) -> list[FillRow]:
    """Return the fills of a sealed run."""
    table = pq.read_table(path / "fills.parquet", columns=list(_FIELDS))
    times = table.column("ts").cast("int64").to_pylist()
    rows = zip(times, *(table.column(name).to_pylist() for name in _FIELDS[1:]), strict=True)
    found = []
    for ts, instrument, side, qty, price, fee in rows:
        scale = run.instruments[instrument].scale
        sign = 1 if side == "buy" else -1
        units = sign * exact_units(qty, scale.qty), exact_units(price, scale.price), exact_units(fee, 8)
        found.append(FillRow(ts, instrument, *units))
    return found


def _first_difference(subject: Subject, combination: Combination, outcome: Outcome, fills: list[FillRow]) -> str:
    """Return where the fills of a sweep and of a run part."""
    if outcome.engine == "kernel":
        found = KernelRuns(subject).fills_of(combination)
        swept = [] if isinstance(found, str) else found[1]
    else:
        swept = run_trial(subject.prepared(combination.values), combination, keep_fills=True)[1]
    for place, (ours, theirs) in enumerate(zip(swept, fills, strict=False), start=1):
        if ours != theirs:
            return f"fill {place} is {ours} in the sweep ({outcome.engine}) and {theirs} in the event engine"
    place = min(len(swept), len(fills)) + 1
    if len(swept) == len(fills):
        return "its fills are not those that the sweep noted: it does not come to the same twice"
    longer, where = (swept, "the sweep") if len(swept) > len(fills) else (fills, "the event engine")
    return f"fill {place}, {longer[place - 1]}, is in {where} alone"


def _shown(outcome: Outcome) -> str:
    return ", ".join(f"{name}={value}" for name, value in outcome.values.items())
