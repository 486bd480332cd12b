from pathlib import Path

import pytest

from backtester.core.errors import DataError
from backtester.core.time import parse_time
from backtester.data import schemas
from backtester.data.describing import FileFacts
from backtester.data.downloader import writing
from backtester.data.durable import file_sha256
from backtester.data.lake import Lake
from backtester.data.parquet import PartitionFile, read_partition_file, write_partition_file

JANUARY = parse_time("2024-01-01")


def closes(root: Path) -> list[float]:
    batches = Lake(root).read_candles("spot", "BTCUSDT", "1m", 0, 10**18)
    return [close for batch in batches for close in batch.close.tolist()]


def test_rows_are_cut_into_months(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([float(i + 2) for i in range(4)], start="2023-12-31T23:58"))
    partitions = Lake(tmp_path).all_partitions()
    assert [p.path[-31:] for p in partitions] == [
        "2023/BTCUSDT-1m-2023-12.parquet",
        "2024/BTCUSDT-1m-2024-01.parquet",
    ]
    assert [p.rows for p in partitions] == [2, 2]
    assert closes(tmp_path) == [2, 3, 4, 5]


def test_writing_the_same_rows_again_changes_nothing(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    before = (tmp_path / "manifest.jsonl").read_bytes()
    put(tmp_path, candles([1, 2, 3]), "again.csv")
    put(tmp_path, candles([1, 2]), "part.csv")
    assert (tmp_path / "manifest.jsonl").read_bytes() == before


def test_new_rows_join_those_of_the_lake_with_their_source(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]), "a.csv")
    more = candles([1, 2, 3, 4, 5])
    put(tmp_path, {name: values[2:] for name, values in more.items()}, "b.csv")
    assert closes(tmp_path) == [1, 2, 3, 4, 5]
    assert [source.address for source in Lake(tmp_path).all_partitions()[0].sources] == ["a.csv", "b.csv"]


def test_a_different_candle_is_refused_and_both_are_shown(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    with pytest.raises(DataError) as error:
        put(tmp_path, candles([1, 7, 3]), "b.csv")
    assert "spot:BTCUSDT 1m klines: 1 open time(s) with two different candles" in error.value.message
    assert "2024-01-01T00:01:00Z: the lake has (open=2.0" in error.value.message
    assert "b.csv line 2 has (open=7.0" in error.value.message
    assert "--replace" in error.value.hint
    assert closes(tmp_path) == [1, 2, 3]


def test_replacing_lets_the_new_rows_win_and_counts_them(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3, 4]))
    put(tmp_path, candles([1, 7, 3]), "b.csv", replace=True)
    assert closes(tmp_path) == [1, 7, 3, 4]
    assert Lake(tmp_path).all_partitions()[0].repairs == {"rows_replaced": 1}


def test_synthetic_and_real_candles_never_mix_in_a_series(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]), "synthetic:x")
    put(tmp_path, candles([1, 2, 3], start="2024-02-01"), "synthetic:x")
    with pytest.raises(DataError, match=r"is synthetic, and real\.csv is real: they must not mix"):
        put(tmp_path, candles([5], start="2024-03-01"), "real.csv")
    put(tmp_path, candles([5], start="2024-03-01"), "real.csv", replace=True)
    assert closes(tmp_path) == [5]
    assert Lake(tmp_path).unlisted() == []
    with pytest.raises(DataError, match="is real, and synthetic:x is synthetic"):
        put(tmp_path, candles([1]), "synthetic:x", replace=True)
    put(tmp_path, candles([1]), "synthetic:x", symbol="OTHER")


def test_real_rows_replace_synthetic_ones_of_the_same_month(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]), "synthetic:x")
    put(tmp_path, candles([8, 9]), "real.csv", replace=True)
    assert closes(tmp_path) == [8, 9]
    partition = Lake(tmp_path).all_partitions()[0]
    assert not partition.synthetic
    assert partition.repairs == {}


