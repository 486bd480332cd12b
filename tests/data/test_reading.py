"""Reading by time range: what is touched, and that a file that changed is noticed."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from backtester.core.errors import DataError
from backtester.core.time import HOUR, parse_time
from backtester.data.lake import Lake
from backtester.data.reading import CheckedFiles, read_range
from backtester.data.schemas import AGG_TRADES, ROW_GROUP_ROWS
from tests.support.lakes import write_rows

START = parse_time("2024-01-01")
ROWS = ROW_GROUP_ROWS * 4


class Counted:
    """A file that counts the bytes that are read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.bytes += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A day of aggTrades in four row groups."""
    root = tmp_path_factory.mktemp("ticks")
    rng = np.random.default_rng(1)
    columns = {
        "time": START + np.sort(rng.integers(0, 24 * HOUR, ROWS)),
        "agg_trade_id": np.arange(ROWS),
        "price": rng.uniform(1, 2, ROWS).round(4),
        "quantity": rng.uniform(1, 2, ROWS).round(4),
        "first_trade_id": np.arange(ROWS),
        "last_trade_id": np.arange(ROWS),
        "is_buyer_maker": rng.random(ROWS) < 0.5,
    }
    write_rows(root, "aggTrades", "BTCUSDT", columns, market="spot")
    return Lake(root)


def rows(lake: Lake, start: int, end: int, **options: Any) -> dict[str, np.ndarray]:
    parts = list(lake.read("spot", "aggTrades", "BTCUSDT", "", start, end, **options))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_a_range_is_the_rows_of_the_whole_that_lie_in_it(lake: Lake) -> None:
    whole = rows(lake, START, START + 24 * HOUR)
    assert len(whole["time"]) == ROWS
    start, end = int(whole["time"][70_000]), int(whole["time"][200_001])
    part = rows(lake, start, end, batch_rows=1_000)
    chosen = (whole["time"] >= start) & (whole["time"] < end)
    for name in AGG_TRADES.names:
        assert np.array_equal(part[name], whole[name][chosen]), name


def test_only_the_named_columns_are_read(lake: Lake) -> None:
    assert list(rows(lake, START, START + HOUR, names=["price"])) == ["time", "price"]


def test_a_short_range_touches_one_row_group(lake: Lake) -> None:
    (partition,) = lake.all_partitions()
    path = lake.root / partition.path

    def touched(start: int, end: int) -> int:
        with path.open("rb") as file:
            counted = Counted(file)
            list(read_range(counted, partition, start, end, AGG_TRADES.names, 65_536))  # type: ignore[arg-type]
            return counted.bytes

    everything = touched(START, START + 24 * HOUR)
    assert everything > partition.size * 0.9
    assert touched(START + HOUR, START + 2 * HOUR) < everything * 0.4


def test_a_file_is_hashed_once_and_again_when_it_is_another(lake: Lake, tmp_path: Path, monkeypatch) -> None:
    (partition,) = lake.all_partitions()
    path = tmp_path / partition.path
    path.parent.mkdir(parents=True)
    path.write_bytes((lake.root / partition.path).read_bytes())
    files = CheckedFiles(tmp_path)
    hashed = []
    original = __import__("hashlib").file_digest
    monkeypatch.setattr("backtester.data.reading.hashlib.file_digest", lambda *a: hashed.append(1) or original(*a))
    for _ in range(3):
        file = files.open(partition)
        assert file is not None
        file.close()
    assert len(hashed) == 1
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert files.open(partition) is None
    assert len(hashed) == 2


def test_a_file_that_is_damaged_between_two_reads_is_refused(lake: Lake, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(lake.root, tmp_path / "copy")
    copy = Lake(tmp_path / "copy")
    assert len(rows(copy, START, START + HOUR)["time"])
    (partition,) = copy.all_partitions()
    path = copy.root / partition.path
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(DataError, match="is not the file that the manifest records"):
        rows(copy, START, START + HOUR)
