from pathlib import Path

import numpy as np
import pytest

from backtester.core.errors import DataError
from backtester.core.time import DAY, HOUR, MINUTE, parse_time
from backtester.data import schemas
from backtester.data.columns import CandleColumns
from backtester.data.lake import Lake, series_gaps

START = parse_time("2024-01-01")


def read(lake: Lake, start: int, end: int, batch_rows: int = 65_536) -> CandleColumns:
    parts = list(lake.read_candles("spot", "BTCUSDT", "1m", start, end, batch_rows))
    assert all(0 < len(part) <= batch_rows for part in parts)
    return CandleColumns.concat(parts)


@pytest.fixture
def lake(tmp_path: Path, candles, put) -> Lake:
    """Ten days from 25 January: two partitions, with 10:00..10:02 of 26 January and the whole of 30 January missing."""
    columns = candles([100.0 + i % 7 for i in range(10 * 1440)], start="2024-01-25")
    times = columns["open_time"]
    hole = (times >= parse_time("2024-01-26T10:00")) & (times < parse_time("2024-01-26T10:03"))
    hole |= (times >= parse_time("2024-01-30")) & (times < parse_time("2024-01-31"))
    put(tmp_path, {name: values[~hole] for name, values in columns.items()})
    return Lake(tmp_path)


def test_only_rows_of_the_half_open_range_are_read(lake: Lake) -> None:
    start, end = parse_time("2024-01-31T23:30"), parse_time("2024-02-01T00:30")
    found = read(lake, start, end)
    assert found.open_time.tolist() == list(range(start, end, MINUTE))
    assert [p.path for p in lake.partitions_read()] == [
        "spot/klines/BTCUSDT/1m/year=2024/BTCUSDT-1m-2024-01.parquet",
        "spot/klines/BTCUSDT/1m/year=2024/BTCUSDT-1m-2024-02.parquet",
    ]


@pytest.mark.parametrize("batch_rows", [1, 7, 1000, 65_536])
def test_batches_do_not_change_what_is_read(lake: Lake, batch_rows: int) -> None:
    start, end = parse_time("2024-01-31T20:01"), parse_time("2024-02-01T03:00")
    whole, cut = read(lake, start, end), read(lake, start, end, batch_rows)
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        assert np.array_equal(getattr(whole, name), getattr(cut, name))


def test_row_groups_outside_the_range_are_skipped(
    tmp_path: Path, candles, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backtester.data.parquet.ROW_GROUP_ROWS", 100)
    put(tmp_path, candles([1.0] * 1000))
    parts = list(Lake(tmp_path).read_candles("spot", "BTCUSDT", "1m", START + 250 * MINUTE, START + 320 * MINUTE))
    assert sum(map(len, parts)) == 70


def test_gaps_are_found_inside_between_and_at_the_edges(lake: Lake) -> None:
    day = parse_time("2024-01-24")
    assert lake.gaps("spot", "klines", "BTCUSDT", "1m", day, day + 13 * DAY) == [
        (day, parse_time("2024-01-25")),
        (parse_time("2024-01-26T10:00"), parse_time("2024-01-26T10:03")),
        (parse_time("2024-01-30"), parse_time("2024-01-31")),
        (parse_time("2024-02-04"), parse_time("2024-02-06")),
    ]
    within = parse_time("2024-01-26T10:01"), parse_time("2024-01-26T10:02")
    assert lake.gaps("spot", "klines", "BTCUSDT", "1m", *within) == [within]
    assert lake.gaps("spot", "klines", "BTCUSDT", "1m", START + 25 * DAY, START + 25 * DAY + HOUR) == []


def test_a_range_without_any_data_is_one_gap(lake: Lake) -> None:
    span = parse_time("2023-01-01"), parse_time("2023-01-02")
    assert lake.partitions("spot", "klines", "BTCUSDT", "1m", *span) == []
    assert lake.gaps("spot", "klines", "BTCUSDT", "1m", *span) == [span]
    assert list(lake.read_candles("spot", "BTCUSDT", "1m", *span)) == []


def test_the_gaps_of_a_series_span_its_partitions(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]))
    put(tmp_path, candles([3, 4], start="2024-03-01"))
    partitions = Lake(tmp_path).partitions("spot", "klines", "BTCUSDT", "1m")
    assert series_gaps(partitions) == [(START + 2 * MINUTE, parse_time("2024-03-01"))]


