"""Liquidation prices: the venue's worked examples, and the condition itself one tick on either side."""

from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from backtester.sim.brackets import Bracket, BracketTable, bracket_of, maintenance_margin
from backtester.sim.liquidation import (
    NO_PRICE,
    Band,
    Leg,
    Liquidation,
    bankruptcy_price,
    is_liquidated,
    liquidation_band,
    liquidation_result,
    margin_surplus,
    reduction_to_lower_bracket,
    reductions,
)
from tests.sim.derivatives import FAQ_TABLE, UNIT, bracket_table, linear_margin, owed, tables

P, Q = 8, 3  # marks and quantities of the examples
SHIFT = P + Q - 8


def money(text: str) -> int:
    return int(Fraction(text) * UNIT)


def leg(qty: str, entry: str) -> Leg:
    """A position of so much, bought (or sold, qty < 0) at one price."""
    return Leg(int(Fraction(qty) * 10**Q), int(Fraction(qty) * Fraction(entry) * UNIT))


# The bracket that each example names (rate and `cum`), with one below it that leads to that deduction.
ETH_TABLE = bracket_table((2_707_300, 20, "0.05"), (10_000_000, 5, "0.1"))
BTC_TABLE = FAQ_TABLE


@pytest.mark.parametrize(
    ("table", "rate", "cum", "qty", "entry", "mark", "others_margin", "others_profit", "price"),
    [
        # ETHUSDT, then BTCUSDT
        (ETH_TABLE, "0.1", "135365", "3683.979", "1456.84", "1335.18", "71200.81144", "-56354.57", 1153.26),
        (BTC_TABLE, "0.025", "16300", "109.488", "32481.98", "31967.27", "356512.508", "-448192.89", 26316.89),
    ],
)
def test_the_venues_worked_examples_of_cross_margin_to_the_cent(
    table: BracketTable,
    rate: str,
    cum: str,
    qty: str,
    entry: str,
    mark: str,
    others_margin: str,
    others_profit: str,
    price: float,
) -> None:
    # USD-M FAQ "How to Calculate Liquidation Price": cross, one-way, two long positions in one wallet
    position = leg(qty, entry)
    held = bracket_of(table, int(Fraction(qty) * Fraction(mark) * UNIT))
    assert (held.maintenance_rate, held.deduction) == (money(rate), money(cum))
    wallet = money("1535443.01") - money(others_margin) + money(others_profit)
    band = liquidation_band(wallet, (position,), SHIFT, table)
    assert round(band.lower / UNIT, 2) == price
    assert band.upper == NO_PRICE
    assert not is_liquidated(wallet, margin_surplus((position,), money(mark), SHIFT, table))


def test_the_margin_and_profit_that_the_worked_examples_state_of_each_other() -> None:
    # what one example calls "the other position" is the other example
    eth = Fraction("3683.979") * Fraction("1335.18")
    assert round(float(maintenance_margin(ETH_TABLE, int(eth * UNIT))) / UNIT, 3) == 356_512.508
    btc = Fraction("109.488") * Fraction("31967.27")
    assert round(float(maintenance_margin(BTC_TABLE, int(btc * UNIT))) / UNIT, 5) == 71_200.81144
    assert round(float(eth - Fraction("3683.979") * Fraction("1456.84")), 2) == pytest.approx(-448_192.89, abs=0.01)
    assert round(float(btc - Fraction("109.488") * Fraction("32481.98")), 2) == pytest.approx(-56_354.57, abs=0.01)


def test_an_isolated_position_by_hand_both_ways() -> None:
    table = bracket_table((50_000, 125, "0.004"))
    # 1 BTC from 10 000 with 1 000: long LP = (1000 - 10000) / (0.004 - 1), short LP = (1000 + 10000) / (0.004 + 1)
    long_ = liquidation_band(1_000 * UNIT, (leg("1", "10000"),), SHIFT, table)
    short = liquidation_band(1_000 * UNIT, (leg("-1", "10000"),), SHIFT, table)
    assert (long_.lower, long_.upper) == (9036_14457831, NO_PRICE)  # 9036.144578313..., reached from above
    assert (short.lower, short.upper) == (NO_PRICE, 10956_17529881)  # 10956.17529880..., reached from below


