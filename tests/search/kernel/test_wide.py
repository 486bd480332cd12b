from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backtester.core.numbers import CEIL, FLOOR, HALF_EVEN, mul_div
from backtester.search.kernel.compiling import compiled
from backtester.search.kernel.wide import mul_div_wide

pytest.importorskip("numba")
MOST = 2**63 - 1


@pytest.fixture(scope="module")
def wide() -> Any:
    return compiled(mul_div_wide)


numbers = st.integers(-MOST, MOST) | st.integers(-(10**6), 10**6)


@given(numbers, numbers, st.integers(1, MOST) | st.integers(1, 1000), st.sampled_from([FLOOR, CEIL, HALF_EVEN]))
@example(MOST, MOST, MOST, HALF_EVEN)
@example(-MOST, MOST, MOST, FLOOR)
@example(3 * 10**18, 5, 2 * 10**18, HALF_EVEN)
@example(MOST, 1, 2, HALF_EVEN)
@example(2**62, 3, 2**63 - 2, CEIL)
def test_the_compiled_product_is_that_of_unbounded_integers_or_says_that_it_cannot(
    wide: Any, a: int, b: int, den: int, rounding: int
) -> None:
    expected = mul_div(a, b, den, rounding)
    try:
        found = wide(a, b, den, rounding)
    except OverflowError:
        assert abs(expected) >= 2**63 - 1
    else:
        assert found == expected
