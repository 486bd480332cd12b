"""Leverage brackets: by hand, against what each part of a position owes, and every real table."""

import gzip
import itertools
import json
from decimal import Decimal
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from backtester.sim.brackets import (
    Bracket,
    BracketTable,
    bracket_of,
    initial_margin,
    maintenance_margin,
    max_leverage,
    max_size,
    table_fault,
)
from tests.sim.derivatives import FAQ_TABLE, UNIT, owed, tables


def test_the_maintenance_amount_that_the_venue_works_out() -> None:
    # USD-M FAQ on leverage and margin: 250 000 × (1 % - 0.5 %) + 50 = 1 300 for the third bracket
    assert [bracket.deduction // UNIT for bracket in FAQ_TABLE[:4]] == [0, 50, 1_300, 16_300]


@pytest.mark.parametrize(
    ("notional", "margin", "leverage"),
    [
        (0, 0, 125),
        (50_000 * UNIT, 200 * UNIT, 125),  # a cap belongs to the bracket that it ends
        (50_000 * UNIT + 1, 200 * UNIT + 1, 100),
        (250_000 * UNIT, 1_200 * UNIT, 100),
        (1_000_000 * UNIT, 8_700 * UNIT, 50),
        (400_000_000 * UNIT, 50_296_200 * UNIT, 3),
        (400_000_001 * UNIT, 50_296_200 * UNIT + 15_000_000, 0),  # beyond every cap nothing may be opened
    ],
)
def test_margin_and_leverage_by_hand(notional: int, margin: int, leverage: int) -> None:
    assert max_leverage(FAQ_TABLE, notional) == leverage
    assert maintenance_margin(FAQ_TABLE, notional) == margin


def test_the_largest_size_of_a_leverage() -> None:
    sizes = [max_size(FAQ_TABLE, leverage) // UNIT for leverage in (126, 125, 101, 100, 21, 20, 1)]
    assert sizes == [0, 50_000, 50_000, 250_000, 1_000_000, 7_500_000, 400_000_000]


@given(table=tables(), size=integers(0, 10**14))
def test_margin_is_what_each_part_of_the_size_owes_rounded_up(table: BracketTable, size: int) -> None:
    assert maintenance_margin(table, size) == ceil(owed(table, Fraction(size)))


@given(table=tables(), size=integers(0, 10**14))
def test_a_bracket_holds_the_sizes_above_its_floor_up_to_its_cap(table: BracketTable, size: int) -> None:
    bracket = bracket_of(table, size)
    assert bracket.floor < size or size == 0
    assert size <= bracket.cap or bracket == table[-1]


@given(size=integers(0, 10**18), leverage=integers(1, 150))
def test_initial_margin_covers_the_size_at_its_leverage(size: int, leverage: int) -> None:
    margin = initial_margin(size, leverage)
    assert (margin - 1) * leverage < size <= margin * leverage or margin == size == 0


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ((), "there is no bracket"),
        ((Bracket(1, 5, 1, 0, 0),), "bracket 1 must begin"),
        ((Bracket(0, 0, 1, 0, 0),), "bracket 1 must begin"),
        ((Bracket(0, 5, 1, 0, 0), Bracket(6, 9, 1, 0, 0)), "bracket 2 must begin"),
        ((Bracket(0, 5, 1, 10**8 + 1, 0),), "the rate of bracket 1"),
        ((Bracket(0, 5, 1, 2, 0), Bracket(5, 9, 1, 1, 0)), "the rate of bracket 2"),
        ((Bracket(0, 5, 0, 1, 0),), "bracket 1 must allow"),
        ((Bracket(0, 5, 1, 1, 1),), "the deduction of bracket 1"),
        ((Bracket(0, UNIT, 1, 0, 0), Bracket(UNIT, 2 * UNIT, 1, 5, 4)), "the deduction of bracket 2"),
    ],
)
def test_a_table_that_is_none_says_where(table: BracketTable, fault: str) -> None:
    assert table_fault(table).startswith(fault)


@given(table=tables())
def test_a_sound_table_has_no_fault(table: BracketTable) -> None:
    assert table_fault(table) == ""


@pytest.fixture(scope="module")
def real_tables(real_data: Path) -> dict[str, BracketTable]:
    content = gzip.decompress((real_data / "leverageBracket" / "um_brackets_2026-03.json.gz").read_bytes())
    names = ("notionalFloor", "notionalCap", "initialLeverage", "maintMarginRatio", "cum")
    found: dict[str, BracketTable] = {}
    for one in json.loads(content, parse_float=Decimal):
        steps = []
        for item in one["brackets"]:
            floor, cap, leverage, rate, cum = (Decimal(item[name]) for name in names)
            steps.append(Bracket(int(floor * UNIT), int(cap * UNIT), int(leverage), int(rate * UNIT), int(cum * UNIT)))
            assert [Decimal(v) / UNIT for v in (steps[-1].maintenance_rate, steps[-1].deduction)] == [rate, cum]
        found[one["symbol"]] = tuple(steps)
    return found


def test_the_deductions_of_every_real_table_follow_from_floors_and_rates(real_tables: dict[str, BracketTable]) -> None:
    assert len(real_tables) == 689
    assert {name: table_fault(table) for name, table in real_tables.items() if table_fault(table)} == {}
    # and, by the identity written out: cum_n = cum_(n-1) + floor_n × (rate_n - rate_(n-1))
    for table in real_tables.values():
        for low, high in itertools.pairwise(table):
            step = Fraction(high.floor * (high.maintenance_rate - low.maintenance_rate), UNIT)
            assert high.deduction == low.deduction + step


def test_real_tables_ask_the_same_on_both_sides_of_a_cap(real_tables: dict[str, BracketTable]) -> None:
    for table in real_tables.values():
        for low, high in itertools.pairwise(table):
            above = high.floor * high.maintenance_rate // UNIT - high.deduction
            assert maintenance_margin(table, low.cap) == above == owed(table, Fraction(low.cap))