def test_a_small_buffer_gives_the_same_partitions(
    tmp_path: Path, candles, put, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = candles([float(i % 9 + 2) for i in range(400)], start="2024-01-31T20:00")
    put(tmp_path / "whole", columns)
    monkeypatch.setattr(writing, "BUFFERED_ROWS", 10)
    with writing.ManifestWriter(tmp_path / "cut") as writer:
        series = writing.SeriesWriter(writer, writing.Series("spot", "klines", "BTCUSDT", "1m"))
        for start in range(0, 400, 40):
            rows = writing.rows_of(writing.schema_of("klines"), {n: v[start : start + 40] for n, v in columns.items()})
            series.add(writing.CleanRows(rows, {}, writing.Source("test.csv")))
        series.stage()
        series.commit()
    whole, cut = (Lake(tmp_path / name).all_partitions() for name in ("whole", "cut"))
    assert [(p.path, p.content, p.rows) for p in whole] == [(p.path, p.content, p.rows) for p in cut]


@pytest.mark.parametrize("stride", [1_000, 65_536, 70_000, 150_000])
def test_the_bytes_of_a_partition_do_not_depend_on_how_its_rows_came(tmp_path: Path, candles, stride: int) -> None:
    columns = candles([float(i % 9 + 2) for i in range(150_000)])
    columns["trades"][77] = 5  # known in one block alone
    facts = FileFacts("spot", "klines", "BTCUSDT", "1m", 1, (), {})
    whole = write_partition_file(tmp_path / "whole.parquet", columns, facts, 1)
    cut = PartitionFile(tmp_path / "cut.parquet", "klines", "1m")
    for at in range(0, 150_000, stride):
        cut.write({name: values[at : at + stride] for name, values in columns.items()})
    assert cut.finish(facts, 1) == whole
    assert whole.sha256 == file_sha256(tmp_path / "cut.parquet")
    read = read_partition_file(tmp_path / "cut.parquet", schemas.KLINES)
    assert schemas.content_digest(schemas.KLINES, read) == whole.content


def test_a_partition_file_that_is_given_up_is_gone(tmp_path: Path, candles) -> None:
    file = PartitionFile(tmp_path / "x.parquet", "klines", "1m")
    file.write(candles([1, 2]))
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_content_digests_are_what_they_always_were(candles) -> None:
    columns = candles([1.5, 2, 3, 4])
    columns["trades"][:] = [7, -1, 0, 3]
    digest = "5bb4879055e434bf51206f398b9eb24c1e5610ce6aafe062cc34ef4b769b9c30"
    assert schemas.content_digest(schemas.KLINES, columns) == digest


def test_decimals_are_the_fewest_that_restore_every_value(tmp_path: Path, candles, put) -> None:
    columns = candles([100.0, 105573.73, 0.1 + 0.2 - 0.05])
    columns["low"] = columns["low"].clip(min=0.00001)
    columns["open"][2] = columns["close"][2] = columns["low"][2] = 0.00000123
    put(tmp_path, columns)
    partition = Lake(tmp_path).all_partitions()[0]
    assert (partition.price_decimals, partition.volume_decimals) == (8, 0) or partition.price_decimals > 8
    with pytest.raises(DataError, match="more than 12 decimals"):
        put(tmp_path, candles([0.1 + 0.2]), symbol="OTHER")


def test_volumes_that_no_eight_decimals_restore_are_kept_with_none(tmp_path: Path, candles, put) -> None:
    columns = candles([1, 2, 3])
    columns["volume"] = columns["volume"] / 7
    put(tmp_path, columns)
    assert Lake(tmp_path).all_partitions()[0].volume_decimals is None


def test_rows_do_not_join_a_damaged_file_unless_it_is_given_up(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2, 3]))
    (tmp_path / Lake(tmp_path).all_partitions()[0].path).write_bytes(b"damaged")
    for rows in ([1, 2, 3], [1, 2, 3, 4]):
        with pytest.raises(DataError, match="so nothing can join it") as error:
            put(tmp_path, candles(rows))
        assert error.value.hint.startswith(f"bt data repair --data {tmp_path} ")
    put(tmp_path, candles([1, 2]), "b.csv", replace=True)
    assert closes(tmp_path) == [1, 2]
    assert Lake(tmp_path).all_partitions()[0].repairs == {"damaged_files_replaced": 1}


def test_a_damaged_file_that_is_read_names_the_way_to_mend_it_first(tmp_path: Path) -> None:
    (tmp_path / "2024-01.parquet").write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read") as error:
        read_partition_file(tmp_path / "2024-01.parquet", schemas.KLINES)
    assert error.value.hint.startswith("bt data repair ")
