"""Inverse contracts: worth in coin, profit, fees and liquidation, by hand and by fractions."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backtester.sim.brackets import Bracket, BracketTable
from backtester.sim.inverse import (
    bankruptcy_price,
    coin_of,
    contract_unit,
    fill_fee,
    liquidation_band,
    margin_surplus,
    position_after,
    profit_of,
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


def test_a_long_gains_coin_when_the_price_rises_and_a_short_when_it_falls() -> None:
    # 400 contracts at 40 000: 1 BTC. At 50 000 they are worth 0.8, at 32 000 1.25
    long_, short = Leg(400, UNIT), Leg(-400, -UNIT)
    assert [profit_of(long_, price, BTC) for price in (50_000_0, 40_000_0, 32_000_0)] == [20_000_000, 0, -25_000_000]
    assert [profit_of(short, price, BTC) for price in (50_000_0, 40_000_0, 32_000_0)] == [-20_000_000, 0, 25_000_000]


def test_fees_are_of_the_worth_in_coin() -> None:
    assert fill_fee(400, 40_000_0, BTC, 5 * BPS) == 50_000  # 5 bps of 1 BTC
    assert fill_fee(-1, 30_000_0, BTC, 5 * BPS) == 167  # 166.67 up
    assert fill_fee(1, 30_000_0, BTC, -1 * BPS) == -33  # a rebate toward zero


def test_adding_reducing_and_flipping() -> None:
    held, profit = position_after(Leg(0, 0), 400, 40_000_0, BTC)
    assert (held, profit) == (Leg(400, UNIT), 0)
    held, profit = position_after(held, 400, 50_000_0, BTC)
    assert (held, profit) == (Leg(800, 180_000_000), 0)  # 1 + 0.8 BTC
    held, profit = position_after(held, -200, 50_000_0, BTC)
    assert (held, profit) == (Leg(600, 135_000_000), 5_000_000)  # 0.45 released, worth 0.4
    held, profit = position_after(held, -1_000, 50_000_0, BTC)
    assert (held, profit) == (Leg(-400, -80_000_000), 15_000_000)  # 1.35 less 1.2, then 400 short at 0.8
    held, profit = position_after(held, 400, 40_000_0, BTC)
    assert (held, profit) == (Leg(0, 0), 20_000_000)


def test_a_partial_close_releases_basis_against_the_trader_and_the_last_one_the_rest() -> None:
    worth = coin_of(1, 50_000_0, BTC)
    held, profit = position_after(Leg(3, 1_000_000), -1, 50_000_0, BTC)
    assert (held, profit) == (Leg(2, 666_667), 333_333 - worth)
    held, profit = position_after(held, -2, 50_000_0, BTC)
    assert (held, profit) == (Leg(0, 0), 666_667 - 2 * worth)
    held, profit = position_after(Leg(-3, -1_000_000), 1, 50_000_0, BTC)
    assert (held, profit) == (Leg(-2, -666_666), worth - 333_334)


fills = st.tuples(st.integers(-1000, 1000).filter(bool), st.integers(1_000_0, 90_000_0))


@given(orders=st.lists(fills, min_size=1, max_size=12), last=st.integers(1_000_0, 90_000_0))
def test_profit_realised_and_open_is_what_the_fills_are_worth_against_the_last_price(
    orders: list[tuple[int, int]], last: int
) -> None:
    held, realised = Leg(0, 0), 0
    for qty, price in orders:
        held, profit = position_after(held, qty, price, BTC)
        realised += profit
    exact = sum((Fraction(qty * BTC, price) - Fraction(qty * BTC, last) for qty, price in orders), Fraction(0))
    assert held.qty == sum(qty for qty, _ in orders)
    # each fill rounds at most twice by half a unit, and the valuation once
    assert abs(realised + profit_of(held, last, BTC) - exact) <= len(orders) + Fraction(1, 2)


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


@given(qty=quantities, price=prices, rate=st.integers(0, 10**7))
def test_a_fee_is_never_less_than_its_rate_of_what_was_charged(qty: int, price: int, rate: int) -> None:
    worth = abs(coin_of(qty, price, BTC))
    assert fill_fee(qty, price, BTC, rate) == ceil(Fraction(worth * rate, UNIT))
