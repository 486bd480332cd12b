"""Option fees with their cap, and the margin of short options."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.option_rates import out_of_the_money, short_margin
from backtester.sim.options import option_fee
from backtester.sim.scales import ratio_of

UNIT = 10**8
RATE = 30_000  # 3 bps
EXERCISE = 15_000  # 1.5 bps


@pytest.mark.parametrize(
    ("underlying", "premium", "fee"),
    [
        # 1 BTC at 30 000, 3 bps: 9; 10 % of the premium
        (30_000, 500, 9),
        (30_000, 90, 9),  # the cap is just reached
        (30_000, 50, 5),  # and binds
        (30_000, 0, 0),
    ],
)
def test_a_fee_is_of_the_underlying_and_at_most_a_tenth_of_the_premium(underlying: int, premium: int, fee: int) -> None:
    assert option_fee(underlying * UNIT, premium * UNIT, RATE) == fee * UNIT


def test_what_expires_worthless_pays_no_exercise_fee() -> None:
    assert option_fee(30_000 * UNIT, 0, EXERCISE) == 0
    assert option_fee(30_000 * UNIT, 1_000 * UNIT, EXERCISE) == 450_000_000  # 1.5 bps of 30 000
    assert option_fee(30_000 * UNIT, 10 * UNIT, EXERCISE) == UNIT  # a tenth of the payoff


@given(underlying=st.integers(0, 10**16), amount=st.integers(0, 10**16), rate=st.integers(0, 10**6))
def test_a_fee_is_the_smaller_of_both_rounded_up(underlying: int, amount: int, rate: int) -> None:
    exact = min(Fraction(underlying * rate, UNIT), Fraction(amount, 10))
    assert option_fee(underlying, amount, rate) == ceil(exact)


def test_a_rebate_is_not_capped() -> None:
    assert option_fee(30_000 * UNIT, 10 * UNIT, -10_000) == -3 * UNIT


@pytest.mark.parametrize(
    ("is_call", "strike", "initial", "maintenance"),
    [
        # S 30 000, mark 100, 15 % and 10 % to open, 7.5 % and 5 % to keep: 4 500, 3 000, 2 250, 1 500
        (True, 29_000, 4_600, 2_350),  # in the money: nothing off
        (True, 31_000, 3_600, 1_600),  # 1 000 out of it: 3 500; 1 250 < 1 500
        (True, 40_000, 3_100, 1_600),  # far out: the minimum
        (False, 31_000, 4_600, 2_350),
        (False, 29_500, 4_100, 1_850),
    ],
)
def test_the_margin_of_a_short_option_by_hand(is_call: bool, strike: int, initial: int, maintenance: int) -> None:
    def margin(rate: int, min_rate: int) -> int:
        return short_margin(
            2_00, 10**6, 1, is_call=is_call, strike=strike, index=30_000, mark=100, rate=rate, min_rate=min_rate
        )

    # two contracts, of 10^-2, prices whole: shift 0 + 2 - 8
    assert margin(15_000_000, 10_000_000) == 2 * initial * UNIT
    assert margin(7_500_000, 5_000_000) == 2 * maintenance * UNIT


@given(
    qty=st.integers(1, 10**6), unit=st.sampled_from([1, 100, 1000]), is_call=st.booleans(),
    strike=st.integers(1, 10**9), index=st.integers(1, 10**9), mark=st.integers(0, 10**9),
    rates=st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), shift=st.integers(-6, 4),
)  # fmt: skip
def test_the_margin_of_a_short_option_by_fractions(
    qty: int, unit: int, is_call: bool, strike: int, index: int, mark: int, rates: tuple[int, int], shift: int
) -> None:
    otm = max(0, strike - index) if is_call else max(0, index - strike)
    assert out_of_the_money(is_call, strike, index) == otm
    rate, min_rate = (Fraction(one, UNIT) for one in rates)
    exact = (max(rate * index - otm, min_rate * index) + mark) * unit * qty / Fraction(10) ** shift
    mul, den = ratio_of(shift)
    told = short_margin(
        qty, unit * mul, den, is_call=is_call, strike=strike, index=index, mark=mark, rate=rates[0], min_rate=rates[1]
    )
    assert told == ceil(exact)
