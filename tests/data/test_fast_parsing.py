"""Numbers straight from the bytes, against every block read as text first: the same values, problems and lines."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtester.core.errors import DataError
from backtester.data.downloader import csv_tables
from backtester.data.downloader.parsing import joined, parse_blocks
from backtester.data.schemas import SCHEMAS
from tests.data.test_fuzzing import damage, damaged, good_rows
from tests.support.profiles import examples

numbers = st.sampled_from(
    [
        "-0.0",
        "+5",
        "0x1F",
        "inf",
        "-inf",
        "nan",
        "NaN",
        "1e400",
        "1e-400",
        "9007199254740993",
        "3.0",
        "9223372036854775807",
        "9223372036854775808",
        "1",
        "1_000",
        "true",
        "TRUE",
        "null",
    ]
)
odd = st.sampled_from([" 7 ", "\t8", " False ", "", '""', '"4"', "\u0661"])
harm = st.one_of(damage, st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 30), numbers | odd))


def outcome(kind: str, data: bytes, *, fast: bool) -> Any:
    try:
        parsed = joined("x.csv", parse_blocks("x.csv", [data], SCHEMAS[kind], {}, official=True, fast=fast))
    except DataError as error:
        return error.message
    good = ~parsed.problems.bad
    return (
        {name: values[good].tobytes() for name, values in parsed.rows.columns.items()},
        {name: values.dtype for name, values in parsed.rows.columns.items()},
        parsed.rows.line.tolist(),
        parsed.problems.bad.tolist(),
        parsed.problems.lost,
        [(p.name, p.rule, p.lines.tolist(), p.examples) for p in parsed.problems.found],
    )


@pytest.mark.parametrize("kind", list(SCHEMAS))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(harm, max_size=4), size=st.sampled_from([60, 200, 1 << 20]))
def test_both_ways_of_reading_a_table_give_the_same(
    kind: str, changes: list[tuple[str, int, int, str]], size: int
) -> None:
    data = damaged(good_rows(kind), changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_tables, "_BLOCK_BYTES", size)
        assert outcome(kind, data, fast=True) == outcome(kind, data, fast=False)


@pytest.mark.parametrize("kind", ["klines", "aggTrades", "trades", "bookTicker", "premiumIndexKlines"])
def test_clean_rows_are_never_read_as_text(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_tables._Reader, "read_as_text", None)
    parsed = joined("x.csv", parse_blocks("x.csv", [damaged(good_rows(kind), [])], SCHEMAS[kind], {}, official=True))
    assert len(parsed.rows) == 6


@settings(max_examples=examples(100), deadline=None)
@given(cuts=st.lists(st.integers(0, 600), max_size=8), size=st.integers(20, 400))
def test_where_the_bytes_are_cut_changes_nothing(cuts: list[int], size: int) -> None:
    rows = good_rows("klines")
    data = damaged([*rows[:2], "a,b", *rows[2:4], "", *rows[4:], "x" * 30], [])
    edges = [0, *sorted(cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(edges)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_tables, "_BLOCK_BYTES", size)
        parsed = joined("x.csv", parse_blocks("x.csv", chunks, SCHEMAS["klines"], {}, official=True))
    assert parsed.rows.line.tolist() == [1, 2, 4, 5, 7, 8]
    assert [(p.rule, p.lines.tolist()) for p in parsed.problems.found] == [("wrong number of columns", [3, 9])]