def test_the_bracket_at_the_liquidation_price_counts_and_not_that_of_now() -> None:
    table = bracket_table((10_000, 50, "0.01"), (100_000, 20, "0.05"))
    short = leg("-1", "9000")  # in the first bracket at 9 000, in the second at 12 000
    band = liquidation_band(3_000 * UNIT, (short,), SHIFT, table)
    # (3000 + 400 + 9000) / (1 + 0.05); with the bracket of now it would be 12000 / 1.01 = 11881.19
    assert band.upper == 11809_52380953  # 11809.523809523...


def test_a_position_that_no_price_takes_has_no_liquidation_price() -> None:
    assert liquidation_band(10_000 * UNIT, (leg("1", "10000"),), SHIFT, FAQ_TABLE) == Band(NO_PRICE, NO_PRICE)
    assert not Band(NO_PRICE, NO_PRICE).is_reached(1, 10**20)


def test_a_wallet_far_under_water_is_liquidated_at_every_price() -> None:
    short = liquidation_band(-20_000 * UNIT, (leg("-1", "10000"),), SHIFT, FAQ_TABLE)
    assert short.upper == 1
    assert short.is_reached(1, 1)


def test_a_hedge_has_a_price_on_either_side() -> None:
    table = bracket_table((1_000_000, 50, "0.05"))
    legs = (leg("2", "10000"), leg("-2", "10000"))  # no net exposure: only the margin moves
    band = liquidation_band(3_000 * UNIT, legs, SHIFT, table)
    assert (band.lower, band.upper) == (NO_PRICE, 15_000 * UNIT)  # 4 × 15 000 × 5 % = 3 000
    tilted = (leg("2", "10000"), leg("-1", "10000"))
    assert liquidation_band(3_000 * UNIT, tilted, SHIFT, table).lower == 8235_29411764  # 7000 / (1 - 0.15)


def test_a_path_is_judged_by_its_extremes() -> None:
    band = Band(90, 110)
    assert [band.is_reached(*path) for path in ((91, 109), (90, 100), (100, 110), (80, 120))] == [
        False,
        True,
        True,
        True,
    ]


ALL_ABOVE_ONE = (Bracket(0, UNIT, 1, 0, 0), Bracket(UNIT, 2 * UNIT, 1, UNIT, UNIT))
NOTHING_OWED = (Bracket(0, UNIT, 1, 0, 0),)

quantities = st.integers(-(10**6), 10**6).filter(bool)
shifts = st.integers(-2, 4)


