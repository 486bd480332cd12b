"""Times as people write them, and the grids of timeframes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from backtester.core.errors import UsageError
from backtester.core.time import (
    DAY,
    HOUR,
    MINUTE,
    TIMEFRAMES,
    WEEK,
    first_open,
    format_time,
    last_open,
    month_of,
    parse_time,
    timeframe_us,
)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1970-01-01", 0),
        ("2024-01-31", 1_706_659_200_000_000),
        ("2024-01-31T12:00:00Z", 1_706_702_400_000_000),
        ("2024-01-31 12:00", 1_706_702_400_000_000),
        ("2024-01-31T14:00:00+02:00", 1_706_702_400_000_000),
        ("2024-01-31T12:00:00.000001", 1_706_702_400_000_001),
        (" 2024-01-31 ", 1_706_659_200_000_000),
    ],
)
def test_dates_and_iso_times_are_read_as_utc(text: str, time: int) -> None:
    assert parse_time(text) == time


@pytest.mark.parametrize("text", ["yesterday", "2024-13-01", "2024-02-30", "", "31/01/2024"])
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time") as caught:
        parse_time(text)
    assert "2024-01-31" in caught.value.hint


@given(integers(0, 4_000_000_000_000_000))
def test_a_written_time_reads_back_as_itself(time: int) -> None:
    assert parse_time(format_time(time)) == time


def test_midnight_is_written_as_a_date() -> None:
    assert format_time(parse_time("2024-02-29")) == "2024-02-29"
    assert format_time(parse_time("2024-02-29") + MINUTE) == "2024-02-29T00:01:00Z"


def test_an_unknown_timeframe_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="'7m'") as caught:
        timeframe_us("7m")
    assert "15m" in caught.value.hint
    assert timeframe_us("4h") == 4 * HOUR


def test_weeks_open_on_mondays_and_everything_else_at_midnight() -> None:
    monday = parse_time("2024-01-01")
    assert datetime(2024, 1, 1, tzinfo=UTC).weekday() == 0
    assert first_open(monday, WEEK) == last_open(monday, WEEK) == monday
    assert first_open(monday + DAY, WEEK) == monday + WEEK
    assert last_open(monday + 6 * DAY, WEEK) == monday
    assert last_open(monday + DAY, DAY) == monday + DAY
    assert (first_open(monday + MINUTE, HOUR), last_open(monday + MINUTE, HOUR)) == (monday + HOUR, monday)


@given(name=sampled_from(sorted(TIMEFRAMES)), time=integers(0, 10**16))
def test_a_grid_has_one_point_per_timeframe(name: str, time: int) -> None:
    length = timeframe_us(name)
    before, after = last_open(time, length), first_open(time, length)
    assert before <= time <= after
    assert after - before == (0 if before == time else length)
    assert first_open(before, length) == before


def test_the_month_is_that_of_utc() -> None:
    assert month_of(parse_time("2024-03-01") - 1) == "2024-02"
    assert month_of(parse_time("2024-03-01")) == "2024-03"
