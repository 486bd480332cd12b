"""`bt data ls` and `bt data show`: figures against a plain reading, pages that fit."""

import csv
import gzip
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.cli.tables import print_table, sparkline
from backtester.core.time import HOUR, MINUTE, parse_time
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.lake import Lake
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Outage
from backtester.data.schemas import SCHEMAS
from backtester.data.series_description import MAIN_COLUMN, describe_series
from tests.data.test_kinds import ROWS, archive
from tests.support.cli import bt

START = parse_time("2024-01-01")


def described(lake: Path, **more: Any) -> Any:
    opened = Lake(lake)
    return describe_series(
        opened, opened.all_partitions(), **{"width": 50, "head": 3, "tail": 3, "stats": True, **more}
    )


@given(values=st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_a_picture_has_a_block_per_value_and_higher_values_never_have_lower_blocks(values: list[float | None]) -> None:
    drawn = sparkline(values)
    assert len(drawn) == len(values)
    assert [block == " " for block in drawn] == [value is None for value in values]
    known = sorted((value, block) for value, block in zip(values, drawn, strict=True) if value is not None)
    assert [block for _, block in known] == sorted(block for _, block in known)
    if len({value for value, _ in known}) > 1:
        assert {known[0][1], known[-1][1]} == {"▁", "█"}


def test_a_picture_of_one_value_or_of_equal_ones_stands_in_the_middle() -> None:
    assert sparkline([42.0]) == "▅"
    assert sparkline([42.0] * 4) == "▅▅▅▅"
    assert sparkline([None, None]) == "  "


@pytest.mark.parametrize("kind", list(SCHEMAS))
def test_every_kind_has_a_page_and_an_object(tmp_path: Path, kind: str) -> None:
    archive(tmp_path / "in", kind, ROWS[kind])
    import_paths([tmp_path / "in"], tmp_path / "lake")
    page = bt("data", "show", "um:BTCUSDT", "--stats", "--data", tmp_path / "lake")
    assert (page.code, page.err) == (0, "")
    for name in SCHEMAS[kind].names:
        assert name in page.out
    assert all(len(line) <= 120 and line == line.rstrip() for line in page.out.splitlines())
    (one,) = bt("data", "show", "BTCUSDT", "--kind", kind, "--data", tmp_path / "lake", "--json").json["series"]
    assert (one["rows"], one["kind"], one["column"]) == (1, kind, MAIN_COLUMN[kind])
    assert one["head"] == one["tail"]
    assert list(one["head"][0]) == list(SCHEMAS[kind].names)
    assert len(one["picture"]) == 1
    assert [figure["name"] for figure in one["stats"]] == list(SCHEMAS[kind].names[1:])
    assert one["partitions"][0]["sources"]


def test_the_figures_are_those_of_the_rows(tmp_path: Path, candles, put) -> None:
    rng = np.random.default_rng(3)
    closes = (100 + rng.normal(size=3000).cumsum() / 100).round(4).tolist()
    columns = candles(closes, start="2024-01-31T00:00")  # two months, two partitions
    columns["quote_volume"][::3] = 7.0
    columns["volume"][::10] = 0.0
    put(tmp_path, columns)
    seen = described(tmp_path)
    assert (seen.low, seen.high) == (min(closes), max(closes))
    assert seen.volume == pytest.approx(math.fsum(columns["volume"].tolist()), rel=1e-12)
    figures = {figure.name: figure for figure in seen.stats}
    assert (figures["quote_volume"].known, figures["quote_volume"].unknown) == (1000, 2000)
    assert (figures["quote_volume"].minimum, figures["quote_volume"].mean) == (7.0, 7.0)
    assert (figures["volume"].zeros, figures["trades"].known, figures["trades"].mean) == (300, 0, None)
    changes = [(abs(b / a - 1), at) for at, (a, b) in enumerate(pairwise(closes), start=1)]
    _, at = max(changes)
    assert seen.jump.time == columns["open_time"][at]
    assert (seen.jump.before, seen.jump.after) == (closes[at - 1], closes[at])
    assert seen.head["close"].tolist() == closes[:3]
    assert described(tmp_path, tail=2000).tail["close"].tolist() == closes[-2000:]
    assert described(tmp_path, head=2500).head["close"].tolist() == closes[:2500]
    whole = [np.mean(closes[at : at + 60]) for at in range(0, 3000, 60)]
    assert seen.picture == pytest.approx(whole)


def test_a_gap_leaves_a_hole_in_the_picture_and_is_no_jump(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]))
    put(tmp_path, candles([100, 101], start="2024-01-01T00:08"))
    seen = described(tmp_path, width=4)
    assert seen.picture == [1.5, None, None, 100.5]
    assert (seen.jump.time, seen.jump.change) == (START + MINUTE, 1.0)
    assert described(tmp_path, width=1).picture == [51.0]


