"""Archives with anything done to them: never a crash, never a row that breaks a promise, never a row uncounted.

Each example is a whole archive, from its zip on. Lines are counted here by themselves: what was read, kept, refused and
dropped as a duplicate must add up to them.
"""

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtester.core.errors import DataError
from backtester.core.time import DAY, MINUTE, parse_time
from backtester.data.downloader.batches import SanitizedBatch, parse_archive
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.fetching import RawBytes
from backtester.data.downloader.planning import ArchiveFile
from backtester.data.downloader.reading import is_big
from backtester.data.ordering import rises
from backtester.data.schemas import SCHEMAS, Schema
from tests.data.test_kinds import ROWS
from tests.support.profiles import examples

START = parse_time("2024-01-30")
MS = START // 1000
SLACK = {"metrics": 5 * MINUTE, "fundingRate": 1_000_000}
LOG = DownloadLog(None, "fuzzing")


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


small = st.integers(0, 5)
field = st.integers(0, 30)
awkward = st.sampled_from(
    [
        *('"', '""', '"1', '1","', '"a""b', '","', "\r", "\r\n", "\n", "\x00", "\x0b", "\u2028"),
        *("#", ";", "\t", " ", "", "-0", "1e400"),
    ]
)
values = st.one_of(
    st.text(max_size=8), st.floats().map(repr), st.integers(-(2**70), 2**70).map(str), awkward, st.just("NaN")
)
Change = tuple[str, int, int, Any]
damage = st.one_of(
    st.tuples(st.just("set"), small, field, values),
    st.tuples(st.just("set"), small, field, values),
    st.tuples(st.just("drop"), small, field, st.none()),
    st.tuples(st.just("join"), small, st.just(0), st.none()),
    st.tuples(st.just("repeat"), small, small, st.none()),
    st.tuples(st.just("move"), small, small, st.none()),
    st.tuples(st.just("insert"), small, st.just(0), st.text(max_size=30) | awkward),
    st.tuples(st.just("cut"), st.integers(0, 400), st.just(0), st.none()),
    st.tuples(st.just("bytes"), st.integers(0, 400), st.integers(0, 12), st.binary(max_size=6)),
    st.tuples(st.just("crlf"), st.just(0), st.just(0), st.none()),
    st.tuples(st.just("mark"), st.just(0), st.just(0), st.none()),
)


def damaged(rows: list[str], changes: list[Change]) -> bytes:
    """Return the table after changes to its lines, and then to its bytes."""
    rows = list(rows)
    for what, a, b, value in changes:
        at = a % len(rows)
        fields = rows[at].split(",")
        if what == "set":
            fields[b % len(fields)] = value
            rows[at] = ",".join(fields)
        elif what == "drop":
            del fields[b % len(fields)]
            rows[at] = ",".join(fields)
        elif what == "join":
            rows[at : at + 2] = ["".join(rows[at : at + 2])]
        elif what == "repeat":
            rows.insert(b % len(rows), rows[at])
        elif what == "move":
            rows.insert(b % len(rows), rows.pop(at))
        elif what == "insert":
            rows.insert(at, value)
    data = ("\n".join(rows) + "\n").encode("utf-8", errors="replace")
    for what, a, b, value in changes:
        if what == "cut":
            data = data[:a]
        elif what == "bytes":
            data = data[:a] + value + data[a + b :]
        elif what == "crlf":
            data = data.replace(b"\n", b"\r\n")
        elif what == "mark":
            data = b"\xef\xbb\xbf" + data
    return data


def archived(kind: str, table: bytes) -> tuple[ArchiveFile, bytes]:
    timeframe = "1m" if SCHEMAS[kind].gridded else ""
    file = ArchiveFile("um", kind, "BTCUSDT", timeframe, "daily", START, START + DAY)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(file.name.replace(".zip", ".csv"), table)
    return file, packed.getvalue()


def parsed(file: ArchiveFile, packed: bytes) -> SanitizedBatch:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file.name
        path.write_bytes(packed)
        assert not is_big(path)
        return parse_archive(RawBytes(file, path, hashlib.sha256(packed).hexdigest(), None), LOG)


@cache
def known_rows(kind: str) -> dict[str, dict[str, Any]]:
    """Return what each good line says."""
    lines = good_rows(kind)
    rows = parsed(*archived(kind, damaged(lines, []))).clean.rows
    assert len(rows) == len(lines)
    values = {name: column.tolist() for name, column in rows.columns.items()}
    return {lines[line - 1]: {name: values[name][at] for name in values} for at, line in enumerate(rows.line.tolist())}


