"""Two lakes compared, against dictionaries of their rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.core.time import MINUTE, parse_time
from backtester.data.choosing import SeriesFilter
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.lake import Lake
from backtester.data.lake_diff import diff_lakes
from backtester.data.schemas import KLINES
from tests.data.conftest import _candles, _put
from tests.data.test_kinds import ROWS, archive
from tests.support.cli import bt
from tests.support.profiles import examples

START = parse_time("2024-01-01")
Row = tuple[float, float | None]  # volume, quote volume


def write(root: Path, rows: dict[int, Row]) -> None:
    """Minutes of one price with these volumes."""
    columns = _candles([1.0] * len(rows))
    columns["open_time"] = np.array([START + minute * MINUTE for minute in sorted(rows)])
    columns["volume"] = np.array([rows[minute][0] for minute in sorted(rows)])
    quotes = [rows[minute][1] for minute in sorted(rows)]
    columns["quote_volume"] = np.array([np.nan if quote is None else quote for quote in quotes])
    _put(root, columns)


markets = st.dictionaries(
    st.integers(0, 12), st.tuples(st.sampled_from([1.0, 2.0]), st.sampled_from([None, 3.0, 4.0])), min_size=1
)


@settings(max_examples=examples(150))
@given(rows_a=markets, rows_b=markets)
def test_the_difference_is_that_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, rows_a: dict[int, Row], rows_b: dict[int, Row]
) -> None:
    root = tmp_path_factory.mktemp("lakes")
    write(root / "a", rows_a)
    write(root / "b", rows_b)
    found = diff_lakes(Lake(root / "a"), Lake(root / "b"), examples=100)
    assert found.same == (rows_a == rows_b)
    if found.same:
        assert (found.equal, found.partitions) == (1, [])
        return
    (one,) = found.partitions
    differing = {minute for minute in rows_a.keys() & rows_b.keys() if rows_a[minute] != rows_b[minute]}
    assert one.only_a == len(rows_a.keys() - rows_b.keys())
    assert one.only_b == len(rows_b.keys() - rows_a.keys())
    assert one.differing == len(differing)
    names = ("volume", "quote_volume")
    assert {(shown.time - START) // MINUTE: shown.values for shown in one.examples} == {
        minute: {
            name: (in_a, in_b)
            for name, in_a, in_b in zip(names, rows_a[minute], rows_b[minute], strict=True)
            if in_a != in_b
        }
        for minute in differing
    }


def test_rows_of_several_columns_are_told_by_all_of_them(tmp_path: Path) -> None:
    one, other = ROWS["trades"], ROWS["trades"].replace("77,10.5", "78,10.5")
    archive(tmp_path / "in/a", "trades", f"{one}\n{other}\n")
    archive(tmp_path / "in/b", "trades", f"{one.replace('10.5', '11.5')}\n{other.replace('78', '79')}\n")
    for name in ("a", "b"):
        import_paths([tmp_path / "in" / name], tmp_path / name)
    (found,) = diff_lakes(Lake(tmp_path / "a"), Lake(tmp_path / "b")).partitions
    assert (found.only_a, found.only_b, found.differing) == (1, 1, 1)
    assert found.examples[0].values == {"price": (10.5, 11.5)}


def test_what_only_one_lake_has_is_listed(tmp_path: Path, candles: Any, put: Any) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for lake in (a, b):
        put(lake, candles([1, 2]))
    put(a, candles([1, 2], start="2024-02-01"))
    put(b, candles([1, 2]), symbol="ETHUSDT")
    put(b, candles([5, 2], start="2024-03-01"), market="um")
    put(a, candles([1, 2], start="2024-03-01"), market="um")
    said = bt("data", "diff", a, b)
    assert said.code == 4
    assert f"1 partition in content, 1 only in {a}, 1 only in {b}" in said.message
    lines = said.out.splitlines()
    assert f"only in {a}: spot/klines/BTCUSDT/1m/year=2024/BTCUSDT-1m-2024-02.parquet" in lines
    assert f"only in {b}: all of spot:ETHUSDT 1m klines" in lines
    assert "  2024-03-01 close: 1.0 in" in said.out
    assert lines[-1] == "1 partition equal"
    told = bt("data", "diff", a, b, "--rows", "0", "--json")
    assert (told.code, told.json["same"], told.json["partitions"][0]["examples"]) == (4, False, [])
    assert told.json["series_b"] == [["spot", "klines", "ETHUSDT", "1m"]]
    assert bt("data", "diff", a, b, "--market", "um", "--json").json["only_a"] == []
    narrow = bt("data", "diff", b, a, "--symbol", "spot:BTCUSDT", "--json").json
    assert (narrow["same"], len(narrow["only_b"]), narrow["partitions"]) == (False, 1, [])
    assert bt("data", "diff", a, a).code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("lake",), 2), ((), 2), (("a", "b", "c"), 2), (("lake", "nowhere"), 3), (("--source", "A", "B"), 2)],
)
def test_places_that_cannot_be_compared_are_named(
    tmp_path: Path, candles: Any, put: Any, arguments: tuple[str, ...], code: int
) -> None:
    put(tmp_path / "lake", candles([1]))
    said = bt("data", "diff", *arguments)
    assert (said.code, said.message != "") == (code, True)


def test_a_filter_takes_what_it_does_not_exclude(tmp_path: Path, candles: Any, put: Any) -> None:
    put(tmp_path, candles([1]))
    (partition,) = Lake(tmp_path).all_partitions()
    assert SeriesFilter().takes(partition)
    assert SeriesFilter("spot", KLINES.kind, "BTCUSDT", "1m").takes(partition)
    for other in (SeriesFilter("um"), SeriesFilter(symbol="ETHUSDT"), SeriesFilter(timeframe="1h")):
        assert not other.takes(partition)


def test_two_copies_of_the_same_real_candles_are_compared_row_by_row(real: Path, tmp_path: Path) -> None:
    import_paths([real / "archive/data/spot/daily/klines/BTCUSDT/1h"], tmp_path / "archive")
    import_paths([real / "spot/BTCUSDT_1h.csv.gz"], tmp_path / "copy", ImportOptions("spot"))
    found = diff_lakes(Lake(tmp_path / "archive"), Lake(tmp_path / "copy"), examples=1)
    (month,) = found.partitions
    assert (month.only_a, month.only_b, month.differing) == (0, 31 * 24 - 24, 24)
    assert set(month.examples[0].values) == {
        "quote_volume",
        "trades",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    }  # the copy does not have these; what both have is equal
