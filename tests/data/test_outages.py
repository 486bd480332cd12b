from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.time import MINUTE, parse_time
from backtester.data.gap_report import covering
from backtester.data.gaps import within, without
from backtester.data.lake import Lake
from backtester.data.manifest import MANIFEST_NAME
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Outage
from backtester.data.rebuilding import rebuild_manifest

START = parse_time("2024-01-01")
SERIES = ("spot", "klines", "BTCUSDT", "1m")
MINUTES = st.tuples(st.integers(0, 40), st.integers(1, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def outage(first: int, last: int) -> Outage:
    return Outage(*SERIES, START + first * MINUTE, START + last * MINUTE, "nobody has it", 1)


@pytest.fixture
def root(tmp_path: Path, candles, put) -> Path:
    """Minutes 0 and 1, then 5 and 6 of a day: 2, 3 and 4 are missing."""
    put(tmp_path, candles([1, 2]))
    put(tmp_path, candles([3, 4], start="2024-01-01T00:05:00Z"))
    return tmp_path


def test_an_outage_is_a_gap_that_is_known(root: Path) -> None:
    with ManifestWriter(root) as writer:
        writer.note(outage(2, 4))
    lake = Lake(root)
    span = (START, START + 7 * MINUTE)
    assert lake.gaps(*SERIES, *span) == [(START + 2 * MINUTE, START + 5 * MINUTE)]
    assert lake.unknown_gaps(*SERIES, *span) == [(START + 4 * MINUTE, START + 5 * MINUTE)]
    assert lake.outages("spot", "klines", "ETHUSDT", "1m") == []


def test_outages_outlive_a_rebuilt_manifest_and_a_torn_one_never_happened(root: Path) -> None:
    with ManifestWriter(root) as writer:
        writer.note(outage(2, 5))
    text = (root / MANIFEST_NAME).read_bytes()
    (root / MANIFEST_NAME).write_bytes(text[:-1])
    assert Lake(root).outages(*SERIES) == []
    (root / MANIFEST_NAME).write_bytes(text)
    rebuild_manifest(root)
    assert Lake(root).outages(*SERIES) == [outage(2, 5)]
    assert Lake(root).unknown_gaps(*SERIES, START, START + 7 * MINUTE) == []


@given(gaps=st.lists(MINUTES, max_size=5), known=st.lists(MINUTES, max_size=5))
def test_what_is_left_of_gaps_is_in_a_gap_and_in_nothing_known(gaps, known) -> None:
    def inside(ranges: list[tuple[int, int]]) -> set[int]:
        return {minute for low, high in ranges for minute in range(low, high)}

    left = without(gaps, known)
    assert inside(left) == inside(gaps) - inside(known)
    assert left == sorted(left)
    assert all(low < high for low, high in left)


@given(ranges=st.lists(MINUTES, max_size=20), queries=st.lists(MINUTES, max_size=20))
def test_ranges_that_hold_a_query_are_counted(ranges, queries) -> None:
    expected = [sum(low <= start and end <= high for low, high in ranges) for start, end in queries]
    assert covering(ranges, queries) == expected


def test_a_series_with_very_many_gaps_is_looked_through_in_one_go() -> None:
    count = 200_000
    gaps = [(3 * n, 3 * n + 1) for n in range(count)]
    known = [(6 * n, 6 * n + 1) for n in range(count // 2)]
    assert len(without(gaps, known)) == len(within(gaps, known)) == count // 2
    assert sum(covering(gaps, gaps)) == count
