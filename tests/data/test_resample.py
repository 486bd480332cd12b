from collections.abc import Iterator
from itertools import pairwise
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.core.errors import UsageError
from backtester.core.time import DAY, HOUR, MINUTE, WEEK, parse_time
from backtester.data.columns import CandleColumns
from backtester.data.resample import derive_candles
from tests.support.profiles import examples

START = parse_time("2024-01-01")


def minutes(present: np.ndarray, seed: int = 1) -> CandleColumns:
    """Candles of the present minutes, with volumes whose sum depends on the order of addition."""
    numbers = np.random.default_rng(seed)
    n = len(present)
    opens = 100 + numbers.normal(size=n).cumsum()
    closes = opens + numbers.normal(size=n)
    highs, lows = np.maximum(opens, closes) + numbers.random(n), np.minimum(opens, closes) - numbers.random(n)
    times = START + present.astype(np.int64) * MINUTE
    return CandleColumns(times, opens, highs, lows, closes, numbers.random(n) * 10.0 ** numbers.integers(-8, 8, n))


def cut(candles: CandleColumns, at: list[int]) -> Iterator[CandleColumns]:
    edges = [0, *sorted(at), len(candles)]
    for start, stop in pairwise(edges):
        yield candles.slice(start, stop)


def derived(batches: Iterator[CandleColumns], length: int, **span: int) -> CandleColumns | None:
    parts = list(derive_candles(batches, MINUTE, length, **span))
    return CandleColumns.concat(parts) if parts else None


def one_by_one(candles: CandleColumns, length: int) -> list[tuple[int, float, float, float, float, float, bool]]:
    """The plain way: a loop over candles."""
    out: list[list[float]] = []
    for i in range(len(candles)):
        time = int(candles.open_time[i])
        start = time - (time - (4 * DAY if length == WEEK else 0)) % length
        o, h, low, c, v = (float(getattr(candles, n)[i]) for n in ("open", "high", "low", "close", "volume"))
        if out and out[-1][0] == start:
            last = out[-1]
            out[-1] = [start, last[1], max(last[2], h), min(last[3], low), c, last[5] + v, last[6] + 1]
        else:
            out.append([start, o, h, low, c, v, 1])
    return [(int(r[0]), *r[1:6], r[6] == length // MINUTE) for r in out]  # type: ignore[misc]


def as_tuples(candles: CandleColumns | None) -> list[tuple[int, float, float, float, float, float, bool]]:
    if candles is None:
        return []
    names = ("open_time", "open", "high", "low", "close", "volume", "complete")
    return list(zip(*(getattr(candles, name).tolist() for name in names), strict=True))


@settings(max_examples=examples(60), deadline=None)
@given(
    gone=st.sets(st.integers(0, 299), max_size=120),
    at=st.lists(st.integers(0, 300), max_size=12),
    length=st.sampled_from([3 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR]),
    seed=st.integers(0, 99),
)
def test_derived_candles_are_the_same_bits_however_the_input_is_cut(
    gone: set[int], at: list[int], length: int, seed: int
) -> None:
    candles = minutes(np.array([i for i in range(300) if i not in gone]), seed)
    end = START + 300 * MINUTE
    expected = one_by_one(candles, length)
    assert as_tuples(derived(iter([candles]), length, end=end)) == expected
    assert as_tuples(derived(cut(candles, [min(i, len(candles)) for i in at]), length, end=end)) == expected
    single = (candles.slice(i, i + 1) for i in range(len(candles)))
    assert as_tuples(derived(single, length, end=end)) == expected


def test_volumes_are_added_in_time_order_not_in_pairs() -> None:
    candles = minutes(np.arange(1440))
    found = derived(iter([candles]), DAY)
    assert found is not None
    total = 0.0
    for volume in candles.volume.tolist():
        total += volume
    assert found.volume[0] == total
    assert total != fsum(candles.volume)  # so the order of addition is visible at all


def test_a_candle_with_a_missing_minute_is_incomplete() -> None:
    found = derived(iter([minutes(np.array([0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]))]), 5 * MINUTE)
    assert found is not None
    assert found.complete is not None
    assert found.complete.tolist() == [True, False, True]


def test_an_interval_without_any_minute_yields_nothing() -> None:
    found = derived(iter([minutes(np.array([0, 1, 2, 3, 4, 10, 11, 12, 13, 14]))]), 5 * MINUTE)
    assert found is not None
    assert ((found.open_time - START) // MINUTE).tolist() == [0, 10]


def test_the_last_candle_is_withheld_until_its_interval_has_passed() -> None:
    candles = minutes(np.arange(8))
    for end, opens in ((START + 8 * MINUTE, [0]), (START + 10 * MINUTE, [0, 5])):
        found = derived(iter([candles]), 5 * MINUTE, end=end)
        assert found is not None
        assert ((found.open_time - START) // MINUTE).tolist() == opens
    assert len(derived(iter([candles]), 5 * MINUTE) or ()) == 1
    assert len(derived(iter([minutes(np.arange(10))]), 5 * MINUTE) or ()) == 2


def test_a_candle_that_begins_before_the_range_is_withheld() -> None:
    found = derived(iter([minutes(np.arange(3, 10))]), 5 * MINUTE, start=START + 3 * MINUTE)
    assert found is not None
    assert ((found.open_time - START) // MINUTE).tolist() == [5]


def test_weeks_open_on_mondays() -> None:
    monday = parse_time("2024-01-01")
    days = np.arange(14, dtype=np.int64)
    ones = np.ones(14)
    daily = CandleColumns(monday + days * DAY, ones, ones, ones, ones, ones)
    weeks = CandleColumns.concat(list(derive_candles(iter([daily]), DAY, WEEK)))
    assert weeks.open_time.tolist() == [monday, monday + WEEK]
    assert weeks.volume.tolist() == [7.0, 7.0]
    assert weeks.complete is not None
    assert weeks.complete.all()


def test_an_incomplete_part_makes_an_incomplete_whole() -> None:
    candles = minutes(np.arange(5))
    flags = np.array([True, True, False, True, True])
    part = CandleColumns(*(getattr(candles, n) for n in ("open_time", "open", "high", "low", "close", "volume")), flags)
    found = derived(iter([part]), 5 * MINUTE)
    assert found is not None
    assert found.complete is not None
    assert found.complete.tolist() == [False]


def test_only_multiples_can_be_derived() -> None:
    with pytest.raises(UsageError, match="cannot be derived"):
        list(derive_candles(iter([]), 2 * HOUR, 3 * HOUR))