def test_an_unknown_symbol_is_answered_with_the_nearest_name_and_a_command(lake: Lake) -> None:
    with pytest.raises(DataError, match=r"did you mean BTCUSDT\?") as error:
        lake.partitions("spot", "klines", "BTCUSD", "1m")
    assert "bt data import" in error.value.hint


def test_a_symbol_of_another_market_is_pointed_out(lake: Lake) -> None:
    with pytest.raises(DataError, match="it is there as spot:BTCUSDT"):
        lake.partitions("um", "klines", "BTCUSDT", "1m")


def test_an_unknown_timeframe_is_answered_with_those_stored(lake: Lake) -> None:
    with pytest.raises(DataError, match=r"has no 5m klines .* it has 1m"):
        lake.partitions("spot", "klines", "BTCUSDT", "5m")


def test_an_empty_lake_offers_the_sample(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the lake is empty") as error:
        Lake(tmp_path / "none").timeframes("spot", "klines", "BTCUSDT")
    assert "bt data sample" in error.value.hint


def test_the_longest_stored_timeframe_that_divides_is_the_source(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    put(tmp_path, candles([1, 2, 3], timeframe="1h"), timeframe="1h")
    lake = Lake(tmp_path)
    assert lake.timeframes("spot", "klines", "BTCUSDT") == ["1m", "1h"]
    wanted = ("1m", "5m", "1h", "4h", "1w")
    assert [lake.source_timeframe("spot", "BTCUSDT", name) for name in wanted] == ["1m", "1m", "1h", "1h", "1h"]
    with pytest.raises(DataError, match="has no 1s"):
        lake.source_timeframe("spot", "BTCUSDT", "1s")


def test_a_reader_sees_a_partition_that_was_replaced_after_it_opened(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    lake = Lake(tmp_path)
    put(tmp_path, candles([1, 2, 3, 4]))
    assert read(lake, START, START + HOUR).close.tolist() == [1, 2, 3, 4]
    assert lake.partitions_read() == lake.all_partitions()


def test_a_changed_file_is_refused_by_readers_and_named_by_verify(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    lake = Lake(tmp_path)
    path = tmp_path / lake.all_partitions()[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="not the file that the manifest records") as error:
        list(lake.read_candles("spot", "BTCUSDT", "1m", START, START + HOUR))
    assert "bt data verify" in error.value.hint
    assert "another SHA-256" in lake.verify()[0].text
    path.unlink()
    assert lake.verify()[0].text == "the file is missing"


def test_full_verification_finds_rows_that_differ_under_a_right_file_digest(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    text = (tmp_path / "manifest.jsonl").read_bytes()
    content = Lake(tmp_path).all_partitions()[0].content.encode()
    (tmp_path / "manifest.jsonl").write_bytes(text.replace(content, b"0" * 64))
    lake = Lake(tmp_path)
    assert lake.verify() == []
    assert "another digest" in lake.verify(full=True)[0].text


def test_files_that_the_manifest_does_not_list_are_ignored_and_shown(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    path = Lake(tmp_path).all_partitions()[0].path
    (tmp_path / path.replace("01.parquet", "02.parquet")).write_bytes(b"?")
    assert Lake(tmp_path).unlisted() == [path.replace("01.parquet", "02.parquet")]
    assert len(Lake(tmp_path).all_partitions()) == 1


def test_the_content_digest_does_not_depend_on_batches_or_encoding(candles) -> None:
    columns = candles([1, 2, 3, 4, 5])
    whole = schemas.content_digest(schemas.KLINES, columns)
    digest = schemas.ContentDigest(schemas.KLINES)
    for cut in (slice(0, 2), slice(2, 3), slice(3, 5)):
        digest.update({name: values[cut] for name, values in columns.items()})
    assert digest.hexdigest() == whole
    again = schemas.KLINES.from_table(schemas.KLINES.to_table(columns))
    assert schemas.content_digest(schemas.KLINES, again) == whole


def test_the_content_digest_tells_unknown_from_zero(candles) -> None:
    unknown = candles([1, 2, 3])
    zero = {**unknown, "quote_volume": np.zeros(3)}
    assert schemas.content_digest(schemas.KLINES, unknown) != schemas.content_digest(schemas.KLINES, zero)
