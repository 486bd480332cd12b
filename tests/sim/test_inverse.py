"""Inverse contracts: worth in coin, profit, fees and liquidation, by hand and by fractions."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backtester.sim.brackets import Bracket, BracketTable
from backtester.sim.inverse import (
    bankruptcy_price,
    coin_of,
    contract_unit,
    cost_of,
    liquidation_band,
    lots_for_budget,
    margin_surplus,
    reduction_to_lower_bracket,
)
from backtester.sim.liquidation import NO_PRICE, Band, Leg, is_liquidated
from tests.sim.derivatives import UNIT, bracket_table, inverse_margin, tables

# BTCUSD_PERP: 100 USD a contract, whole contracts, prices with one decimal
BTC = contract_unit(100 * UNIT, price_exponent=1, qty_exponent=0)
BPS = 10_000


def test_the_worth_of_contracts_by_hand() -> None:
    assert coin_of(1, 40_000_0, BTC) == 250_000  # 100 / 40 000 = 0.0025 BTC
    assert coin_of(-400, 40_000_0, BTC) == -UNIT
    assert coin_of(1, 30_000_0, BTC) == 333_333
    with pytest.raises(ValueError, match="no whole unit"):
        contract_unit(5, price_exponent=0, qty_exponent=1)


def test_costs_are_of_the_worth_in_coin_fees_up_and_rebates_toward_zero() -> None:
    assert cost_of(400, 40_000_0, 5 * BPS, BTC) == UNIT + 50_000  # 5 bps of 1 BTC
    assert cost_of(1, 30_000_0, 5 * BPS, BTC) == 333_333 + 167  # 166.67 up
    assert cost_of(1, 30_000_0, -1 * BPS, BTC) == 333_333 - 33


def test_a_budget_of_coin_buys_more_contracts_at_a_higher_price() -> None:
    # 1 coin at 40 000 is 400 contracts of 100 USD; with a fee of 5 bps 399.8
    assert lots_for_budget(UNIT, 40_000_0, 1, 0, BTC) == 400
    assert lots_for_budget(UNIT, 40_000_0, 1, 5 * BPS, BTC) == 399
    assert lots_for_budget(UNIT, 50_000_0, 10, 5 * BPS, BTC) == 490
    assert lots_for_budget(0, 40_000_0, 1, 0, BTC) == lots_for_budget(UNIT, 0, 1, 0, BTC) == 0


@given(
    budget=st.integers(1, 10**12),
    price=st.integers(1, 10**7),
    rate=st.integers(-(10**6), 10**7),
    lot=st.integers(1, 50),
    unit=st.sampled_from([BTC, 10 * UNIT, 7]),
)
def test_a_budget_buys_what_fits_and_a_lot_more_would_not(
    budget: int, price: int, rate: int, lot: int, unit: int
) -> None:
    qty = lots_for_budget(budget, price, lot, rate, unit)
    assert qty % lot == 0
    assert qty == 0 or cost_of(qty, price, rate, unit) <= budget
    assert cost_of(qty + lot, price, rate, unit) > budget


def test_a_reduction_leaves_the_lower_bracket() -> None:
    table = bracket_table((1, 100, "0.005"), (5, 50, "0.01"))
    # 800 contracts at 40 000 are 2 coins: the lower bracket holds 400 of them, at 20 000 only 200
    assert reduction_to_lower_bracket(800, 40_000_0, BTC, 1, table) == 400
    assert reduction_to_lower_bracket(-800, 20_000_0, BTC, 1, table) == 600
    assert reduction_to_lower_bracket(801, 40_000_0, BTC, 10, table) == 410
    assert reduction_to_lower_bracket(300, 40_000_0, BTC, 1, table) == 300  # the lowest: all


def test_liquidation_prices_by_hand() -> None:
    table = bracket_table((100, 100, "0.005"))
    # 400 contracts (1 BTC at 40 000) with 0.1 BTC: long 40 000 × 1.005 / 1.1, short 40 000 × 0.995 / 0.9
    unit = contract_unit(100 * UNIT, price_exponent=8, qty_exponent=0)
    long_ = liquidation_band(UNIT // 10, (Leg(400, UNIT),), unit, table)
    short = liquidation_band(UNIT // 10, (Leg(-400, -UNIT),), unit, table)
    assert long_ == Band(36_545_45454545, NO_PRICE)
    assert short == Band(NO_PRICE, 44_222_22222223)
    assert bankruptcy_price(UNIT // 10, Leg(400, UNIT), unit) == 36_363_63636364
    assert bankruptcy_price(UNIT // 10, Leg(-400, -UNIT), unit) == 44_444_44444444


def test_a_short_with_all_its_worth_as_collateral_cannot_be_liquidated() -> None:
    table = bracket_table((100, 100, "0.005"))
    short = Leg(-400, -UNIT)
    assert liquidation_band(UNIT, (short,), BTC, table) == Band(NO_PRICE, NO_PRICE)
    assert bankruptcy_price(UNIT, short, BTC) == NO_PRICE
    assert bankruptcy_price(-UNIT, Leg(400, UNIT), BTC) == NO_PRICE  # a long that no price can save
    # a long with as much falls at half its entry: 40 000 × 1.005 / 2
    assert liquidation_band(UNIT, (Leg(400, UNIT),), BTC, table).lower == 20_100_0


quantities = st.integers(-(10**5), 10**5).filter(bool)
prices = st.integers(1, 10**6)
units = st.sampled_from([BTC, 10 * UNIT, contract_unit(10 * UNIT, 3, 0)])


@given(table=tables(), qty=quantities, entry=prices, wallet=st.integers(-(10**9), 10**12), unit=units, probe=prices)
@example(  # one mark above its entry a long has a thousandth of a unit
    table=(Bracket(0, UNIT, 1, 0, 0),), qty=1, entry=10**6, wallet=0, unit=10 * UNIT, probe=10**6 + 1
)
@example(  # half a unit beyond a cap, from where on all is owed
    table=(Bracket(0, UNIT, 1, 0, 0), Bracket(UNIT, 2 * UNIT, 1, UNIT, UNIT)),
    qty=-1,
    entry=2,
    wallet=0,
    unit=2 * UNIT + 1,
    probe=2,
)
def test_the_price_is_the_first_mark_at_which_the_condition_holds(
    table: BracketTable, qty: int, entry: int, wallet: int, unit: int, probe: int
) -> None:
    legs = (Leg(qty, coin_of(qty, entry, unit)),)
    band = liquidation_band(wallet, legs, unit, table)
    for mark in {probe, *(price + step for price in band for step in (-1, 0, 1) if price + step >= 1)}:
        exact = inverse_margin(wallet, legs, mark, unit, table)
        assert is_liquidated(wallet, margin_surplus(legs, mark, unit, table)) == (exact <= 0)
        assert band.is_reached(mark, mark) == (exact <= 0)


@given(
    table=tables(),
    qtys=st.tuples(st.integers(0, 10**5), st.integers(0, 10**5)),
    entries=st.tuples(prices, prices),
    wallet=st.integers(-(10**9), 10**12),
    probe=prices,
)
def test_a_hedge_is_liquidated_exactly_outside_its_band(
    table: BracketTable, qtys: tuple[int, int], entries: tuple[int, int], wallet: int, probe: int
) -> None:
    legs = (Leg(qtys[0], coin_of(qtys[0], entries[0], BTC)), Leg(-qtys[1], coin_of(-qtys[1], entries[1], BTC)))
    band = liquidation_band(wallet, legs, BTC, table)
    for mark in {probe, *(price + step for price in band for step in (-1, 0, 1) if price + step >= 1)}:
        assert band.is_reached(mark, mark) == (inverse_margin(wallet, legs, mark, BTC, table) <= 0)


@given(qty=quantities, entry=prices, wallet=st.integers(-(10**9), 10**12))
def test_closing_at_the_bankruptcy_price_leaves_nothing_and_one_tick_on_too_little(
    qty: int, entry: int, wallet: int
) -> None:
    position = Leg(qty, coin_of(qty, entry, BTC))
    price = bankruptcy_price(wallet, position, BTC)

    def balance(mark: int) -> Fraction:
        return wallet + position.basis - Fraction(qty * BTC, mark)

    worse = price - 1 if qty > 0 else price + 1
    if price != NO_PRICE:
        assert balance(price) >= 0
        assert worse == 0 or balance(worse) < 0
    elif qty > 0:
        assert wallet + position.basis <= 0  # however high the price, the worth does not vanish
    else:
        assert wallet + position.basis >= 0 or balance(1) < 0
