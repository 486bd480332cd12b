import gzip
import io
import zipfile
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.core.errors import DataError, UsageError
from backtester.core.time import parse_time
from backtester.data.downloader.naming import parse_mapping
from backtester.data.downloader.parsing import Parsed, parse_table
from backtester.data.downloader.times import NOT_A_TIME, times_of_array, times_of_text
from backtester.data.downloader.unpacking import lines_of, read_source, unpack
from backtester.data.partition import Source
from backtester.data.schemas import KLINES
from tests.support.profiles import examples

ARCHIVE_ROW = (
    "1577836800000,7195.24000000,7196.25,7183.14,7186.68,51.64281200,1577836859999,371233.5,493,19.6,140888.4,0"
)


def parse(text: str, columns: str = "", *, official: bool = False, name: str = "x.csv") -> Parsed:
    return parse_table(name, text.encode(), KLINES, parse_mapping(columns, KLINES), official=official)


def values(parsed: Parsed, name: str) -> list[float]:
    found: list[float] = parsed.rows.columns[name].tolist()
    return found


def test_archive_rows_are_read_with_and_without_header() -> None:
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    header += "taker_buy_quote_volume,ignore"
    bare, headed = parse(ARCHIVE_ROW + "\n", official=True), parse(f"{header}\n{ARCHIVE_ROW}\n", official=True)
    for name in KLINES.names:
        assert values(bare, name) == values(headed, name)
    assert values(bare, "open_time") == [parse_time("2020-01-01")]
    assert values(bare, "trades") == [493]
    assert (bare.rows.line.tolist(), headed.rows.line.tolist()) == ([1], [2])


@settings(max_examples=examples(200), deadline=None)
@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, places=None), st.sampled_from(["f", "E", ""]))
def test_numbers_are_the_nearest_floats_of_their_decimal_text(number: Decimal, style: str) -> None:
    text = format(number, style)
    parsed = parse(f"open_time,open,high,low,close,volume\n1577836800000,{text},1,1,1,1\n")
    assert values(parsed, "open") == [float(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1577836800", "2020-01-01"),
        ("1577836800000", "2020-01-01"),
        ("1577836800000000", "2020-01-01"),
        ("1577836800000000000", "2020-01-01"),
        ("1502946000.0", "2017-08-17T05:00:00"),
        ("1.5779e9", "2020-01-01T17:33:20"),
        ("2020-01-01", "2020-01-01"),
        ("2020-01-01 00:05", "2020-01-01T00:05"),
        ("2020-01-01T02:00:00+02:00", "2020-01-01"),
        ("2020-01-01T00:00:00.250Z", "2020-01-01T00:00:00.250"),
    ],
)
def test_a_time_is_read_in_the_unit_that_its_size_or_form_says(text: str, expected: str) -> None:
    assert times_of_text(pa.array([text])).tolist() == [parse_time(expected)]


def test_units_may_change_within_a_column() -> None:
    mixed = ["1577836800.0", "1577836800000", "2020-01-01", "2020-01-01T00:00Z", " 1577836800000000 "]
    assert set(times_of_text(pa.array(mixed)).tolist()) == {parse_time("2020-01-01")}


@pytest.mark.parametrize("text", ["", "soon", "0", "17", "-5", "20200101", "nan", "1e400", "2020-02-30"])
def test_what_is_no_time_is_not_made_one(text: str) -> None:
    assert times_of_text(pa.array([text, "x"])).tolist() == [NOT_A_TIME, NOT_A_TIME]


