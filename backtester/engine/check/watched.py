"""A strategy under watch: its constructor, its hooks, and what it reaches for below its own view."""

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from backtester.engine.check.watch import Watch
from backtester.engine.prepare import PreparedRun
from backtester.engine.sleeves import Sleeve
from backtester.strategy.base import Strategy
from backtester.strategy.host import MARKET_HOOKS
from backtester.strategy.view import PositionView, StrategyView

_HOOKS: Final = (
    *MARKET_HOOKS,
    *("on_start", "on_fill", "on_order_update", "on_risk_alert", "on_timer", "on_stop"),
)


class WatchedRun(PreparedRun):
    """A prepared run whose strategy is looked at."""

    watch: Watch

    def make_strategy(self, sleeve: Sleeve) -> Strategy:
        """Return a fresh instance whose hooks are watched."""
        with self.watch.watching(sleeve.shown):
            strategy = super().make_strategy(sleeve)
        for name in _HOOKS:
            setattr(strategy, name, _watched(getattr(strategy, name), self.watch, sleeve.shown))
        bind = strategy.bind

        def bound(view: StrategyView, seed: int) -> None:
            bind(view, seed)
            guard_view(view, self.watch)

        vars(strategy)["bind"] = bound
        return strategy


def _watched(hook: Callable[..., Any], watch: Watch, who: str) -> Callable[..., Any]:
    @functools.wraps(hook)
    def called(*args: Any) -> Any:
        with watch.watching(who):
            found = hook(*args)
            return list(found) if isinstance(found, Iterator) else found  # or it would run after the look is over

    return called


def guard_view(view: StrategyView, watch: Watch) -> None:
    """Note whoever but the engine reads a view, or what lies below a position."""

    def noted(name: str) -> None:
        frame = sys._getframe(2)
        if watch.is_own(frame):
            watch.saw("engine", name, watch.where(frame))

    class _View(StrategyView):
        def __getattribute__(self, name: str) -> Any:
            noted(f"_view.{name}")
            return super().__getattribute__(name)

    class _Position(PositionView):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            if name[:1] == "_" and name[:2] != "__":
                noted(f"a position's {name}")
            return super().__getattribute__(name)

    for position in view.positions.values():
        position.__class__ = _Position
    view.__class__ = _View
