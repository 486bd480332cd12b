"""Funding: signs, roundings, instants, and two years of real rates."""

import csv
import gzip
import itertools
from decimal import Decimal
from fractions import Fraction
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.numbers import exact_units
from backtester.sim.funding import due_between, inverse_payment, linear_payment, scheduled_time
from backtester.sim.inverse import contract_unit

UNIT = 10**8
HOUR = 3600 * 10**6
SHIFT = 3  # marks of 1e-8, quantities of 1e-3


@pytest.mark.parametrize(
    ("qty", "rate", "flow"),
    [
        # 2 BTC at 50 000, 0.01 %: 10
        (2_000, 10_000, -10 * UNIT),  # rate > 0: longs pay
        (-2_000, 10_000, 10 * UNIT),  # shorts receive
        (2_000, -10_000, 10 * UNIT),  # rate < 0: longs receive
        (-2_000, -10_000, -10 * UNIT),  # shorts pay
        (0, 10_000, 0),
        (2_000, 0, 0),
    ],
)
def test_who_pays_whom(qty: int, rate: int, flow: int) -> None:
    assert linear_payment(qty, 50_000 * UNIT, rate, SHIFT) == flow
    unit = contract_unit(100 * UNIT, price_exponent=8, qty_exponent=0)
    # 1 000 contracts of 100 USD at 50 000 are 2 BTC: 0.0002
    assert inverse_payment(qty // 2, 50_000 * UNIT, rate, unit) == (flow // UNIT) * 2_000


@given(
    qty=st.integers(-(10**9), 10**9), mark=st.integers(1, 10**13), rate=st.integers(-(10**7), 10**7),
    shift=st.integers(-3, 6),
)  # fmt: skip
def test_payments_are_rounded_against_the_trader_once(qty: int, mark: int, rate: int, shift: int) -> None:
    assert linear_payment(qty, mark, rate, shift) == floor(-Fraction(qty * mark * rate, UNIT) / Fraction(10) ** shift)
    assert inverse_payment(qty, mark, rate, 10**9) == floor(-Fraction(qty * rate * 10**9, UNIT * mark))
    assert linear_payment(qty, mark, rate, shift) + linear_payment(-qty, mark, rate, shift) in (0, -1)


def test_what_is_held_at_the_instant_pays_and_nothing_twice() -> None:
    times = [0, 8 * HOUR, 16 * HOUR]
    assert list(due_between(times, -1, 0)) == [0]
    assert list(due_between(times, 0, 8 * HOUR - 1)) == []
    assert list(due_between(times, 0, 8 * HOUR)) == [1]
    assert list(due_between(times, 8 * HOUR, 24 * HOUR)) == [2]
    assert list(due_between([], 0, 1)) == []


@given(times=st.lists(st.integers(0, 1000), unique=True).map(sorted), cuts=st.lists(st.integers(-1, 1001), min_size=2))
def test_consecutive_spans_take_every_time_once(times: list[int], cuts: list[int]) -> None:
    edges = sorted(cuts)
    found = [times[i] for a, b in itertools.pairwise(edges) for i in due_between(times, a, b)]
    assert found == [time for time in times if edges[0] < time <= edges[-1]]


def test_a_record_some_milliseconds_late_belongs_to_its_instant() -> None:
    assert scheduled_time(8 * HOUR + 8_000, 8 * HOUR, 10**6) == 8 * HOUR
    assert scheduled_time(8 * HOUR - 5_000, 8 * HOUR, 10**6) == 8 * HOUR
    assert scheduled_time(8 * HOUR, 8 * HOUR, 0) == 8 * HOUR
    assert scheduled_time(8 * HOUR + 10**6, 8 * HOUR, 10**6) == 8 * HOUR
    assert scheduled_time(8 * HOUR + 10**6 + 1, 8 * HOUR, 10**6) == 8 * HOUR + 10**6 + 1
    assert scheduled_time(4 * HOUR, 8 * HOUR, 10**6) == 4 * HOUR  # the schedule has changed: it keeps its time


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
@pytest.mark.parametrize("qty", ["1.5", "-0.037"])
def test_a_year_of_real_rates_on_a_constant_position(real_data: Path, symbol: str, qty: str) -> None:
    rates = rows(real_data / "um" / f"{symbol}_funding.csv.gz")
    marks = {int(row["open_time"]): row["open"] for row in rows(real_data / "um" / f"{symbol}_mark_8h.csv.gz")}
    times = [scheduled_time(int(row["open_time"]) * 1000, 8 * HOUR, 10**6) for row in rates]
    assert len(rates) == 1095
    assert all(time % (8 * HOUR) == 0 for time in times)
    assert [int(row["open_time"]) * 1000 for row in rates] != times  # real records do come late

    qty_units = exact_units(Decimal(qty), 3)
    start, end = times[0] - 1, times[-1]
    paid = 0
    for index in due_between(times, start, end):
        mark = exact_units(Decimal(marks[times[index] // 1000]), 8)
        paid += linear_payment(qty_units, mark, exact_units(Decimal(rates[index]["funding_rate"]), 8), SHIFT)

    # independently: decimals as the files print them, joined by the whole hour, summed without rounding
    by_hour = {time // 3_600_000: Decimal(mark) for time, mark in marks.items()}
    expected = -sum(
        Decimal(qty) * by_hour[round(int(row["open_time"]) / 3_600_000)] * Decimal(row["funding_rate"]) for row in rates
    )
    assert 0 <= expected * UNIT - paid < len(rates)  # each payment lost less than 1e-8
    assert (paid < 0) == (Decimal(qty) > 0)  # 2023: longs paid
