"""Columns that go into a page come out as they were."""

import base64
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.report.page.packing import PackedTable, decimals_of


def unpacked(table: PackedTable) -> dict[str, list[Any]]:
    """Read a table by its description, one number at a time; None is no value."""
    described = table.described()
    content = zlib.decompress(base64.b64decode(table.text()))
    rows, at, found = described["rows"], 0, {}
    for column in described["columns"]:
        planes = [content[at + k * rows : at + (k + 1) * rows] for k in range(column["width"])]
        at += rows * column["width"]
        values: list[Any] = []
        last = 0
        for row in range(rows):
            code = sum(plane[row] << (8 * k) for k, plane in enumerate(planes))
            if code == 0:
                values.append(None)
                continue
            step = -(code // 2) if code % 2 == 0 else (code - 1) // 2
            last = last + step if column["delta"] else step
            values.append(column["texts"][last] if "texts" in column else last)
        found[column["name"]] = values
    assert at == len(content)
    return found


WHOLE = st.integers(-(2**50), 2**50)


@given(st.lists(st.one_of(st.none(), st.integers(-(10**9), 10**9)), max_size=40), st.booleans())
def test_numbers_come_back_and_so_does_what_is_unknown(values: list[int | None], delta: bool) -> None:
    table = PackedTable(len(values))
    table.add(
        "x", np.array([np.nan if v is None else v / 100 for v in values], dtype=np.float64), decimals=2, delta=delta
    )
    assert unpacked(table) == {"x": values}


@given(st.lists(WHOLE, max_size=40), st.booleans())
def test_times_come_back_to_the_microsecond(values: list[int], delta: bool) -> None:
    table = PackedTable(len(values))
    table.add("ts", np.array(values, dtype=np.int64), delta=delta)
    assert unpacked(table)["ts"] == values


@given(st.lists(st.text(max_size=8), max_size=20))
def test_texts_come_back_whatever_is_in_them(values: list[str]) -> None:
    table = PackedTable(len(values))
    table.add_texts("tag", values)
    assert unpacked(table)["tag"] == values


def test_a_number_that_javascript_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond what a page can hold"):
        PackedTable(1).add("x", np.array([1e10]), decimals=8)


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="values for 2 rows"):
        PackedTable(2).add("x", np.array([1.0]))


@pytest.mark.parametrize(
    ("values", "places"), [([1.0, 2.0], 0), ([41_250.25, 3.1], 2), ([0.00012345], 8), ([], 0), ([np.nan, 0.5], 1)]
)
def test_as_many_decimals_are_kept_as_the_values_have(values: list[float], places: int) -> None:
    assert decimals_of(np.array(values), 10) == places
