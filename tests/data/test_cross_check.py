"""Shorter timeframes against longer ones, by a plain account of each candle."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.core.time import DAY, HOUR, MINUTE, parse_time
from backtester.data.cross_check import CrossCheck, cross_check
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.lake import Lake
from backtester.data.schemas import KLINES
from tests.data.conftest import _put as put
from tests.support.cli import bt
from tests.support.profiles import examples

START = parse_time("2024-01-31T20:00")  # four hours before a new partition
Columns = dict[str, Any]
SUMS = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")


def market(seed: int, rows: int = 480) -> Columns:
    """Minutes of a wandering market."""
    rng = np.random.default_rng(seed)
    closes = (100 + rng.normal(size=rows).cumsum()).clip(5).round(3)
    opens = np.concatenate([[100.0], closes[:-1]])
    return {
        "open_time": START + np.arange(rows, dtype=np.int64) * MINUTE,
        "open": opens,
        "high": (np.maximum(opens, closes) + 1).round(3),
        "low": (np.minimum(opens, closes) - 1).round(3),
        "close": closes,
        **{name: rng.integers(0, 10**9, rows) / 1e5 for name in SUMS if name != "trades"},
        "trades": rng.integers(0, 1000, rows),
    }


def longer(minutes: Columns, length: int) -> Columns:
    """Add candles up one by one; sums are exact, then rounded once, as a publisher's decimals are."""
    rows: list[dict[str, Any]] = []
    for at, time in enumerate(minutes["open_time"].tolist()):
        opened = time - time % length
        one = {name: values[at].item() for name, values in minutes.items()}
        if not rows or rows[-1]["open_time"] != opened:
            rows.append({**one, "open_time": opened, "parts": [one]})
            continue
        rows[-1]["parts"].append(one)
        rows[-1]["high"] = max(rows[-1]["high"], one["high"])
        rows[-1]["low"] = min(rows[-1]["low"], one["low"])
        rows[-1]["close"] = one["close"]
    for row in rows:
        for name in SUMS:
            row[name] = math.fsum(part[name] for part in row["parts"])
    return {name: np.array([row[name] for row in rows], dtype=minutes[name].dtype) for name in minutes}


def without(columns: Columns, *rows: int) -> Columns:
    keep = np.setdiff1d(np.arange(len(columns["open_time"])), rows)
    return {name: values[keep] for name, values in columns.items()}


def checked(root: Path) -> CrossCheck:
    (one,) = cross_check(Lake(root))
    return one


@settings(max_examples=examples(40))
@given(seed=st.integers(0, 10**6), length=st.sampled_from([5, 15, 60, 240]))
def test_candles_that_were_added_up_exactly_agree(
    tmp_path_factory: pytest.TempPathFactory, seed: int, length: int
) -> None:
    root, minutes = tmp_path_factory.mktemp("lake"), market(seed)
    put(root, minutes)
    put(root, longer(minutes, length * MINUTE), timeframe={5: "5m", 15: "15m", 60: "1h", 240: "4h"}[length])
    one = checked(root)
    assert (one.compared, one.differing, one.incomplete, one.uncovered, one.absent) == (480 // length, 0, 0, 0, 0)


@settings(max_examples=examples(60))
@given(
    seed=st.integers(0, 10**6),
    row=st.integers(0, 7),
    column=st.sampled_from([name for name in KLINES.names if name != "open_time"]),
)
def test_any_value_that_is_changed_is_found_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, seed: int, row: int, column: str
) -> None:
    root, minutes = tmp_path_factory.mktemp("lake"), market(seed)
    hours = longer(minutes, HOUR)
    right = hours[column][row].item()
    hours[column][row] += 1 if column == "trades" else 1e-3
    hours["high"][row] += 1e-3 if column in {"open", "close"} else 0  # it must not be below them
    for name in ("open", "high", "low", "close"):
        hours[name] = hours[name].round(3)
    wrong = hours[column][row].item()
    put(root, minutes)
    put(root, hours, timeframe="1h")
    one = checked(root)
    assert one.differing == 1
    (found,) = [shown for shown in one.examples if shown.column == column]
    assert (found.time, found.stored) == (START + row * HOUR, wrong)
    assert found.derived == (pytest.approx(right, rel=1e-12) if column in SUMS else right)


def test_missing_parts_and_candles_are_counted_and_not_compared(tmp_path: Path) -> None:
    minutes = market(1)
    put(tmp_path, without(minutes, 0, *range(120, 180)))  # the first minute of all, and the third hour
    put(tmp_path, without(longer(minutes, HOUR), 4, 6), timeframe="1h")  # the fifth would begin a partition
    one = checked(tmp_path)
    assert (one.compared, one.incomplete, one.uncovered, one.absent, one.differing) == (4, 1, 1, 2, 0)


