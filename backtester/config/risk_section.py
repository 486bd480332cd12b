"""`[risk]` and `[[control]]`: limits of one's own, breakers, blackouts and commands. 0 is none, everywhere."""

import re
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from backtester.config.fields import Exact, Section, Time
from backtester.core.numbers import decimal_of
from backtester.core.risk_events import BreakerAction, ControlAction
from backtester.core.time import DAY, HOUR, MINUTE, WEEK, parse_time

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AMOUNT: Final = re.compile(r"^(\d+(?:\.\d+)?)(x?)$")
_DAILY: Final = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$")
_COOL_DOWN: Final = re.compile(r"^([1-9]\d{0,5})([mhd])$")
_UNITS: Final = {"m": MINUTE, "h": HOUR, "d": DAY}


def _amount_text(value: object) -> object:
    """Keep money as its exact text, and a multiple of equity with its x."""
    if isinstance(value, bool):
        return value
    return f"{decimal_of(value):f}" if isinstance(value, int | float | Decimal) else value


def _amount(text: str) -> str:
    amount_of(text)
    return text


def amount_of(text: str) -> tuple[Decimal, bool]:
    """Return a number, and whether it is a multiple of equity ("1.5x") rather than money.

    Raises:
        ValueError: it is neither.
    """
    match = _AMOUNT.match(text)
    if match is None or len(match[1].partition(".")[2]) > 8 or Decimal(match[1]) > 10**12:
        raise ValueError('not an amount; allowed: money like 5000, or a multiple of equity like "1.5x"; 0 is none')
    return Decimal(match[1]), match[2] == "x"


def _cool_down(text: str) -> str:
    if text not in ("midnight", "never") and _COOL_DOWN.match(text) is None:
        raise ValueError('not a time to cool down; allowed: "90m", "24h", "3d", "midnight" (UTC), "never"')
    return text


def cool_down_us(text: str) -> int | None:
    """Return a cool-down in µs, or None for "midnight" and "never"."""
    match = _COOL_DOWN.match(text)
    return int(match[1]) * _UNITS[match[2]] if match else None


Amount = Annotated[str, BeforeValidator(_amount_text), AfterValidator(_amount)]
Percent = Annotated[Exact, Field(ge=0, le=100, decimal_places=6)]
CoolDown = Annotated[str, AfterValidator(_cool_down)]


class LossBreaker(Section):
    """Trips when limit_pct percent of equity are lost. cool_down: how long it stays tripped at least."""

    limit_pct: Percent = Decimal(0)
    action: BreakerAction = BreakerAction.REJECT_ENTRIES
    cool_down: CoolDown = "24h"


class DailyLossSection(LossBreaker):
    """Since the last UTC midnight."""

    cool_down: CoolDown = "midnight"


class DrawdownSection(LossBreaker):
    """From the highest equity. recover_pct: by how many percent of it the drawdown must have come back as well."""

    recover_pct: Percent = Decimal(0)


class LosingStreakSection(Section):
    """Trips after `limit` trades in a row that lost money."""

    limit: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    action: BreakerAction = BreakerAction.REJECT_ENTRIES
    cool_down: CoolDown = "24h"


class BlackoutSection(Section):
    """A time without entries: from start to end; or daily, "HH:MM-HH:MM" in UTC (over midnight, when the end is not
    later), on all weekdays or some; or on weekdays as a whole.
    """

    start: Time = ""
    end: Time = ""
    daily: str = ""
    weekdays: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = ()

    @model_validator(mode="after")
    def _is_a_window(self) -> "BlackoutSection":
        if bool(self.start) != bool(self.end) or bool(self.start) == bool(self.daily or self.weekdays):
            raise ValueError("a blackout has start and end, or daily and/or weekdays")
        if self.start and parse_time(self.start) >= parse_time(self.end):
            raise ValueError(f"it ends at {self.end}, which is not after its start {self.start}")
        if self.daily and (_DAILY.match(self.daily) is None or len(set(self.daily.split("-"))) < 2):
            raise ValueError(f'daily is {self.daily!r}; allowed: "HH:MM-HH:MM" with two different times, UTC')
        if len(set(self.weekdays)) < len(self.weekdays):
            raise ValueError("a weekday is named twice")
        return self

    def week(self) -> list[tuple[int, int]]:
        """Return what comes again every week as minutes [begin, end) from Monday 00:00 UTC on."""
        match = _DAILY.match(self.daily)
        hours, minutes, end_hours, end_minutes = (int(part) for part in match.groups()) if match else (0, 0, 0, 0)
        day, week = DAY // MINUTE, WEEK // MINUTE
        begin, end = hours * 60 + minutes, end_hours * 60 + end_minutes
        length = (end - begin) % day or day
        begins = [WEEKDAYS.index(name) * day + begin for name in self.weekdays or WEEKDAYS]
        spans = [(at, at + length) for at in begins]
        return [part for b, e in spans for part in ((b, min(e, week)), (0, max(0, e - week))) if part[0] < part[1]]


class RiskSection(Section):
    """What the account refuses to do. allow_short: futures may be sold short (spot never can).

    Amounts are money or a multiple of equity ("1.5x"). max_leverage: gross exposure over equity. price_collar_pct: how
    far limit and stop prices may lie from the last price. blackouts: times without entries.
    """

    allow_short: bool = True
    max_order_notional: Amount = "0"
    max_symbol_notional: Amount = "0"
    max_gross_exposure: Amount = "0"
    max_net_exposure: Amount = "0"
    max_leverage: Annotated[Exact, Field(ge=0, le=1000, decimal_places=8)] = Decimal(0)
    max_orders_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    max_open_orders: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    price_collar_pct: Percent = Decimal(0)
    daily_loss: DailyLossSection = DailyLossSection()
    drawdown: DrawdownSection = DrawdownSection()
    consecutive_losses: LosingStreakSection = LosingStreakSection()
    blackouts: tuple[BlackoutSection, ...] = ()

    @model_validator(mode="after")
    def _blackouts_do_not_overlap(self) -> "RiskSection":
        dated = [(parse_time(one.start), parse_time(one.end), one) for one in self.blackouts if one.start]
        weekly = [(begin, end, one) for one in self.blackouts if not one.start for begin, end in one.week()]
        for spans in (dated, weekly):
            for (_, end, first), (begin, _, second) in pairwise(sorted(spans, key=lambda span: span[:2])):
                if begin < end:
                    raise ValueError(f"two blackouts overlap: {_shown(first)} and {_shown(second)}")
        return self


def _shown(window: BlackoutSection) -> str:
    said: dict[str, Any] = window.model_dump(exclude_defaults=True)
    return ", ".join(f"{key} {value if isinstance(value, str) else ' '.join(value)}" for key, value in said.items())


class ControlSection(Section):
    """A command at a time. reason: for people who read the log; who: in whose name."""

    at: Annotated[Time, Field(min_length=1)]
    action: ControlAction
    reason: str = ""
    who: Annotated[str, Field(min_length=1)] = "script"
