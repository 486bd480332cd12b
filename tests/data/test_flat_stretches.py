"""Futures that stood still, and gaps as people see them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.core.time import HOUR, MINUTE, parse_time
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.flat_stretches import find_flat
from backtester.data.lake import Lake
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Outage
from tests.data.conftest import _candles, _put
from tests.support.cli import bt

START = parse_time("2024-01-31T23:50")  # ten minutes before a new partition


def write(root: Path, prices: list[float | None], **series: str) -> None:
    """Minutes at a price with volume; negative: flat at that price without volume; None: none."""
    columns = _candles([abs(price or 1) for price in prices], start="2024-01-31T23:50")
    for at, price in enumerate(prices):
        if price is not None and price < 0:
            columns["high"][at] = columns["low"][at] = columns["close"][at]
            columns["volume"][at] = 0.0
    keep = [at for at, price in enumerate(prices) if price is not None]
    _put(root, {name: values[keep] for name, values in columns.items()}, **{"market": "um", **series})


def stretches(prices: list[float | None]) -> list[tuple[int, int]]:
    """Return the flat stretches by walking along."""
    found, start = [], 0
    for at in range(1, len(prices) + 1):
        if at < len(prices) and prices[at] == prices[start]:
            continue
        price = prices[start]
        if price is not None and price < 0 and at - start >= 5:
            found.append((START + start * MINUTE, START + at * MINUTE))
        start = at
    return found


runs = st.lists(st.tuples(st.sampled_from([None, 2.0, -2.0, -3.0]), st.integers(1, 9)), min_size=1, max_size=8)


@given(runs=runs)
def test_stretches_are_those_that_a_walk_finds(tmp_path_factory: pytest.TempPathFactory, runs: Any) -> None:
    prices = [5.0, *(price for price, count in runs for _ in range(count)), 5.0]
    root = tmp_path_factory.mktemp("lake")
    write(root, prices)
    found = find_flat(Lake(root))
    assert [(one.start, one.end) for one in found] == stretches(prices)
    assert all(one.candles * MINUTE == one.end - one.start for one in found)


def test_a_stretch_that_others_share_was_probably_an_outage(tmp_path: Path) -> None:
    write(tmp_path, [1, *[-1.0] * 12, 1])
    write(tmp_path, [2, *[-2.0] * 12, 2], symbol="ETHUSDT")
    write(tmp_path, [3, *[-3.0] * 12, 3], market="spot")
    first, second = find_flat(Lake(tmp_path))
    assert (first.everywhere, second.everywhere, first.candles) == (True, True, 12)
    said = bt("data", "gaps", "um:ETHUSDT", "--flat", "--data", tmp_path).out.splitlines()
    assert said[0] == "no gaps"
    assert said[1].endswith("1 of 1 others too - the exchange was probably down")
    assert "12 candles at one price without volume: possible outage" in said[1]
    assert "flat" not in bt("data", "gaps", "--data", tmp_path, "--json").json
    assert len(bt("data", "gaps", "--flat", "--data", tmp_path, "--json").json["flat"]) == 2
    assert "no futures stood still" in bt("data", "gaps", "spot:BTCUSDT", "--flat", "--data", tmp_path).out


def test_a_known_outage_is_told_from_the_unknown_part_of_a_gap(
    tmp_path: Path, candles: Callable[..., Any], put: Callable[..., None]
) -> None:
    put(tmp_path, candles([1, 2]))
    put(tmp_path, candles([3], start="2024-01-01T00:08"))
    start = parse_time("2024-01-01")
    series = ("spot", "klines", "BTCUSDT", "1m")
    with ManifestWriter(tmp_path) as writer:
        writer.note(Outage(*series, start + 3 * MINUTE, start + 5 * MINUTE, "asked the archive", 1))
        writer.note(Outage(*series, start + 4 * MINUTE, start + 5 * MINUTE, "asked again", 2))
    gaps = bt("data", "gaps", "--data", tmp_path, "--json").json["gaps"]
    assert [((one["start"] - start) // MINUTE, one["missing"], one["known"], one["long"]) for one in gaps] == [
        (2, 1, False, False),
        (3, 2, True, False),
        (5, 3, False, True),
    ]
    lines = bt("data", "gaps", "--data", tmp_path).out.splitlines()
    assert lines[1].endswith("2 candles; known outage: asked the archive")
    assert lines[2].endswith("3 candles, LONG")
    assert lines[3] == "2 unknown gaps, 4 candles: bt data repair asks other sources for them"
    unknown = bt("data", "gaps", "--unknown", "--data", tmp_path).out.splitlines()
    assert unknown == [lines[0], *lines[2:]]
    with ManifestWriter(tmp_path) as writer:
        writer.note(Outage(*series, start, start + HOUR, "none has it", 3))
    assert bt("data", "gaps", "--unknown", "--data", tmp_path).out == "no unknown gaps\n"


def test_the_real_outages_of_futures_are_found(real: Path, tmp_path: Path) -> None:
    import_paths([real / "archive/data/futures"], tmp_path)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        import_paths([real / f"um/{symbol}_5m.csv.gz"], tmp_path, ImportOptions("um"))
    found = {(one.series[2], one.series[3]): (one.start, one.end) for one in find_flat(Lake(tmp_path))}
    assert found == {
        ("BTCUSDT", "5m"): (parse_time("2023-09-12T08:35"), parse_time("2023-09-12T08:50")),
        ("ETHUSDT", "5m"): (parse_time("2023-09-12T08:35"), parse_time("2023-09-12T08:50")),
        ("FILUSDT", "1m"): (parse_time("2023-09-12T08:34"), parse_time("2023-09-12T08:53")),
        ("BTCUSDT", "1h"): (parse_time("2024-10-28T20:00"), parse_time("2024-10-28T21:00")),
    }
