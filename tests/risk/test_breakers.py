"""The breakers' states against a plain model that keeps everything it ever saw."""

from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.risk_events import BreakerAction
from backtester.core.time import DAY, HOUR
from backtester.risk.breakers import NEVER, Breaker, BreakerTerms, DailyLoss, Drawdown, LosingStreak, State

PERCENT = 10**6  # of 1e-8
EQUITY = st.integers(1, 2_000)
STEPS = st.lists(st.tuples(st.integers(1, 30), EQUITY), min_size=1, max_size=60)  # hours between looks, equity


def terms(limit: int, cool_down: int | None, recover: int = 0, name: str = "drawdown") -> BreakerTerms:
    return BreakerTerms(name, limit * PERCENT, BreakerAction.FLATTEN, cool_down, recover * PERCENT)


def seen(breaker: Breaker, looks: list[tuple[int, int]]) -> list[bool]:
    """Whether it is armed after each look."""
    found = []
    for ts, equity in looks:
        breaker.look(ts, equity)
        found.append(breaker.state is State.ARMED)
    return found


def looks_of(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    now, looks = 0, []
    for hours, equity in steps:
        now += hours * HOUR
        looks.append((now, equity))
    return looks


def lost(reference: int, equity: int) -> Decimal:
    """Percent, in steps of a millionth."""
    return (Decimal(100) * (reference - equity) / reference).quantize(Decimal("0.000001"), ROUND_FLOOR)


@given(steps=STEPS, limit=st.integers(1, 40), cool=st.integers(0, 40), recover=st.integers(0, 10))
def test_a_drawdown_breaker_does_what_its_definition_says(
    steps: list[tuple[int, int]], limit: int, cool: int, recover: int
) -> None:
    looks = looks_of(steps)
    model, begin, tripped = [], 0, None  # the looks that count for the peak begin at `begin`
    for n, (ts, _) in enumerate(looks):
        drawdowns = {k: lost(max(e for _, e in looks[begin : k + 1]), looks[k][1]) for k in range(begin, n + 1)}
        if tripped is None:
            tripped = n if drawdowns[n] >= limit else None
        else:
            recovered = max(drawdowns[k] for k in range(tripped, n + 1)) - drawdowns[n] >= recover
            if recovered and ts >= looks[tripped][0] + cool * HOUR:
                tripped, begin = None, n
        model.append(tripped is None)
    assert seen(Breaker(terms(limit, cool * HOUR, recover), Drawdown()), looks) == model


@given(steps=STEPS, limit=st.integers(1, 40))
def test_a_daily_loss_breaker_looks_at_one_day_at_a_time_and_is_armed_at_the_next_midnight(
    steps: list[tuple[int, int]], limit: int
) -> None:
    looks = looks_of(steps)
    model, until, anew = [], 0, None  # anew: the look from which on the day is measured after a trip
    for n, (ts, equity) in enumerate(looks):
        day = (ts - 1) // DAY
        before = [k for k in range(n) if (looks[k][0] - 1) // DAY < day]
        start = max([k for k in (before[-1] if before else 0, anew) if k is not None])
        if until:
            if ts >= until:
                until, anew = 0, n
        elif lost(looks[start][1], equity) >= limit:
            until = ts - ts % DAY + DAY
        model.append(not until)
    assert seen(Breaker(terms(limit, None, name="daily_loss"), DailyLoss()), looks) == model


@given(st.lists(st.tuples(st.booleans(), st.integers(-2, 2)), max_size=60), st.integers(1, 4))
def test_a_streak_breaker_trips_with_the_last_of_so_many_losses(events: list[tuple[bool, int]], limit: int) -> None:
    streak = LosingStreak()
    breaker = Breaker(BreakerTerms("consecutive_losses", limit, BreakerAction.FLATTEN, NEVER), streak)
    results: list[int] = []
    for look, net in events:
        if look:
            breaker.look(len(results) + 1, 100)
        else:
            results.append(net)
            streak.closed(net)
    breaker.look(10**6, 100)
    ends = [0, *(n for n, (look, _) in enumerate(events) if look), len(events)]
    tails = []
    for _, end in pairwise(ends):
        nets = [net for look, net in events[:end] if not look]
        tail = next((k for k, net in enumerate(reversed(nets)) if net >= 0), len(nets))
        tails.append(tail)
    assert (breaker.state is State.ARMED) is (max(tails, default=0) < limit)
    assert breaker.trips == (0 if breaker.state is State.ARMED else 1)  # NEVER: not armed again


@pytest.mark.parametrize("reference", [0, -5])
def test_who_has_nothing_left_has_lost_everything(reference: int) -> None:
    measure: Any = Drawdown()
    measure.restart(reference)
    assert measure.see(1, reference) == 100 * PERCENT


def test_recovered_before_the_cool_down_is_over_and_fallen_back_it_waits_again() -> None:
    breaker = Breaker(terms(10, 5 * HOUR, 5), Drawdown())
    states = []
    for hour, equity in enumerate([100, 88, 95, 85, 89, 88, 91, 91], start=1):
        breaker.look(hour * HOUR, equity)
        states.append(str(breaker.state))
    assert states == ["armed", "tripped", "cooling", "tripped", "tripped", "tripped", "armed", "armed"]
