"""The steps of a check of event strategies; each runs the subject again under one change that must not matter."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from backtester.core.errors import StrategyError
from backtester.core.instruments import InstrumentId
from backtester.core.time import format_time, parse_time
from backtester.engine.check.child import Report, run_apart
from backtester.engine.check.comparing import Decisions, compare_decisions, decision_ticks, parting
from backtester.engine.check.cutting import Cut, cut_run
from backtester.engine.check.spawning import patience_s
from backtester.engine.check.subject import Finding, StepResult, Subject, scratch
from backtester.engine.check.watch import HINTS
from backtester.engine.feed_plan import PlannedFeed
from backtester.engine.prepare import PreparedRun
from backtester.engine.run import FAILED
from backtester.engine.signals import signal_leaks
from backtester.engine.sleeves import Sleeve
from backtester.engine.strategy_plans import warmup_start
from backtester.strategy.signals.strategy import SignalStrategy

Step = Callable[[Subject], StepResult]

LOOK_AHEAD, NOT_REPEATABLE = "look_ahead", "not_repeatable"
_LOG: Final = "audit.jsonl"
_LONGER: Final = 200  # candles of warm-up that are tried more, at least


def repeat(subject: Subject) -> StepResult:
    """Run once more in the same process: the same log, or something is kept, drawn or timed between runs."""
    result = StepResult("repeat", {"identical": True}, runs=1)
    with subject.probed(subject.run, "again") as again:
        parted = parting(subject.log, again.path / _LOG)
    if parted is not None:
        result.facts["identical"] = False
        result.findings.append(
            Finding(
                NOT_REPEATABLE,
                f"{subject.name} is not repeatable: run again in the same process, it differs from {parted.in_words()}",
                "it draws by chance without self.rng, asks a clock, or keeps something from one run to the next "
                "(a global, a class attribute, a file)",
                line=parted.seq,
            )
        )
    return result


def watch(subject: Subject) -> StepResult:
    """Run in a process of its own, with another hash seed, and look at what the strategy touches."""
    result = StepResult("watch", runs=1)
    seed = subject.options.seed
    report, parted = _apart(subject, subject.run, seed, watched=True, result=result)
    result.facts = {
        "hash_seed": seed,
        "identical": parted is None,
        "touched": len(report.sightings) if report else None,
    }
    for kind, what, where in report.sightings if report else ():
        result.findings.append(Finding(kind, f"{subject.name} touches what it may not ({where}): {what}", HINTS[kind]))
    return result


def processes(subject: Subject) -> StepResult:
    """Run in processes of other hash seeds, the symbols named in the opposite order."""
    result = StepResult("processes", {"hash_seeds": [], "symbols_reversed": True, "identical": True})
    config = subject.run.config
    symbols = tuple(reversed(config.run.symbols))
    entries = tuple(e.model_copy(update={"symbols": tuple(reversed(e.symbols))}) for e in config.strategies)
    opposite = {"run": config.run.model_copy(update={"symbols": symbols}), "strategies": entries}
    turned = subject.run._replace(config=config.model_copy(update=opposite))
    for number in range(1, subject.options.processes):
        seed = subject.options.seed + number
        result.facts["hash_seeds"].append(seed)
        result.runs += 1
        _, parted = _apart(subject, turned, seed, watched=False, result=result)
        if parted:
            result.facts["identical"] = False
            break
    return result


def _apart(
    subject: Subject, run: PreparedRun, hash_seed: int, *, watched: bool, result: StepResult
) -> tuple[Report | None, bool | None]:
    """Run in another process and compare; what differs becomes a finding. Return its report, and whether it parted."""
    with scratch() as folder:
        try:
            report = run_apart(
                run.config,
                folder,
                hash_seed=hash_seed,
                relative_to=subject.relative_to,
                watched=watched,
                timeout_s=patience_s(subject.seconds),
            )
        except StrategyError as error:
            result.findings.append(Finding(NOT_REPEATABLE, f"{subject.name}: {error.message}", error.hint))
            return None, True
        if not report.path:
            message = f"{subject.name} is not repeatable: it fails in a process of its own: {report.error}"
            result.findings.append(Finding(NOT_REPEATABLE, message, "it hangs on what is only in this process"))
            return report, True
        parted = parting(subject.log, Path(report.path) / _LOG)
    if parted is None:
        return report, None
    failed = f" ({report.error})" if report.status == FAILED else ""
    result.findings.append(
        Finding(
            NOT_REPEATABLE,
            f"{subject.name} is not repeatable: in a process of its own, with PYTHONHASHSEED={hash_seed}, it differs "
            f"from {parted.in_words()}{failed}",
            "it goes by the order of a set, by hash(), by id(), by chance without self.rng, or by the environment: "
            "sort what has no order, and draw from self.rng",
            line=parted.seq,
        )
    )
    return report, True


def cuts(subject: Subject) -> StepResult:
    """Cut the data at instants, some of them decisions: without a future or with another, the past is the same."""
    run, options = subject.run, subject.options
    chosen, decisions = chosen_cuts(subject)
    result = StepResult("cuts", {"decisions": decisions, "at": []})
    if not decisions:
        result.warnings.append("the strategy wanted nothing in this range: there was no decision to put to the proof")
    taped = any(item.tape for item in run.series) or any(
        feed.name.kind in ("trades", "aggTrades") for feed in run.feeds
    )
    futures = (None, options.seed)  # none at all, and another one
    probes = [(at, Cut(at[0], opens=taped if seed is None else True, seed=seed)) for at in chosen for seed in futures]
    tasks = [partial(_cut_finding, subject, cut) for _, cut in probes]
    found = subject.apart(tasks, lambda finding: finding is not None)  # one is enough: the others would say the same
    result.runs = len(found)
    result.findings = [finding for finding in found if finding is not None]
    made = dict.fromkeys(at for at, _ in probes[: len(found)])
    result.facts["at"] = [{"time": format_time(time), "why": why} for time, why in made]
    return result


def chosen_cuts(subject: Subject) -> tuple[list[tuple[int, str]], int]:
    """Return the cuts as (UTC µs, why), in time order, and in how many ticks the run decided something.

    The first half are decisions: there a look ahead of one candle shows. The others are any instants of the grid.
    """
    run, options = subject.run, subject.options
    luck = random.Random(options.seed)
    candles = (run.end - run.start) // run.timeframe_us
    decided, count = decision_ticks(subject.log, (options.cuts + 1) // 2, luck, before=run.end)
    found = dict.fromkeys(decided, "a decision")
    free = max(0, min(options.cuts - len(found), candles - 1))
    for number in luck.sample(range(1, candles), free) if free else ():
        found.setdefault(run.start + number * run.timeframe_us, "by chance")
    return sorted(found.items()), count


def _cut_finding(subject: Subject, cut: Cut) -> Finding | None:
    what = "taken away" if cut.seed is None else "replaced"
    at = format_time(cut.time)
    with subject.probed(cut_run(subject.run, cut), f"cut {at}") as other:
        # Moments between records come only with the next record, which a run without a future has not.
        last = parse_time(other.details["range"]["last_tick"]) if other.error is None else cut.time
        parted = parting(subject.log, other.path / _LOG, until=min(cut.time, last), opens=cut.opens)
    if parted is None:
        return None
    failed = f" ({other.error})" if other.error is not None else ""
    return Finding(
        LOOK_AHEAD,
        f"{subject.name} looks ahead: with all data after {at} {what}, it differs from {parted.in_words()}{failed}",
        f"what it decided at {format_time(parted.tick)} hangs on data that nobody had by {at}: decide by what the "
        "hooks were given up to then, and keep nothing from one run to the next",
        cut.time,
        parted.seq,
    )


def warmup(subject: Subject) -> StepResult:
    """Run with more candles before the start: who then decides otherwise asked for too few."""
    run = subject.run
    result, sleeves, plans = StepResult("warmup"), [], []
    starts = {item.instrument: item.warmup_start for item in run.series}
    for sleeve in run.sleeves:
        plan = _longer(run.alone(sleeve), sleeve)
        if plan.loaded < plan.declared:
            result.warnings.append(
                f"warm-up: {plan.loaded} candles before the start instead of the {plan.declared} that {sleeve.whose} "
                "declares: the lake has no more without a gap"
            )
        starts |= {i: min(at, starts[i]) for i, at in plan.starts.items()}
        sleeves.append(sleeve._replace(feeds=plan.feeds))
        plans.append(plan)
    declared, loaded, tried = (
        _of_each(run, counts)
        for counts in zip(*((plan.declared, plan.loaded, plan.candles) for plan in plans), strict=True)
    )
    result.facts = {"declared": declared, "loaded": loaded, "tried": None, "different": None}
    if all(plan.candles <= plan.loaded for plan in plans):
        return result  # the lake has nothing older
    series = [item._replace(warmup_start=starts[item.instrument]) for item in run.series]
    earliest = min(starts.values())
    feeds = [feed._replace(start=min(feed.start, starts.get(feed.name.instrument, earliest))) for feed in run.feeds]
    result.runs = 1
    longer = run._replace(series=series, feeds=feeds, sleeves=tuple(sleeves))

    def compared() -> Decisions:
        with subject.probed(longer, "warm-up") as warmer:
            return compare_decisions(subject.log, warmer.path / _LOG)

    (found,) = subject.apart([compared])
    result.facts |= {"tried": tried, "different": found.only_was, "other": found.only_now, "decisions": found.was}
    if found.first is not None:
        result.warnings.append(
            f"warm-up: with {tried} candles before the start instead of {loaded}, {found.only_was} of {found.was} "
            f"decisions are gone and {found.only_now} are others, the first at {format_time(found.first)}; declared is "
            f"warmup_candles = {declared}: declare more, or take it that the result hangs on where the run begins"
        )
    return result


def _of_each(run: PreparedRun, counts: tuple[int, ...]) -> int | str:
    """Return a number of the only strategy, or those of several in words."""
    if len(counts) == 1:
        return counts[0]
    return ", ".join(f"{sleeve.id} {count}" for sleeve, count in zip(run.sleeves, counts, strict=True))


class _Longer(NamedTuple):
    """A warm-up that is longer than the one declared. candles: as many as it has of each instrument."""

    declared: int
    loaded: int
    candles: int
    starts: dict[InstrumentId, int]
    feeds: tuple[PlannedFeed, ...]


def _longer(run: PreparedRun, sleeve: Sleeve) -> _Longer:
    """Return how far back a strategy can be warmed up; run: as it sees it."""
    timeframe, declared = sleeve.timeframe, sleeve.warmup
    longer = declared + max(declared, _LONGER)
    starts = {
        item.instrument: min(
            item.warmup_start,
            warmup_start(run.lake, item.instrument, item.stored_timeframe, timeframe, run.start, longer),
        )
        for item in run.series
    }
    candles = min((run.start - start) // run.timeframe_us for start in starts.values())
    loaded = min((run.start - item.warmup_start) // run.timeframe_us for item in run.series)
    earliest = min(starts.values())
    feeds = [feed._replace(start=min(feed.start, starts.get(feed.name.instrument, earliest))) for feed in sleeve.feeds]
    return _Longer(declared, loaded, candles, starts, tuple(feeds))


def frames(subject: Subject) -> StepResult:
    """Of a signal, cut and replace the rows of its frames: no feature and no target before a cut may change."""
    result = StepResult("frames")
    for sleeve in subject.run.sleeves:
        strategy = subject.run.make_strategy(sleeve)
        if isinstance(strategy, SignalStrategy):
            _check_frames(subject, sleeve, strategy, result)
    return result


def _check_frames(subject: Subject, sleeve: Sleeve, strategy: SignalStrategy, result: StepResult) -> None:
    options, run = subject.options, subject.run.alone(sleeve)
    result.facts = {"cuts": options.cuts, "leaks": result.facts.get("leaks", 0)}
    leaks = signal_leaks(run, strategy, cuts=options.cuts, seed=options.seed, apart=subject.apart)
    for instrument, found in leaks.items():
        result.facts["leaks"] += len(found)
        leak = found[0]  # the others hang on it, or say the same
        how = leak.how if leak.cut is None else f"{leak.how} at {format_time(leak.cut)}"
        result.findings.append(
            Finding(
                LOOK_AHEAD,
                f"{sleeve.shown} looks ahead: {leak.column} of {instrument} at {format_time(leak.time)} was "
                f"{leak.before}, is {leak.after} {how}",
                "a row may hang on itself and on rows before it alone: no shift(-n), no centred window, nothing fitted "
                "or scaled over the whole frame",
                leak.cut,
            )
        )