def test_one_row_and_prices_that_never_move_have_no_jump(tmp_path: Path, candles, put) -> None:
    put(tmp_path / "one", candles([5]))
    put(tmp_path / "still", candles([5] * 9))
    for lake, blocks in (("one", "▅"), ("still", "▅" * 9)):
        page = bt("data", "show", "BTCUSDT", "--data", tmp_path / lake).out.splitlines()
        assert f"    {blocks}" in page
        assert not any("jump" in line for line in page)


def test_a_damaged_file_is_not_described(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]))
    (tmp_path / Lake(tmp_path).all_partitions()[0].path).write_bytes(b"other")
    said = bt("data", "show", "BTCUSDT", "--data", tmp_path)
    assert (said.code, "is not the file that the manifest records" in said.message) == (3, True)


def test_partitions_are_listed_with_their_sources_and_gaps(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]))
    put(tmp_path, candles([3], start="2024-01-01T00:05"), source="other.csv")
    lines = bt("data", "show", "BTCUSDT", "--partitions", "--data", tmp_path).out.splitlines()
    assert lines[0] == "spot/klines/BTCUSDT/1m/year=2024/BTCUSDT-1m-2024-01.parquet"
    assert [line for line in lines if line.startswith("  from")] == ["  from test.csv", "  from other.csv"]
    assert lines[-1] == "  gap: 2024-01-01T00:02:00Z up to 2024-01-01T00:05:00Z"


def test_what_is_not_there_is_named_with_what_is(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]))
    said = bt("data", "show", "BTCUSDT", "--timeframe", "1h", "--data", tmp_path)
    assert (said.code, "has no 1h in" in said.message, "spot klines 1m" in said.message) == (3, True, True)
    assert bt("data", "show", "BTCUSDT", "--market", "um", "--data", tmp_path).code == 3


def test_the_list_tells_unknown_gaps_from_outages_and_sums_up(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]))
    put(tmp_path, candles([3, 4], start="2024-01-01T00:06"))
    put(tmp_path, candles([1] * 7, timeframe="1h"), timeframe="1h", market="um", symbol="1000000MOGUSDT")
    with ManifestWriter(tmp_path) as writer:
        series = ("spot", "klines", "BTCUSDT", "1m")
        writer.note(Outage(*series, START + 3 * MINUTE, START + 5 * MINUTE, "nobody has it", 1))
    one, other = bt("data", "ls", "--data", tmp_path, "--json").json["series"]
    assert (one["gaps"], one["missing"], one["outages"], one["down"]) == (2, 2, 1, 2)
    assert (other["gaps"], other["outages"], other["last"]) == (0, 0, START + 6 * HOUR)
    lines = bt("data", "ls", "--data", tmp_path).out.splitlines()
    assert lines[0].split()[-4:] == ["size", "gaps", "outages", "origin"]
    assert lines[1].split()[-3:] == ["2", "1", "file"]
    assert lines[2].split()[-3:] == ["-", "-", "file"]
    assert lines[-1].startswith("2 series, 11 rows, ")
    assert lines[-1].endswith(" 2 unknown gaps, 1 known outage")
    page = bt("data", "show", "spot:BTCUSDT", "--data", tmp_path).out
    assert "2 unknown gaps, 2 candles missing" in page
    assert "1 known outage, 2 candles" in page