@given(table=tables(), qty=quantities, entry=st.integers(1, 10**7), wallet=st.integers(-(10**12), 10**14), shift=shifts)
@example(table=(Bracket(0, UNIT, 1, UNIT, 0),), qty=5, entry=100, wallet=3, shift=0)  # all of the worth is owed
@example(  # half a unit beyond a cap, from where on all is owed
    table=(Bracket(0, UNIT, 1, 0, 0), Bracket(UNIT, 2 * UNIT, 1, UNIT, UNIT)),
    qty=-1,
    entry=10 * UNIT,
    wallet=1,
    shift=1,
)
def test_the_price_is_the_first_mark_at_which_the_condition_holds(
    table: BracketTable, qty: int, entry: int, wallet: int, shift: int
) -> None:
    legs = (Leg(qty, int(Fraction(qty * entry) / Fraction(10) ** shift)),)

    def falls(mark: int) -> bool:
        exact = linear_margin(wallet, legs, mark, shift, table)
        told = is_liquidated(wallet, margin_surplus(legs, mark, shift, table))
        assert told == (exact <= 0)  # judged by fractions and by what each part owes
        return told

    lower, upper = liquidation_band(wallet, legs, shift, table)
    if lower != NO_PRICE:
        assert falls(lower)
        assert falls(max(1, lower // 2))
        assert lower + 1 == upper or not falls(lower + 1)
    if upper != NO_PRICE:
        assert falls(upper)
        assert falls(upper * 2)
        assert upper == 1 or upper - 1 == lower or not falls(upper - 1)
    probe = max(1, entry)
    assert falls(probe) == Band(lower, upper).is_reached(probe, probe)


@given(
    table=tables(),
    long_qty=st.integers(0, 10**6),
    short_qty=st.integers(0, 10**6),
    entries=st.tuples(st.integers(1, 10**7), st.integers(1, 10**7)),
    wallet=st.integers(-(10**12), 10**14),
    shift=shifts,
    mark=st.integers(1, 2 * 10**7),
)
def test_a_hedge_is_liquidated_exactly_outside_its_band(
    table: BracketTable,
    long_qty: int,
    short_qty: int,
    entries: tuple[int, int],
    wallet: int,
    shift: int,
    mark: int,
) -> None:
    scale = Fraction(10) ** shift
    legs = (Leg(long_qty, int(long_qty * entries[0] / scale)), Leg(-short_qty, int(-short_qty * entries[1] / scale)))
    band = liquidation_band(wallet, legs, shift, table)
    marks = {mark, *(price + step for price in band for step in (-1, 0, 1) if price + step >= 1)}
    for one in marks:
        assert band.is_reached(one, one) == (linear_margin(wallet, legs, one, shift, table) <= 0)
        assert is_liquidated(wallet, margin_surplus(legs, one, shift, table)) == band.is_reached(one, one)


@given(qty=quantities, entry=st.integers(1, 10**7), wallet=st.integers(-(10**10), 10**13), shift=shifts)
def test_closing_at_the_bankruptcy_price_leaves_nothing_and_one_tick_on_too_little(
    qty: int, entry: int, wallet: int, shift: int
) -> None:
    position = Leg(qty, int(Fraction(qty * entry) / Fraction(10) ** shift))
    price = bankruptcy_price(wallet, position, shift)

    def balance(mark: int) -> Fraction:
        return wallet + Fraction(qty * mark) / Fraction(10) ** shift - position.basis

    worse = -1 if qty > 0 else 1
    if price != NO_PRICE:
        assert balance(price) >= 0 > balance(price + worse)
    else:  # a long that its wallet covers, or a short that is bankrupt at once
        assert balance(1) >= 0 if qty > 0 else balance(1) < 0


def test_a_liquidation_comes_before_bankruptcy() -> None:
    for position in (leg("1", "10000"), leg("-1", "10000")):
        band = liquidation_band(1_000 * UNIT, (position,), SHIFT, FAQ_TABLE)
        bankrupt = bankruptcy_price(1_000 * UNIT, position, SHIFT)
        assert bankrupt == (9_000 * UNIT if position.qty > 0 else 11_000 * UNIT)
        assert bankrupt < band.lower if position.qty > 0 else bankrupt > band.upper


@pytest.mark.parametrize(
    ("balance", "liquidated", "rate", "result"),
    [
        (500, 10_000, 1_250_000, Liquidation(125, 375, 0)),  # 1.25 %
        (500, 10_001, 1_250_000, Liquidation(126, 374, 0)),  # rounded up
        (100, 10_000, 1_250_000, Liquidation(100, 0, 0)),  # the wallet pays what it has
        (0, 10_000, 1_250_000, Liquidation(0, 0, 0)),
        (-70, 10_000, 1_250_000, Liquidation(0, 0, 70)),  # the insurance fund pays the rest
    ],
)
def test_what_a_liquidation_leaves(balance: int, liquidated: int, rate: int, result: Liquidation) -> None:
    assert liquidation_result(balance, liquidated, rate) == result


def test_a_large_position_is_reduced_bracket_by_bracket_until_it_is_safe() -> None:
    table = bracket_table((50_000, 50, "0.01"), (100_000, 20, "0.05"), (1_000_000, 10, "0.2"))
    long_ = leg("15", "10000")  # notional 150 000: owes 500 + 2 500 + 10 000 = 13 000
    mark = 10_000 * UNIT
    assert reduction_to_lower_bracket(long_.qty, mark, SHIFT, 1, table) == 5_000
    assert reductions(13_001 * UNIT, long_, mark, SHIFT, 1, 0, table) == ()
    # at 100 000 it owes 3 000, at 50 000 it owes 500; each step pays 1 % of what it closes
    assert reductions(13_000 * UNIT, long_, mark, SHIFT, 1, UNIT // 100, table) == (5_000,)
    assert reductions(3_500 * UNIT, long_, mark, SHIFT, 1, UNIT // 100, table) == (5_000, 5_000)
    assert reductions(1_500 * UNIT, long_, mark, SHIFT, 1, UNIT // 100, table) == (5_000, 5_000, 5_000)
    short = leg("-15", "10000")
    assert reductions(3_500 * UNIT, short, mark, SHIFT, 1, UNIT // 100, table) == (5_000, 5_000)
    # whole lots of 3: 6 of 15 leave 9 (of at most 10), 6 more leave 3, of at most 5
    assert reductions(3_000 * UNIT, long_, mark, SHIFT, 3_000, UNIT // 100, table) == (6_000, 6_000)


@given(table=tables(), qty=quantities, mark=st.integers(1, 10**9), shift=shifts, lot=st.integers(1, 1_000))
@example(table=ALL_ABOVE_ONE, qty=3, mark=UNIT * 2 // 5, shift=0, lot=1)  # 2.5 would be the cap
@example(table=ALL_ABOVE_ONE, qty=10 * UNIT + 5, mark=1, shift=1, lot=1)  # half a unit beyond the cap
def test_a_reduction_is_the_fewest_lots_that_reach_the_bracket_below(
    table: BracketTable, qty: int, mark: int, shift: int, lot: int
) -> None:
    scale = Fraction(10) ** shift
    closed = reduction_to_lower_bracket(qty, mark, shift, lot, table)
    floors = [one.floor for one in table if one.floor < Fraction(abs(qty) * mark) / scale]
    allowed = floors[-1]
    assert 0 < closed <= abs(qty)
    assert closed % lot == 0 or closed == abs(qty)
    assert Fraction((abs(qty) - closed) * mark) / scale <= allowed
    fewer = closed - lot if closed % lot == 0 else closed - closed % lot
    assume(fewer >= 0)
    assert Fraction((abs(qty) - fewer) * mark) / scale > allowed


@given(
    table=tables(),
    qty=quantities,
    entry=st.integers(1, 10**7),
    mark=st.integers(1, 10**7),
    wallet=st.integers(0, 10**14),
    shift=shifts,
    lot=st.integers(1, 1_000),
    fee_rate=st.integers(0, 2 * 10**6),
)
@example(table=NOTHING_OWED, qty=1, entry=10, mark=5, wallet=0, shift=1, lot=1, fee_rate=0)  # worth half a unit
@example(table=NOTHING_OWED, qty=1, entry=10, mark=5, wallet=1, shift=1, lot=1, fee_rate=0)
def test_reductions_stop_at_the_first_step_that_makes_the_rest_safe(
    table: BracketTable, qty: int, entry: int, mark: int, wallet: int, shift: int, lot: int, fee_rate: int
) -> None:
    scale = Fraction(10) ** shift
    position = Leg(qty, int(qty * entry / scale))
    steps = reductions(wallet, position, mark, shift, lot, fee_rate, table)
    assert (len(steps) > 0) == is_liquidated(wallet, margin_surplus((position,), mark, shift, table))
    assert len(steps) <= len(table)
    balance, held = wallet + qty * mark / scale - position.basis, abs(qty)
    for number in range(len(steps) + 1):
        surplus = balance - owed(table, held * mark / scale)
        slack = number + 1  # fees are rounded up by less than a unit each, the equity down by less than one
        if number < len(steps):
            assert surplus <= slack
            balance -= steps[number] * mark / scale * Fraction(fee_rate, UNIT)
            held -= steps[number]
        else:
            assert held == 0 or surplus > 0
