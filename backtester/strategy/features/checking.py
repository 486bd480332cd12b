"""Proof that columns do not look ahead: whatever comes after a cut, no row before it may change."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.apart import Apart, in_turn
from backtester.core.errors import BacktesterError
from backtester.core.time import format_time
from backtester.strategy.features.frame import Source, Times
from backtester.strategy.features.graph import FeatureGraph
from backtester.strategy.features.poison import Frames, frames_until, poisoned

Columns = Mapping[str, NDArray[Any]]
Compute = Callable[[Frames], Columns]

AGAIN: Final = "computed twice from the same rows"
CUT: Final = "without the rows after the cut"
POISONED: Final = "with another market after the cut"

_ROUNDING: Final = 1e-12  # sums over arrays of another length may round differently in their last bit
_FUTURES: Final = 2


class Leak(NamedTuple):
    """A value that changed although nothing before it did.

    cut: after which close (µs) the future was replaced; None for AGAIN. time: the close of the row. how: AGAIN, CUT or
    POISONED. before, after: the value as text.
    """

    column: str
    cut: int | None
    row: int
    time: int
    how: str
    before: str
    after: str

    def __str__(self) -> str:
        where = "" if self.cut is None else f" ({format_time(self.cut)})"
        return f"{self.column} at {format_time(self.time)} was {self.before}, {self.how}{where} it is {self.after}"


def leaks(
    compute: Compute,
    frames: Frames,
    times: Times,
    *,
    cuts: int = 5,
    seed: int = 1,
    first: int = 1,
    exact: Collection[str] = (),
    apart: Apart = in_turn,
) -> list[Leak]:
    """Return the first leak of each column and way of finding it; nothing when no row depends on later ones.

    Args:
        compute: makes columns of one row for each row of a source, from the frames of all sources.
        frames: the frames of all sources.
        times: the closes of the rows, µs.
        cuts: how many cuts, at random rows from `first` on.
        seed: of the cuts and of the other futures.
        exact: columns of which not the last bit may change; of others a difference of rounding is none.
        apart: computes; only where it keeps every task from what the others saw, a value that is kept in a module
            or a class from one evaluation to the next is found, too.
    """

    def twice() -> tuple[Columns, list[Leak]]:
        whole = {name: np.array(values) for name, values in compute(frames).items()}
        return whole, _compared(whole, compute, lambda: frames, None, times, AGAIN, exact)

    def probe(row: int, how: str, given: Callable[[], Frames]) -> Callable[[], list[Leak]]:
        return lambda: _compared(whole, compute, given, int(times[row]), times[: row + 1], how, exact)

    luck = np.random.default_rng(seed)
    ((whole, found),) = apart([twice])
    last = len(times) - 1
    rows = luck.choice(np.arange(min(first, last), last), size=min(cuts, last - min(first, last)), replace=False)
    probes = []
    for row in sorted(rows.tolist()):
        cut = int(times[row])
        probes.append(probe(row, CUT, partial(frames_until, frames, cut)))
        for future in luck.spawn(_FUTURES):
            probes.append(probe(row, POISONED, partial(poisoned, frames, cut, future)))
    found = [*found, *(leak for some in apart(probes) for leak in some)]
    firsts: dict[tuple[str, str], Leak] = {}
    for leak in found:
        firsts.setdefault((leak.column, leak.how), leak)
    return list(firsts.values())


def check_features(graph: FeatureGraph, frames: Frames, source: Source, *, cuts: int = 5, seed: int = 1) -> list[Leak]:
    """Return the leaks of a graph's outputs on the rows of a source; see `leaks`."""
    plan = graph.plan_for(source)
    needed = {one: frames[one] for one in plan.sources}
    first = max(plan.warmup.values(), default=1)
    return leaks(
        lambda given: {name: values for name, values in plan.computed(given).items() if name in plan.outputs},
        needed,
        frames[source].times,
        cuts=cuts,
        seed=seed,
        first=first,
    )


def _compared(
    whole: Columns,
    compute: Compute,
    given: Callable[[], Frames],
    cut: int | None,
    times: Times,
    how: str,
    exact: Collection[str],
) -> list[Leak]:
    """Return the leaks of columns computed again; one that cannot be computed any more is a leak, too."""
    try:
        again = compute(given())
    except BacktesterError as error:
        row = len(times) - 1
        return [Leak("all of it", cut, row, int(times[row]), how, "computed", f"an error: {error.message}")]
    found = []
    for name in sorted(whole.keys() | again.keys()):
        if name not in whole or name not in again:
            there = ("nothing", "a column") if name in again else ("a column", "nothing")
            found.append(Leak(name, cut, 0, int(times[0]), how, *there))
            continue
        was, now = whole[name][: len(times)], np.asarray(again[name])[: len(times)]
        at = _first_difference(was, now, 0.0 if name in exact else _ROUNDING)
        if at is not None:
            found.append(Leak(name, cut, at, int(times[at]), how, str(was[at]), str(now[at])))
    return found


def _first_difference(was: NDArray[Any], now: NDArray[Any], tolerance: float) -> int | None:
    if was.dtype.kind == "f" and now.dtype.kind == "f":
        same = (was == now) | (np.isnan(was) & np.isnan(now))
        if tolerance:
            with np.errstate(invalid="ignore"):
                same |= np.abs(was - now) <= tolerance * np.maximum(np.abs(was), np.abs(now))
    else:
        same = was == now
    different = np.flatnonzero(~same)
    return int(different[0]) if len(different) else None