def test_what_is_not_known_is_not_compared(tmp_path: Path) -> None:
    minutes = market(2)
    hours = longer(minutes, HOUR)
    hours["quote_volume"][2] = np.nan
    minutes["trades"][:60] = -1
    hours["trades"][0] = 5
    put(tmp_path, minutes)
    put(tmp_path, hours, timeframe="1h")
    assert checked(tmp_path).differing == 0


def test_weeks_open_on_mondays_and_reach_over_months(tmp_path: Path) -> None:
    days = market(3, 21)
    days["open_time"] = parse_time("2024-01-22") + np.arange(21, dtype=np.int64) * DAY
    weeks = longer({**days, "open_time": days["open_time"] + 3 * DAY}, 7 * DAY)  # 1970-01-01 was a Thursday
    weeks["open_time"] -= 3 * DAY
    put(tmp_path, days, timeframe="1d")
    put(tmp_path, weeks, timeframe="1w")
    assert (checked(tmp_path).compared, checked(tmp_path).differing) == (3, 0)


def test_timeframes_that_do_not_divide_or_never_meet_are_left_alone(
    tmp_path: Path, candles: Callable[..., Columns]
) -> None:
    put(tmp_path, candles([1] * 8, timeframe="3m"), timeframe="3m")
    put(tmp_path, candles([1] * 8, timeframe="5m"), timeframe="5m")
    put(tmp_path, candles([1] * 8, timeframe="15m", start="2025-01-01"), timeframe="15m")
    assert cross_check(Lake(tmp_path)) == []
    assert "no series has two timeframes to compare" in bt("data", "verify", "--cross", "--data", tmp_path).out


def test_a_disagreement_is_printed_with_both_values_and_fails(tmp_path: Path) -> None:
    minutes = market(4)
    hours = longer(minutes, HOUR)
    hours["close"][1] = hours["high"][1]
    put(tmp_path, minutes)
    put(tmp_path, hours, timeframe="1h")
    said = bt("data", "verify", "--cross", "--data", tmp_path)
    assert (said.code, "1 candle in" in said.message) == (3, True)
    assert "spot:BTCUSDT 1h klines against 1m: 8 candles compared, 1 differ" in said.out
    derived, stored = minutes["close"][119].item(), hours["close"][1].item()
    assert f"2024-01-31T21:00:00Z close: {derived!r} from 1m, {stored!r} in 1h" in said.out
    told = bt("data", "verify", "--cross", "--data", tmp_path, "--json")
    assert (told.code, told.json["cross"][0]["columns"]) == (3, {"close": 1})
    assert bt("data", "verify", "--full", "--data", tmp_path).code == 0


def test_a_damaged_file_is_named_and_the_rest_is_compared(tmp_path: Path) -> None:
    minutes = market(5)
    put(tmp_path, minutes)
    put(tmp_path, longer(minutes, HOUR), timeframe="1h")
    (tmp_path / Lake(tmp_path).all_partitions()[0].path).write_bytes(b"other")
    said = bt("data", "verify", "--cross", "--data", tmp_path)
    assert (said.code, "another SHA-256" in said.message) == (3, True)
    assert "1h klines against 1m: 4 candles compared, all equal" in said.out


def test_what_real_timeframes_disagree_about(real: Path, tmp_path: Path) -> None:
    files = [*sorted((real / "spot").glob("*.gz")), *(real / "um").glob("*_[45][hm].csv.gz")]
    files += (real / "um/rest").glob("*_1[hd].csv.gz")
    for file in files:
        import_paths([file], tmp_path, ImportOptions(market="spot" if "spot" in file.parts else "um"))
    found = {(one.series[0], one.series[2], one.series[3], one.shorter): one for one in cross_check(Lake(tmp_path))}
    counts = {key: (one.compared, one.differing, one.incomplete) for key, one in found.items()}
    assert counts == {
        ("spot", "ETHUSDT", "1h", "5m"): (720, 0, 1),
        ("um", "BTCUSDT", "4h", "5m"): (2190, 1, 0),
        ("um", "BTCUSDT", "1d", "1h"): (186, 0, 2),
        ("um", "ETHUSDT", "4h", "5m"): (2190, 1, 0),
        ("um", "ETHUSDT", "1d", "1h"): (186, 0, 2),
    }
    # as if the 4h copy had taken this candle before it closed: its volume is smaller than that of its parts
    wrong = [one for one in found.values() if one.differing]
    assert {shown.time for one in wrong for shown in one.examples} == {parse_time("2023-11-10T12:00")}
    assert all(one.columns == {"close": 1, "volume": 1} for one in wrong)
    assert all(shown.derived > shown.stored for one in wrong for shown in one.examples if shown.column == "volume")
