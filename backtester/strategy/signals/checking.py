"""Proof that a signal does not look ahead, on its frames: what `bt check` asks of one."""

from typing import Any, Final

from numpy.typing import NDArray

from backtester.core.apart import Apart, in_turn
from backtester.strategy.features.checking import Leak, leaks
from backtester.strategy.features.frame import Source
from backtester.strategy.features.poison import Frames
from backtester.strategy.signals.strategy import SignalStrategy

# What decides: not the last bit of it may depend on what comes later.
_DECIDING: Final = ("exposure", "stop", "trail", "trail_short", "exit_long", "exit_short", "tag")


def check_frame(
    strategy: SignalStrategy,
    frames: Frames,
    source: Source,
    *,
    cuts: int = 5,
    seed: int = 1,
    apart: Apart = in_turn,
) -> list[Leak]:
    """Return where a signal's features or targets depend on rows after their own; empty when nothing was found.

    The rows after random cuts are left out, and replaced by another market; features and targets of all rows up to the
    cut must stay. It costs 1 + 3 × cuts evaluations more than the one that is compared.

    Args:
        strategy: a signal; it is evaluated, not run.
        frames: of every source that it needs on this one's rows; see `strategy.plan_for(source).sources`.
        source: whose rows.
        cuts: how many.
        seed: of where they are, and of the other futures.
        apart: evaluates. By default one after another in this process, where a signal that keeps in a module what it
            saw of the whole is not found; `bt check` evaluates each in a process of its own.

    Raises:
        UsageError, StrategyError: the signal cannot be evaluated on the frames as they are.
    """
    plan = strategy.plan_for(source)

    def compute(given: Frames) -> dict[str, NDArray[Any]]:
        frame, targets = strategy.evaluated(given, source)
        features = {f"feature {name}": values for name, values in frame.items() if name in plan.outputs}
        return features | targets.columns()

    needed = {one: frames[one] for one in plan.sources}
    first = max(plan.warmup.values(), default=1)
    return leaks(compute, needed, frames[source].times, cuts=cuts, seed=seed, first=first, exact=_DECIDING, apart=apart)
