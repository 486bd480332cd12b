"""A cache that anybody may delete, cut or overfill: it gives back what was put in, or nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import binary, floats, integers, lists

from backtester.data.feature_cache import FOLDER, FeatureCache

KEY = "ab" * 16


def cache_in(folder: Path, max_bytes: int = 1_000_000) -> FeatureCache:
    return FeatureCache(folder, max_bytes, code="c")


def files(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*/*"))


@given(values=lists(floats(allow_nan=True, width=64), max_size=50))
def test_what_was_put_comes_back_bit_for_bit(tmp_path: Path, values: list[float]) -> None:
    column = np.array(values, dtype=np.float64)
    cache = cache_in(tmp_path)
    cache.put(KEY, column)
    found = cache_in(tmp_path).get(KEY, len(column))
    assert found is not None
    assert found.tobytes() == column.tobytes()
    assert not found.flags.writeable


@given(at=integers(0, 95), content=binary(min_size=1, max_size=4))
def test_a_damaged_file_is_as_good_as_none_and_goes(tmp_path: Path, at: int, content: bytes) -> None:
    cache = cache_in(tmp_path)
    cache.put(KEY, np.arange(10.0))
    [path] = files(tmp_path)
    whole = path.read_bytes()
    damaged = whole[:at] + content + whole[at + len(content) :]
    path.write_bytes(damaged)
    if damaged == whole:
        assert cache.get(KEY, 10) is not None
        return
    assert cache.get(KEY, 10) is None
    assert files(tmp_path) == []


@pytest.mark.parametrize("cut", [0, 5, 16, 95])
def test_a_file_that_was_cut_is_as_good_as_none(tmp_path: Path, cut: int) -> None:
    cache = cache_in(tmp_path)
    cache.put(KEY, np.arange(10.0))
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    assert cache.get(KEY, 10) is None


def test_a_column_of_another_length_is_not_the_one(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    cache.put(KEY, np.arange(10.0))
    assert cache.get(KEY, 9) is None


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = cache_in(tmp_path, max_bytes=5 * (16 + 800))
    for number in range(5):
        cache.put(f"{number:02}key", np.full(100, float(number)))
        os.utime(files(tmp_path)[-1], (number, number))
    assert cache.get("00key", 100) is not None  # used just now
    cache.put("99key", np.zeros(100))
    assert [path.name for path in files(tmp_path)] == [f"{name}key.column" for name in ("00", "03", "04", "99")]
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 5 * 816


def test_a_column_larger_than_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache_in(tmp_path, max_bytes=100).put(KEY, np.zeros(100))
    assert files(tmp_path) == []


def test_where_nothing_can_be_written_nothing_is_kept_and_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file where the folder would be")
    cache = cache_in(tmp_path)
    cache.put(KEY, np.zeros(3))
    assert cache.get(KEY, 3) is None


def test_the_folder_may_be_removed_at_any_time(tmp_path: Path) -> None:
    cache = cache_in(tmp_path)
    cache.put(KEY, np.zeros(3))
    files(tmp_path)[0].unlink()
    assert cache.get(KEY, 3) is None
    cache.put(KEY, np.ones(3))
    assert cache.get(KEY, 3) is not None
