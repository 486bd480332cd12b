"""What breakers and commands forbid now: a fold of alerts and controls."""

from enum import IntEnum

from backtester.core.events import Reason
from backtester.core.risk_events import AlertState, BreakerAction, Control, ControlAction, RiskAlert
from backtester.core.time import format_time
from backtester.risk.order_validation import Refusal


class Level(IntEnum):
    """How much is forbidden; each forbids what those before it forbid."""

    NOTHING = 0
    NO_ENTRIES = 1
    REDUCE_ONLY = 2
    FLAT = 3
    KILLED = 4


_LEVELS = {
    BreakerAction.REJECT_ENTRIES: Level.NO_ENTRIES,
    BreakerAction.REDUCE_ONLY: Level.REDUCE_ONLY,
    BreakerAction.FLATTEN: Level.FLAT,
}
_COMMANDS = {
    ControlAction.PAUSE: Level.NO_ENTRIES,
    ControlAction.RESUME: Level.NOTHING,
    ControlAction.REDUCE_ONLY: Level.REDUCE_ONLY,
    ControlAction.FLATTEN: Level.FLAT,
    ControlAction.KILL: Level.KILLED,
}


class Restrictions:
    """The alerts in force and the last command; nothing comes after a kill."""

    def __init__(self) -> None:
        self._alerts: dict[str, RiskAlert] = {}
        self._control: Control | None = None
        self.level = Level.NOTHING

    def on_alert(self, alert: RiskAlert) -> None:
        """Take in that a breaker changed."""
        if alert.state is AlertState.TRIPPED:
            self._alerts[alert.breaker] = alert
        else:
            self._alerts.pop(alert.breaker, None)
        self._resolve()

    def on_control(self, control: Control) -> None:
        """Take in a command."""
        if self.level is not Level.KILLED:
            self._control = control
            self._resolve()

    def _resolve(self) -> None:
        levels = [_LEVELS[alert.action] for alert in self._alerts.values()]
        if self._control is not None:
            levels.append(_COMMANDS[self._control.action])
        self.level = max(levels, default=Level.NOTHING)

    def refusal(self) -> Refusal | None:
        """Return why nothing may be opened now, or None."""
        control = self._control
        if control is not None and control.action is not ControlAction.RESUME:
            numbers = {"action": str(control.action), "since": format_time(control.ts)}
            return Refusal(Reason.CONTROL, numbers | ({"why": control.reason} if control.reason else {}))
        for name, alert in sorted(self._alerts.items()):
            numbers = {"breaker": name, "action": str(alert.action), "since": format_time(alert.ts)}
            return Refusal(Reason.BREAKER, numbers)
        return None
