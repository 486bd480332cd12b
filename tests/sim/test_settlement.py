"""Expiry: the mean of the index, delivery, and exercise in, at and out of the money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.sim.settlement import (
    DELIVERY_WINDOW,
    OPTION_WINDOW,
    is_sampled,
    option_payoff,
    settlement_price,
)

UNIT = 10**8
SECOND = 10**6
EIGHT = 8 * 3600 * SECOND


@pytest.mark.parametrize(("window", "samples"), [(DELIVERY_WINDOW, 3600), (OPTION_WINDOW, 1800)])
def test_the_seconds_before_expiry_count_and_expiry_itself_does_not(window: int, samples: int) -> None:
    times = range(EIGHT - 2 * 3600 * SECOND, EIGHT + 60 * SECOND, SECOND)
    counted = [time for time in times if is_sampled(time, EIGHT, window)]
    assert (len(counted), counted[0], counted[-1]) == (samples, EIGHT - window, EIGHT - SECOND)


def test_the_settlement_price_is_the_mean() -> None:
    assert settlement_price([100, 101, 103, 104]) == 102
    assert [settlement_price(pair) for pair in ([1, 2], [2, 3])] == [2, 2]  # halves to even
    assert settlement_price([7]) == 7
    with pytest.raises(ValueError, match="at least one"):
        settlement_price([])


@pytest.mark.parametrize(
    ("is_call", "settlement", "payoff"),
    [
        (True, 31_000, 1_000),  # in the money
        (True, 30_000, 0),  # at it
        (True, 29_000, 0),  # out of it
        (False, 29_000, 1_000),
        (False, 30_000, 0),
        (False, 31_000, 0),
    ],
)
def test_payoffs(is_call: bool, settlement: int, payoff: int) -> None:
    assert option_payoff(is_call, 30_000, settlement) == payoff


@given(settlement=st.integers(1, 10**7), strike=st.integers(1, 10**7))
def test_a_call_less_a_put_is_a_forward(settlement: int, strike: int) -> None:
    assert option_payoff(True, strike, settlement) - option_payoff(False, strike, settlement) == settlement - strike


def test_a_mean_in_coarser_units_is_rounded_once() -> None:
    # 100.04 and 100.05: 100.045 to one decimal is 100.0, not 100.1 by way of 100.05
    assert settlement_price([100_04, 100_05], 10) == 100_0
    assert settlement_price([100_10, 100_21], 10) == 100_2
