"""A file that flows block by block gives the lake that it gives when it is read whole."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtester.core.errors import DataError
from backtester.core.time import DAY, parse_time
from backtester.data.downloader import big_files, csv_tables, reading
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.downloader.sanitising import Repairs
from backtester.data.lake import Lake
from tests.support.archive import minutes, put_zip
from tests.support.profiles import examples

START = parse_time("2024-01-01")
KEY = "data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-01.zip"
STEP = 7_000_000  # ms: rows of several days


def trades(count: int = 40) -> list[str]:
    return [
        f"{900 + at},{50 + at % 7}.5,{at % 5 + 1},{at * 2},{at * 2 + 1},{START // 1000 + at * STEP},True,True"
        for at in range(count)
    ]


def lake_of(root: Path, *, big: bool, drop_bad: bool) -> Any:
    """Import a tree, and return all that the manifest says and what was reported, or how it was refused."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BIG_BYTES", 0 if big else 1 << 30)
        patch.setattr(csv_tables, "_BLOCK_BYTES", 300)
        lake = root / ("big" if big else "whole")
        try:
            report = import_paths([root / "tree"], lake, repairs=Repairs(drop_bad=drop_bad)).series[0]
        except DataError as error:
            assert not list(lake.rglob("*.parquet"))
            return error.message
    found = Lake(lake)
    assert found.verify(full=True) == []
    assert not (lake / ".tmp").exists()
    partitions = [
        (p.path, p.content, p.sha256, p.rows, p.gaps, p.repairs, p.sources, p.price_decimals, p.volume_decimals)
        for p in found.all_partitions()
    ]
    return partitions, report.rows_read, report.rows_added, report.refused, report.repairs


def both(root: Path, rows: list[str], *, drop_bad: bool = True) -> Any:
    put_zip(root / "tree", KEY, "\n".join(rows) + "\n")
    whole = lake_of(root, big=False, drop_bad=drop_bad)
    assert lake_of(root, big=True, drop_bad=drop_bad) == whole
    return whole


def test_rows_in_order_flow_straight_into_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(big_files, "_by_partition", None)
    partitions, read, added, refused, repairs = both(tmp_path, trades())
    assert (len(partitions), read, added, refused, repairs) == (4, 40, 40, {}, {})


def test_unsorted_rows_are_sorted_and_counted(tmp_path: Path) -> None:
    rows = trades()
    *_, repairs = both(tmp_path, [*rows[30:], *rows[:30]])
    assert repairs == {"rows_sorted": 30}


def test_duplicates_in_distant_blocks_become_one(tmp_path: Path) -> None:
    rows = trades()
    _, _, added, _, repairs = both(tmp_path, [*rows, rows[3], rows[3], rows[25]])
    assert added == 40
    assert repairs == {"rows_sorted": 3, "duplicates_dropped": 3}


def test_conflicts_in_distant_blocks_are_refused_with_their_lines(tmp_path: Path) -> None:
    rows = trades()
    rows.append(rows[3].replace("53.5", "54.5"))
    _, _, added, refused, repairs = both(tmp_path / "dropped", rows)
    assert (added, refused, repairs["conflicting_rows_dropped"]) == (39, {"conflicting": 2}, 2)
    message = both(tmp_path / "refused", rows, drop_bad=False)
    assert "line 4 (agg_trade_id=903 price=53.5" in message
    assert "line 41 (agg_trade_id=903 price=54.5" in message


def test_bad_rows_are_named_with_their_lines(tmp_path: Path) -> None:
    rows = trades()
    rows[1] = "a,b"
    rows[17] = rows[17].replace(".5,", ".x,")
    rows[38] = rows[38].replace("True,True", "maybe,True")
    _, _, added, refused, _ = both(tmp_path / "dropped", rows)
    assert (added, refused) == (37, {"wrong_columns": 1, "not_a_number": 2})
    message = both(tmp_path / "refused", rows, drop_bad=False)
    assert "3 of 40 rows are bad" in message
    for place in ("line 2: a,b", "line 18: 53.x", "line 39: maybe"):
        assert place in message


def test_candles_of_several_months_keep_their_gaps_and_jumps(tmp_path: Path) -> None:
    rows = minutes(START + 30 * DAY, 3000).splitlines()
    del rows[100:130], rows[2000]
    rows[50] = rows[50].replace(",100.0,", ",9000,", 1)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "BTCUSDT-1m.csv").write_text("\n".join(rows) + "\n")
    results = []
    for big in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "BIG_BYTES", 0 if big else 1 << 30)
            patch.setattr(csv_tables, "_BLOCK_BYTES", 5_000)
            options = ImportOptions(market="spot")
            import_paths([tmp_path / "tree"], tmp_path / str(big), options, repairs=Repairs(drop_bad=True))
        results.append([(p.content, p.gaps, p.repairs) for p in Lake(tmp_path / str(big)).all_partitions()])
    assert results[0] == results[1]
    assert len(results[0]) == 2
    assert sum(len(gaps) for _, gaps, _ in results[0]) >= 2


def test_a_damaged_end_leaves_nothing_of_a_big_file(tmp_path: Path) -> None:
    path = put_zip(tmp_path / "tree", KEY, "\n".join(trades()) + "\n", checksum=None)
    data = bytearray(path.read_bytes())
    data[-60 - len(KEY)] ^= 0xFF
    path.write_bytes(data)
    assert isinstance(lake_of(tmp_path, big=True, drop_bad=True), str)


def test_a_big_file_joins_what_the_lake_has(tmp_path: Path) -> None:
    rows = trades()
    put_zip(tmp_path / "tree", KEY.replace("monthly", "daily").replace("-01.zip", "-01-02.zip"), "\n".join(rows[13:24]))
    lake_of(tmp_path, big=True, drop_bad=True)
    before = Lake(tmp_path / "big").all_partitions()[0]
    put_zip(tmp_path / "tree", KEY, "\n".join(rows))
    lake_of(tmp_path, big=True, drop_bad=True)
    after = Lake(tmp_path / "big").all_partitions()
    assert [p.rows for p in after] == [13, 12, 13, 2]
    assert before.rows == 11
    assert [source.address for source in after[1].sources] == [before.sources[0].address, KEY]
    manifest = (tmp_path / "big" / "manifest.jsonl").read_bytes()
    lake_of(tmp_path, big=True, drop_bad=True)
    assert (tmp_path / "big" / "manifest.jsonl").read_bytes() == manifest


changes = st.lists(
    st.one_of(
        st.tuples(st.just("swap"), st.integers(0, 39), st.integers(0, 39)),
        st.tuples(st.just("repeat"), st.integers(0, 39), st.integers(0, 39)),
        st.tuples(st.just("differ"), st.integers(0, 39), st.integers(0, 39)),
        st.tuples(st.just("break"), st.integers(0, 39), st.integers(0, 7)),
        st.tuples(st.just("lose"), st.integers(0, 39), st.just(0)),
    ),
    max_size=6,
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=changes)
def test_whatever_is_done_to_a_file_both_ways_agree(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, int]]
) -> None:
    rows = trades()
    for what, a, b in changes:
        if what == "swap":
            rows[a], rows[b] = rows[b], rows[a]
        elif what == "repeat":
            rows.insert(b, rows[a])
        elif what == "differ":
            rows.insert(b, rows[a].replace(".5,", ".25,"))
        elif what == "break":
            rows[a] = ",".join("-7" if at == b else field for at, field in enumerate(rows[a].split(",")))
        else:
            rows[a] = "lost"
    both(tmp_path_factory.mktemp("both"), rows)
