import pytest

from backtester.core.errors import UsageError
from backtester.search.grid import combinations, parse_axis, parse_grid


def test_a_range_has_both_its_ends() -> None:
    assert parse_axis("fast=5:20:5").values == (5, 10, 15, 20)
    assert parse_axis("fast=5:19:5").values == (5, 10, 15)


def test_a_range_of_decimals_is_counted_in_decimals() -> None:
    assert parse_axis("stop=0.1:0.3:0.1").values == (0.1, 0.2, 0.3)


def test_a_list_keeps_its_order_and_says_each_value_once() -> None:
    assert parse_axis("mode=b,a,b,1,1.5,true").values == ("b", "a", 1, 1.5, True)


def test_the_last_axis_varies_fastest() -> None:
    found = list(combinations(parse_grid(["a=1,2", "b=x,y"])))
    assert [(one.number, one.values["a"], one.values["b"]) for one in found] == [
        (0, 1, "x"), (1, 1, "y"), (2, 2, "x"), (3, 2, "y"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["fast"], "is not name=values"),
        (["fast="], "is not name=values"),
        (["fast=1:x:2"], "must be numbers"),
        (["fast=1:nan:2"], "must be numbers"),
        (["fast=5:1:1"], "step must be positive"),
        (["fast=1:5:0"], "step must be positive"),
        (["fast=1,,2"], "empty value"),
        (["fast=1:9:1", "fast=2"], "twice"),
        (["a=1:1000000:1"], "at most"),
        (["a=1:1000:1", "b=1:1000:1"], "combinations, at most"),
        ([], "nothing is varied"),
    ],
)
def test_what_makes_no_grid_is_refused_with_what_is_wrong(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_grid(texts)