def test_typed_times_are_read_from_parquet() -> None:
    time = parse_time("2020-01-01")
    assert times_of_array(pa.array([time // 1000], pa.timestamp("ms", tz="Europe/Berlin"))).tolist() == [time]
    assert times_of_array(pa.array([time * 1000], pa.timestamp("ns"))).tolist() == [time]
    assert times_of_array(pa.array([18262], pa.date32())).tolist() == [time]
    assert times_of_array(pa.array([1577836800.0, None])).tolist() == [time, NOT_A_TIME]
    assert times_of_array(pa.array([True])).tolist() == [NOT_A_TIME]


def test_known_names_are_found_and_the_rest_is_unknown() -> None:
    parsed = parse("Date;Open;High;Low;Close;Volume\n2020-01-01;1,5;2;1;2;3\n".replace(",", "."))
    assert values(parsed, "open") == [1.5]
    assert np.isnan(parsed.rows.columns["quote_volume"]).all()
    assert values(parsed, "trades") == [-1]


def test_unclear_columns_are_listed_with_an_example() -> None:
    with pytest.raises(
        DataError, match=r"open_time \(unix or date\?\), volume \(not found\); it has: unix, date"
    ) as error:
        parse("unix,date,open,high,low,close,Volume ETH,Volume USDT\n1,2,3,4,5,6,7,8\n")
    assert "--columns 'open_time=unix,volume=NAME'" in error.value.hint


def test_a_mapping_names_columns_or_their_numbers() -> None:
    text = "unix,date,open,high,low,close,Volume ETH,Volume USDT\n1577836800,x,3,4,2,3,7,8\n"
    for columns in ("open_time=unix,volume=Volume ETH,quote_volume=volume usdt", "open_time=1,volume=7,quote_volume=8"):
        parsed = parse(text, columns)
        assert (values(parsed, "volume"), values(parsed, "quote_volume")) == ([7.0], [8.0])
    with pytest.raises(DataError, match="is not there; it has: unix"):
        parse(text, "open_time=when,volume=7")
    for wrong in ("time=unix", "open_time", "open_time="):
        with pytest.raises(UsageError, match="our columns"):
            parse(text, wrong)


def test_comment_lines_blank_lines_and_a_byte_order_mark_are_no_rows() -> None:
    text = "\ufeffhttps://www.example.com\n# note\n\nopen_time,open,high,low,close,volume\n1577836800000,1,1,1,1,1\n\n"
    parsed = parse(text + "1577836860000,2,2,2,2,2\n\n")
    assert values(parsed, "open") == [1.0, 2.0]
    assert parsed.rows.line.tolist() == [5, 7]
    assert parsed.problems.count == 0


def test_what_cannot_be_read_is_marked_with_its_line() -> None:
    parsed = parse(
        "open_time,open,high,low,close,volume,trades\n"
        "1577836800000,1,1,1,1,1,NULL\n"
        "1577836860000,oops,1,1,1,1,3.0\n"
        "1577836920000,1,1\n"
        "soon,1,1,1,1,1,\n"
        "1577837040000,1,1,1,1,,2.5\n"
    )
    assert [(p.rule, p.lines.tolist(), p.examples) for p in parsed.problems.found] == [
        ("not a time", [5], ("soon",)),
        ("open is not a number", [3], ("oops",)),
        ("volume is not a number", [6], ("",)),
        ("wrong number of columns", [4], ("1577836920000,1,1",)),
    ]
    assert parsed.problems.count == 4
    assert values(parsed, "trades")[:2] == [-1, 3]


def test_a_file_is_read_alike_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{1577836800000 + i * 60_000},{i + 1},{i + 2},1,{i + 1},{i}" for i in range(400)]
    rows[17] = "a,b"
    rows[90] = ""
    rows[91] = "  "
    rows[200] = rows[200].replace(",201,", ",oops,", 1)
    rows[301] = "c,d"
    rows[399] = rows[399].replace(",400,", ",oops,", 1)
    text = "open_time,open,high,low,close,volume\n" + "\n".join(rows) + "\n"
    whole = parse(text)
    assert whole.rows.line.tolist() == [i + 2 for i in range(400) if i not in (17, 90, 91, 301)]
    for size in (300, 1000, 5000):
        monkeypatch.setattr("backtester.data.downloader.csv_tables._BLOCK_BYTES", size)
        part = parse(text)
        assert part.rows.line.tolist() == whole.rows.line.tolist()
        assert values(part, "close") == values(whole, "close")
        assert part.problems.bad.tolist() == whole.problems.bad.tolist()
        assert [(p.rule, p.lines.tolist(), p.examples) for p in part.problems.found] == [
            (p.rule, p.lines.tolist(), p.examples) for p in whole.problems.found
        ]


def test_a_file_of_several_symbols_is_refused() -> None:
    with pytest.raises(DataError, match="holds 2 symbols: AAA, BBB"):
        parse("open_time,open,high,low,close,volume,symbol\n1577836800000,1,1,1,1,1,AAA\n1577836800000,1,1,1,1,1,BBB\n")


@pytest.mark.parametrize("text", ["", "\n\n", "just text\n", "open_time,open,high,low,close,volume\n"])
def test_a_file_without_rows_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        parse(text)


def test_parquet_is_read_by_the_same_names() -> None:
    table = pa.table(
        {
            "timestamp": pa.array([1577836800000], pa.timestamp("ms")),
            "open": pa.array([Decimal("1.10")]),
            "high": ["2.5"],
            "low": pa.array([1], pa.int32()),
            "close": [2.0],
            "vol": [3.0],
            "trades": pa.array([None], pa.int64()),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    parsed = parse_table("x.parquet", sink.getvalue(), KLINES, {})
    assert [values(parsed, name)[0] for name in KLINES.names[:6]] == [parse_time("2020-01-01"), 1.1, 2.5, 1.0, 2.0, 3.0]
    assert values(parsed, "trades") == [-1]
    with pytest.raises(DataError, match="not a readable Parquet"):
        parse_table("x.parquet", b"no", KLINES, {})


def zipped(**files: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_csv", ".csv"), text)
    return sink.getvalue()


def test_a_zip_must_hold_exactly_the_csv_of_its_name() -> None:
    assert unpack("a.zip", zipped(a_csv="x")) == b"x"
    for wrong in (zipped(b_csv="x"), zipped(a_csv="x", b_csv="y"), zipped(folder__a_csv="x"), zipped()):
        with pytest.raises(DataError, match=r"must hold exactly one file, a\.csv"):
            unpack("a.zip", wrong)


def test_damaged_archives_are_refused() -> None:
    good_zip, good_gz = zipped(a_csv="x" * 999), gzip.compress(b"x" * 999)
    for name, data in (("a.zip", good_zip[:-9]), ("a.zip", b"no"), ("a.csv.gz", good_gz[:-9]), ("a.csv.gz", b"no")):
        with pytest.raises(DataError, match="damaged or cut short"):
            unpack(name, data)
    flipped = bytearray(good_zip)
    flipped[40] ^= 0xFF
    with pytest.raises(DataError):
        unpack("a.zip", bytes(flipped))
    assert unpack("a.csv.gz", good_gz) == b"x" * 999


def test_a_zip_of_another_size_or_crc_than_it_states_is_refused() -> None:
    good = bytearray(zipped(a_csv="x" * 999))
    directory = good.rindex(b"PK\x01\x02")
    for at in (directory + 16, directory + 24):  # CRC-32, size of the table
        wrong = bytearray(good)
        wrong[at] ^= 1
        with pytest.raises(DataError, match="damaged"):
            unpack("a.zip", bytes(wrong))
    encrypted = bytearray(good)
    encrypted[directory + 8] |= 1
    with pytest.raises(DataError, match="encrypted"):
        unpack("a.zip", bytes(encrypted))


def test_a_zip_may_be_stored_and_another_compression_is_named() -> None:
    for method, readable in ((zipfile.ZIP_STORED, True), (zipfile.ZIP_BZIP2, False)):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", method) as archive:
            archive.writestr("a.csv", "x" * 3_000_000)
        if readable:
            assert unpack("a.zip", sink.getvalue()) == b"x" * 3_000_000
        else:
            with pytest.raises(DataError, match="compression method"):
                unpack("a.zip", sink.getvalue())


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\r", b"\n")), max_size=12), st.data())
def test_lines_are_found_by_number_wherever_the_text_is_cut(chunks: list[bytes], data: st.DataObject) -> None:
    lines = b"".join(chunks).split(b"\n")
    wanted = sorted(data.draw(st.sets(st.integers(1, len(lines)))))
    assert lines_of(chunks, np.array(wanted, dtype=np.int64)) == [lines[number - 1] for number in wanted]


def test_a_checksum_beside_a_file_is_compared(tmp_path: Path) -> None:
    sha = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    path, beside = tmp_path / "a.zip", tmp_path / "a.zip.CHECKSUM"
    path.write_bytes(b"x")
    assert read_source(path, "k") == (b"x", Source("k", sha))
    beside.write_text(f"{sha}  a.zip")
    assert read_source(path, "k") == (b"x", Source("k", sha, sha))
    for text in ("", "<html>", "abc  a.zip"):
        beside.write_text(text)
        with pytest.raises(DataError, match="does not hold a SHA-256"):
            read_source(path, "k")
    beside.write_text(f"{sha}  a.zip\n")
    path.write_bytes(b"y")
    with pytest.raises(DataError, match="does not match its checksum"):
        read_source(path, "k")
