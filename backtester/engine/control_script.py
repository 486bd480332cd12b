"""Commands that the config gives at times: the operator of a backtest."""

from collections.abc import Iterable

from backtester.config.configs import BacktestConfig
from backtester.config.risk_section import ControlSection
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.market import Expiry
from backtester.core.risk_events import Control
from backtester.core.time import format_time, parse_time
from backtester.core.topics import T_CONTROL, T_EXPIRIES


class ControlScript:
    """Publishes each command at its time, in a tick of its own where there is none: before anybody decides."""

    def __init__(self, script: Iterable[ControlSection], start: int, board: Board, bus: Bus) -> None:
        """Wire the script; what is to be said before `start` (UTC µs) is left out."""
        timed = [(parse_time(one.at), one) for one in script]
        self._left = sorted((pair for pair in timed if pair[0] >= start), key=lambda pair: pair[0], reverse=True)
        self._bus = bus
        for at, _ in self._left:
            board.set_expiry(at)
        bus.subscribe(T_EXPIRIES, self.on_expiry)

    def on_expiry(self, expiry: Expiry) -> None:
        """Give the commands whose time has come, in the order of the config where they have one time."""
        while self._left and self._left[-1][0] <= expiry.ts:
            at, one = self._left.pop()
            self._bus.publish(T_CONTROL, Control(ts=at, action=one.action, reason=one.reason, who=one.who))


def outside_warnings(config: BacktestConfig, start: int, end: int) -> list[str]:
    """Return a warning per command that a run from start to end (UTC µs) never gives."""
    return [
        f"control {one.action} at {one.at} is outside of the run ({format_time(start)} to {format_time(end)}): "
        f"it is never given"
        for one in config.control
        if not start <= parse_time(one.at) <= end
    ]