def numbered_lines(kind: str, table: bytes) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, counted as a text editor does; empty rows say nothing."""
    columns = shape(ROWS[kind])
    for number, raw in enumerate(table.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        line = raw.decode("utf-8", errors="replace").strip()
        empty = not line.replace(",", "").strip() and shape(line) == columns
        if line and not empty:
            yield number, line


def shape(line: str) -> int:
    return line.count(",") + 1


def assert_holds(schema: Schema, batch: SanitizedBatch) -> None:
    """Every promise of the lake, value by value, and that the rows can be written and read again."""
    rows = batch.clean.rows
    assert rises(rows.identity)
    slack = SLACK.get(schema.kind, 0)
    assert ((rows.key >= START - slack) & (rows.key < START + DAY + slack)).all()
    if schema.gridded:
        assert (rows.key % MINUTE == 0).all()
        assert (rows.columns["low"] <= np.minimum(rows.columns["open"], rows.columns["close"])).all()
        assert (rows.columns["high"] >= np.maximum(rows.columns["open"], rows.columns["close"])).all()
    for column in schema.columns:
        values = rows.columns[column.name]
        assert values.dtype == np.dtype(column.dtype)
        known = values[column.known(values)]
        assert column.nullable or len(known) == len(values)
        assert np.isfinite(known).all()
        if column.role == "price":
            assert (known > 0).all()
        elif column.role in {"amount", "count"}:
            assert (known >= 0).all()
    table = schema.to_table(rows.columns)
    table.validate(full=True)
    again = schema.from_table(table)
    for column in schema.columns:
        assert np.array_equal(again[column.name], rows.columns[column.name], equal_nan=column.dtype == "float64")


def assert_nothing_is_lost(kind: str, table: bytes, batch: SanitizedBatch) -> None:
    """Every line of the table is kept, refused with its number, or one of several equal ones.

    Good ones are kept unless another row of their identity differs, or half of all lines are damaged."""
    clean = batch.clean
    lines = dict(numbered_lines(kind, table))
    refused = [(line, problem.name) for problem in clean.refused for line in problem.lines.tolist()]
    kept = set(clean.rows.line.tolist())
    duplicates = len(clean.repairs.get("duplicates_dropped", ()))
    assert clean.read == len(lines)
    assert len(kept) + len(refused) + duplicates == len(lines)
    assert len(batch.refused) == len(refused)
    assert not kept & {line for line, _ in refused}
    assert kept | {line for line, _ in refused} <= set(lines)
    values = {name: column.tolist() for name, column in clean.rows.columns.items()}
    identities = {tuple(values[name][at] for name in clean.rows.schema.keys): at for at in range(len(clean.rows))}
    mostly_good = sum(line in known_rows(kind) for line in lines.values()) * 2 > len(lines)
    excused = {line for line, rule in refused if rule == "conflicting" or (rule == "wrong_columns" and not mostly_good)}
    for number, line in lines.items():
        said = known_rows(kind).get(line)
        if said is None or number in excused:
            continue
        at = identities[tuple(said[name] for name in clean.rows.schema.keys)]
        for column in clean.rows.schema.columns:
            if column.known(np.array([said[column.name]]))[0]:
                assert values[column.name][at] == said[column.name]


@pytest.mark.parametrize("kind", list(SCHEMAS))
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(damage, max_size=5))
def test_damaged_archives_are_refused_or_keep_what_is_good_and_count_the_rest(kind: str, changes: list[Change]) -> None:
    table = damaged(good_rows(kind), changes)
    try:
        batch = parsed(*archived(kind, table))
    except DataError:
        return
    assert_holds(SCHEMAS[kind], batch)
    assert_nothing_is_lost(kind, table, batch)


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(list(SCHEMAS)),
    cuts=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 40), st.binary(max_size=12)), min_size=1, max_size=3),
)
def test_damaged_zips_are_refused_or_hold_what_their_table_says(kind: str, cuts: list[tuple[int, int, bytes]]) -> None:
    file, packed = archived(kind, damaged(good_rows(kind), []))
    for at, length, value in cuts:
        packed = packed[:at] + value + packed[at + length :]
    try:
        batch = parsed(file, packed)
    except DataError:
        return
    assert_holds(SCHEMAS[kind], batch)
    assert set(known_rows(kind)) >= {good_rows(kind)[line - 1] for line in batch.clean.rows.line.tolist()}


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_good_rows_are_never_refused_or_repaired(kind: str) -> None:
    clean = parsed(*archived(kind, damaged(good_rows(kind), []))).clean
    assert (len(clean.rows), clean.read, clean.refused, clean.repairs) == (6, 6, (), {})


@pytest.mark.parametrize("broken", ['"10', '10"', '1","', '"1""', 'a"b', "1\r2", '"', "\x0b", "\u2028"])
def test_a_broken_line_takes_no_other_line_with_it(broken: str) -> None:
    rows = good_rows("klines")
    for at in range(6):
        fields = rows[at].split(",")
        fields[3] = broken
        table = ("\n".join([*rows[:at], ",".join(fields), *rows[at + 1 :]]) + "\n").encode()
        batch = parsed(*archived("klines", table))
        assert len(batch.clean.rows) == 5
        assert batch.clean.read == 6 + broken.count("\r")
        assert {row.text for row in batch.refused} == set(",".join(fields).split("\r"))
