"""What holds when: the last version with date <= instant, before all dates the first."""

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, integers, lists

from backtester.core.timeline import EVER, Timeline

VERSIONS = dictionaries(integers(0, 60), integers(0, 3), min_size=1, max_size=8)


def plainly(versions: dict[int, int], time: int) -> int:
    """The definition, word for word."""
    before = [date for date in versions if date <= time]
    return versions[max(before) if before else min(versions)]


@given(versions=VERSIONS, times=lists(integers(-5, 70), min_size=1, max_size=30))
def test_a_look_up_finds_the_last_version_not_after_the_time_in_any_order_of_asking(
    versions: dict[int, int], times: list[int]
) -> None:
    timeline = Timeline(versions.items())
    assert [timeline.at(time) for time in times] == [plainly(versions, time) for time in times]


@given(versions=VERSIONS, start=integers(-5, 65), length=integers(1, 40))
def test_a_part_holds_just_the_versions_of_its_range(versions: dict[int, int], start: int, length: int) -> None:
    whole = Timeline(versions.items())
    part = whole.between(start, start + length)
    range_ = range(start, start + length)
    assert [part.at(time) for time in range_] == [whole.at(time) for time in range_]
    held = {max((d for d in versions if d <= time), default=min(versions)) for time in range_}
    assert set(part.dates) == held


@given(versions=VERSIONS, time=integers(-5, 70))
def test_mapping_keeps_what_holds_and_joins_equal_neighbours(versions: dict[int, int], time: int) -> None:
    mapped = Timeline(versions.items()).map(lambda value: value // 2)
    assert mapped.at(time) == plainly(versions, time) // 2
    assert all(a != b for a, b in zip(mapped.values, mapped.values[1:], strict=False))


def test_a_constant_always_held() -> None:
    constant = Timeline.constant("it")
    assert (constant.at(EVER), constant.at(2**62), constant.dates) == ("it", "it", (EVER,))


@pytest.mark.parametrize("versions", [[], [(1, "a"), (1, "b")]])
def test_no_version_or_two_of_one_date_make_no_timeline(versions: list[tuple[int, str]]) -> None:
    with pytest.raises(ValueError, match="versions need dates of their own"):
        Timeline(versions)
