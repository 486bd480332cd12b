"""Archives with anything done to them: never a crash, never a row that breaks a promise, never a row uncounted."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtester.core.errors import DataError
from backtester.core.time import DAY, MINUTE, parse_time
from backtester.data.downloader.parsing import parse_table
from backtester.data.downloader.sanitising import Repairs, sanitise
from backtester.data.ordering import rises
from backtester.data.partition import Source
from backtester.data.schemas import SCHEMAS
from tests.data.test_kinds import ROWS

START = parse_time("2024-01-30")
MS = START // 1000


def good_rows(kind: str) -> list[str]:
    """Several rows of a kind that differ in time, and in id where they have one."""
    rows = []
    for at in range(6):
        row = ROWS[kind].replace("00:00:00", f"00:0{at}:00")
        for jitter in (0, 1, 3, 4, 59_999):
            row = row.replace(str(MS + jitter), str(MS + jitter + at * 60_000), 1)
        row = row.replace("2024-01-30,05", f"2024-01-30,0{at}")
        first, comma, rest = row.partition(",")
        rows.append(f"{int(first) + at}{comma}{rest}" if kind in {"aggTrades", "trades", "bookTicker"} else row)
    return rows


damage = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 30), st.text(max_size=8)),
    st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 30), st.floats().map(repr)),
    st.tuples(st.just("set"), st.integers(0, 5), st.integers(0, 30), st.integers(-(2**70), 2**70).map(str)),
    st.tuples(st.just("cut"), st.integers(0, 400), st.just(0), st.just("")),
    st.tuples(st.just("repeat"), st.integers(0, 5), st.integers(0, 5), st.just("")),
    st.tuples(st.just("insert"), st.integers(0, 5), st.just(0), st.text(max_size=30)),
)


def damaged(rows: list[str], changes: list[tuple[str, int, int, str]]) -> bytes:
    rows = list(rows)
    cut = None
    for what, a, b, text in changes:
        if what == "set":
            fields = rows[a % len(rows)].split(",")
            fields[b % len(fields)] = text
            rows[a % len(rows)] = ",".join(fields)
        elif what == "repeat":
            rows.insert(b % len(rows), rows[a % len(rows)])
        elif what == "insert":
            rows.insert(a % len(rows), text)
        else:
            cut = a
    data = ("\n".join(rows) + "\n").encode("utf-8", errors="replace")
    return data if cut is None else data[:cut]


@pytest.mark.parametrize("kind", list(SCHEMAS))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(damage, max_size=4))
def test_damaged_archives_are_refused_or_leave_only_rows_that_hold(
    kind: str, changes: list[tuple[str, int, int, str]]
) -> None:
    schema = SCHEMAS[kind]
    timeframe = "1m" if schema.gridded else ""
    try:
        parsed = parse_table("x.csv", damaged(good_rows(kind), changes), schema, {}, official=True)
        clean = sanitise("x.csv", parsed, Source("x"), timeframe, Repairs(drop_bad=True), (START, START + DAY))
    except DataError:
        return
    rows = clean.rows
    assert rises(rows.identity)
    if schema.gridded:
        assert (rows.key % MINUTE == 0).all()
    for column in schema.columns:
        values = rows.columns[column.name]
        assert values.dtype == np.dtype(column.dtype)
        known = values[column.known(values)]
        assert np.isfinite(known).all()
        if column.role == "price":
            assert (known > 0).all()
        elif column.role in {"amount", "count"}:
            assert (known >= 0).all()
    dropped = sum(len(problem.lines) for problem in clean.refused)
    duplicates = len(clean.repairs.get("duplicates_dropped", ()))
    assert len(rows) + dropped + duplicates == clean.read


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_good_rows_are_never_refused_or_repaired(kind: str) -> None:
    data = damaged(good_rows(kind), [])
    parsed = parse_table("x.csv", data, SCHEMAS[kind], {}, official=True)
    timeframe = "1m" if SCHEMAS[kind].gridded else ""
    clean = sanitise("x.csv", parsed, Source("x"), timeframe, Repairs(), (START, START + DAY))
    assert (len(clean.rows), clean.read, clean.refused, clean.repairs) == (6, 6, (), {})
