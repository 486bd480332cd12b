"""A rule that looks back says neither yes nor no where what it looks at has no value."""

from typing import Any

import numpy as np
import pytest

from backtester.strategy.composed.parts import Applied
from backtester.strategy.composed.rules import RULES

NAN = float("nan")


@pytest.mark.parametrize(
    ("rule", "a", "b", "params", "answers"),
    [
        ("crosses_above", [1, NAN, 3, 1, 3], [2, 2, 2, 2, 2], {}, [NAN, NAN, NAN, 0, 1]),
        ("crosses_below", [3, 3, 1, 1], [2, NAN, 2, 2], {}, [NAN, NAN, NAN, 0]),
        ("breaks_above", [1, 1, 3, NAN, 3], [NAN, NAN, 2, 2, 2], {}, [NAN, NAN, 1, NAN, NAN]),
        ("breaks_below", [3, 3, 1, NAN, 1], [NAN, NAN, 2, 2, 2], {}, [NAN, NAN, 1, NAN, NAN]),
        ("stays_above", [3, 3, NAN, 3, 3], [2, 2, 2, 2, 2], {"candles": 2}, [NAN, 1, NAN, NAN, 1]),
        ("stays_below", [3, 1, 1, NAN, 1], [2, 2, 2, 2, 2], {"candles": 2}, [NAN, 0, 1, NAN, NAN]),
        ("rises", [1, 2, NAN, 3, 4], None, {"candles": 1}, [NAN, 1, NAN, NAN, 1]),
        ("falls", [1, 2, NAN, 3, 2], None, {"candles": 1}, [NAN, 0, NAN, NAN, 1]),
        ("above", [1, NAN, 3], [2, 2, 2], {}, [0, NAN, 1]),
    ],
)
def test_a_rule_that_looks_back_is_not_known_where_an_earlier_row_is_not(
    rule: str, a: list[float], b: list[float] | None, params: dict[str, Any], answers: list[float]
) -> None:
    columns = [np.array(one, dtype=float) for one in (a, b) if one is not None]
    applied = Applied(RULES[rule], dict.fromkeys(RULES[rule].operands))
    np.testing.assert_array_equal(applied(*columns, **params), answers)


def test_a_number_in_the_place_of_a_column_is_always_known() -> None:
    applied = Applied(RULES["crosses_above"], {"a": None, "b": 2.0})
    np.testing.assert_array_equal(applied(np.array([1.0, 3.0, 4.0])), [NAN, 1, 0])


def test_fewer_rows_than_a_rule_looks_at_are_all_unknown() -> None:
    applied = Applied(RULES["stays_above"], {"a": None, "b": 2.0})
    np.testing.assert_array_equal(applied(np.array([3.0, 3.0]), candles=5), [NAN, NAN])