def test_the_list_is_filtered_by_market_kind_and_symbol(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]))
    put(tmp_path, candles([1, 2]), market="um")
    put(tmp_path, candles([1, 2]), symbol="ETHUSDT")

    def listed(*wanted: str) -> list[str]:
        series = bt("data", "ls", *wanted, "--data", tmp_path, "--json").json["series"]
        return [f"{one['market']}:{one['symbol']}" for one in series]

    assert listed("--market", "futures") == ["um:BTCUSDT"]
    assert listed("--symbol", "BTCUSDT") == ["spot:BTCUSDT", "um:BTCUSDT"]
    assert listed("--symbol", "spot:BTCUSDT", "--kind", "klines") == ["spot:BTCUSDT"]
    assert listed("--kind", "trades") == []
    assert "holds nothing of that" in bt("data", "ls", "--kind", "trades", "--data", tmp_path).out


def test_long_names_do_not_make_the_list_wider_than_120(tmp_path: Path, candles, put) -> None:
    put(tmp_path, candles([1, 2]), source="data/x", market="kraken.spot", symbol="A" * 40)
    put(tmp_path, candles([1, 2], start="2024-02-01"), source="x.csv", market="kraken.spot", symbol="A" * 40)
    lines = bt("data", "ls", "--data", tmp_path).out.splitlines()
    assert max(map(len, lines)) <= 120
    assert "".join(line.split()[2] for line in lines[1:2]).strip("A") == ""
    assert sum(line.count("A") for line in lines) == 40


def test_a_narrow_terminal_loses_no_character(tmp_path: Path, candles, put, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, candles([1, 2]))
    wide = [bt("data", *words, "--data", tmp_path).out for words in (("ls",), ("show", "BTCUSDT"))]
    monkeypatch.setattr("backtester.cli.tables.text_width", lambda: 40)
    monkeypatch.setattr("backtester.cli.data_page.text_width", lambda: 40)
    assert bt("data", "ls", "--data", tmp_path).out == wide[0]
    narrow = bt("data", "show", "BTCUSDT", "--data", tmp_path).out
    assert sorted(narrow.split()) == sorted(wide[1].split())


def test_a_table_keeps_every_character_of_its_cells(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [["[bold]x", "1"]], right=("b",), indent=2)
    assert capsys.readouterr().out.splitlines() == ["  a        b", "  [bold]x  1"]


def test_real_series_of_every_shape_have_pages(real: Path, tmp_path: Path) -> None:
    import_paths([real / "archive/data/option", real / "archive/data/spot"], tmp_path)
    import_paths([real / "um/BTCUSDT_funding.csv.gz"], tmp_path, ImportOptions("um", "fundingRate", "BTCUSDT"))
    options = bt("data", "show", "option:BTCUSDT", "--data", tmp_path, "--json").json["series"][0]
    assert (options["rows"], options["repairs"], len(options["picture"])) == (11_050, {"rows_sorted": 10_530}, 48)
    assert options["jump"] is None
    pepe = bt("data", "show", "PEPEUSDT", "--data", tmp_path, "--json").json["series"][0]
    assert (pepe["rows"], pepe["column"], None in pepe["picture"]) == (57_229, "price", False)
    rows = list(csv.reader(gzip.decompress((real / "um/BTCUSDT_funding.csv.gz").read_bytes()).decode().splitlines()))
    rates = [float(row[1]) for row in rows[1:]]
    funding = bt("data", "show", "um:BTCUSDT", "--data", tmp_path, "--json").json["series"][0]
    assert (funding["low"], funding["high"]) == (min(rates), max(rates))
    steps = [abs(after - before) for before, after in pairwise(rates)]
    assert abs(funding["jump"]["change"]) == max(steps)
