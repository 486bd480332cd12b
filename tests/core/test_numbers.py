"""Exact numbers, judged by fractions and by decimals worked by hand."""

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis.strategies import decimals, integers

from backtester.core import numbers
from backtester.core.numbers import CEIL, FLOOR, HALF_EVEN, mul_div

anything = integers(-(10**30), 10**30)
positive = integers(1, 10**20)


@given(a=anything, b=anything, den=positive)
def test_mul_div_rounds_as_named_for_every_sign(a: int, b: int, den: int) -> None:
    exact = Fraction(a * b, den)
    assert mul_div(a, b, den, FLOOR) == floor(exact)
    assert mul_div(a, b, den, CEIL) == ceil(exact)
    assert mul_div(a, b, den, HALF_EVEN) == round(exact)  # Fraction rounds half to even


@given(half=integers(-(10**12), 10**12), den=integers(1, 10**9))
def test_mul_div_takes_a_tie_to_the_even_neighbour(half: int, den: int) -> None:
    odd = 2 * half + 1
    result = mul_div(odd, den, 2 * den, HALF_EVEN)  # exactly half + 1/2
    assert result % 2 == 0
    assert abs(Fraction(odd, 2) - result) == Fraction(1, 2)


@pytest.mark.parametrize(
    ("a", "b", "den", "down", "up", "even"),
    [
        (7, 1, 2, 3, 4, 4),
        (5, 1, 2, 2, 3, 2),
        (-5, 1, 2, -3, -2, -2),
        (-7, 1, 2, -4, -3, -4),
        (10, 3, 4, 7, 8, 8),
        (-1, 1, 3, -1, 0, 0),
        (6, 2, 4, 3, 3, 3),
        (0, 9, 7, 0, 0, 0),
    ],
)
def test_mul_div_by_hand(a: int, b: int, den: int, down: int, up: int, even: int) -> None:
    assert [mul_div(a, b, den, r) for r in (FLOOR, CEIL, HALF_EVEN)] == [down, up, even]


@given(qty=integers(0, 10**18), price=integers(0, 10**18), shift=integers(-8, 12))
def test_notional_is_the_half_even_product_in_money(qty: int, price: int, shift: int) -> None:
    assert numbers.notional_of(qty, price, shift) == round(Fraction(qty * price) / Fraction(10) ** shift)


@given(value=anything, step=positive)
def test_floor_to_and_ceil_to_enclose_a_value_in_neighbouring_multiples(value: int, step: int) -> None:
    low, high = numbers.floor_to(value, step), numbers.ceil_to(value, step)
    assert low % step == 0
    assert high % step == 0
    assert low <= value <= high
    assert high - low in (0, step)
    assert (high == low) == (value % step == 0)


@pytest.mark.parametrize(
    ("units", "exponent", "text"),
    [
        (0, 0, "0"),
        (0, 2, "0.00"),
        (5, 8, "0.00000005"),
        (-5, 2, "-0.05"),
        (123456, 2, "1234.56"),
        (-123456, 2, "-1234.56"),
        (100, 2, "1.00"),
        (-7, 0, "-7"),
        (10**30, 8, "1" + "0" * 22 + "." + "0" * 8),
    ],
)
def test_fixed_is_plain_and_keeps_every_decimal(units: int, exponent: int, text: str) -> None:
    assert numbers.fixed(units, exponent) == text


@given(units=anything, exponent=integers(0, 12))
def test_fixed_says_exactly_the_number(units: int, exponent: int) -> None:
    text = numbers.fixed(units, exponent)
    assert Fraction(text) == Fraction(units, 10**exponent)
    assert "e" not in text.lower()
    assert len(text.partition(".")[2]) == exponent


@given(units=anything, exponent=integers(0, 12))
def test_a_decimal_is_exact_and_of_its_scale(units: int, exponent: int) -> None:
    value = numbers.decimal(units, exponent)
    assert Fraction(value) == Fraction(units, 10**exponent)
    assert value.as_tuple().exponent == -exponent


@pytest.mark.parametrize(
    ("number", "meant"),
    [(0.1, "0.1"), (1e-8, "0.00000001"), (3, "3"), ("0.30", "0.30"), (Decimal("7.5"), "7.5"), (42000.1, "42000.1")],
)
def test_a_float_means_its_shortest_text(number: object, meant: str) -> None:
    assert numbers.decimal_of(number) == Decimal(meant)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "-inf", "NaN", "ten", Decimal("Infinity"), ""])
def test_what_is_not_finite_or_no_number_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="not a"):
        numbers.decimal_of(number)  # type: ignore[arg-type]


@given(value=decimals(min_value=-(10**12), max_value=10**12, places=9), exponent=integers(0, 10))
def test_units_of_rounds_as_named(value: Decimal, exponent: int) -> None:
    exact = Fraction(value) * 10**exponent
    assert numbers.units_of(value, exponent, FLOOR) == floor(exact)
    assert numbers.units_of(value, exponent, CEIL) == ceil(exact)


@given(value=decimals(min_value=-(10**12), max_value=10**12, places=6), exponent=integers(0, 8))
def test_exact_units_refuses_what_does_not_fit(value: Decimal, exponent: int) -> None:
    exact = Fraction(value) * 10**exponent
    if exact.denominator == 1:
        assert numbers.exact_units(value, exponent) == exact
    else:
        with pytest.raises(ValueError, match=f"more than {exponent} decimals"):
            numbers.exact_units(value, exponent)


@pytest.mark.parametrize(("text", "decimals_needed"), [("0.10", 1), ("1", 0), ("100", 0), ("1E+3", 0), ("0.00001", 5)])
def test_decimals_of_counts_what_is_needed_not_what_is_written(text: str, decimals_needed: int) -> None:
    assert numbers.decimals_of(Decimal(text)) == decimals_needed
