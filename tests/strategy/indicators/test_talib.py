"""What TA-Lib has, it has with the same values to 1e-9 of the price (or of a percentage), from the same row on."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import talib

from tests.strategy.indicators.markets import Market, made, market, read

_REAL = Path(__file__).parents[4] / "shared" / "data" / "real" / "um"
_NEW = pytest.mark.skipif(not hasattr(talib, "SUPERTREND"), reason="this TA-Lib does not have it yet")

Judge = Callable[[Market], Any]
# indicator, its parameters, what TA-Lib says, for outputs in this order
_JUDGES: list[tuple[str, dict[str, Any], Judge, tuple[str, ...]]] = [
    ("sma", {"window": 20}, lambda m: talib.SMA(m["close"], 20), ("sma",)),
    ("sma", {"window": 20, "decimals": 8}, lambda m: talib.SMA(m["close"], 20), ("sma",)),
    ("ema", {"window": 20}, lambda m: talib.EMA(m["close"], 20), ("ema",)),
    ("ema", {"window": 200}, lambda m: talib.EMA(m["close"], 200), ("ema",)),
    ("wma", {"window": 20}, lambda m: talib.WMA(m["close"], 20), ("wma",)),
    ("dema", {"window": 20}, lambda m: talib.DEMA(m["close"], 20), ("dema",)),
    ("macd", {}, lambda m: talib.MACD(m["close"]), ("macd", "signal", "histogram")),
    ("rsi", {"flat": 0}, lambda m: talib.RSI(m["close"], 14), ("rsi",)),
    ("rsi", {"window": 3, "flat": 0}, lambda m: talib.RSI(m["close"], 3), ("rsi",)),
    ("atr", {}, lambda m: talib.ATR(m["high"], m["low"], m["close"], 14), ("atr",)),
    ("adx", {}, lambda m: talib.ADX(m["high"], m["low"], m["close"], 14), ("adx",)),
    ("adx", {"window": 5}, lambda m: talib.ADX(m["high"], m["low"], m["close"], 5), ("adx",)),
    ("bollinger", {}, lambda m: talib.BBANDS(m["close"], 20, 2, 2), ("upper", "middle", "lower")),
    ("std", {"window": 20}, lambda m: talib.STDDEV(m["close"], 20), ("std",)),
    ("slope", {"window": 20}, lambda m: talib.LINEARREG_SLOPE(m["close"], 20), ("slope",)),
    ("max", {"window": 20}, lambda m: talib.MAX(m["close"], 20), ("max",)),
    ("min", {"window": 20}, lambda m: talib.MIN(m["close"], 20), ("min",)),
    ("obv", {}, lambda m: talib.OBV(m["close"], m["volume"]), ("obv",)),
    (
        "stochastic",
        {"flat": 0},
        lambda m: talib.STOCH(m["high"], m["low"], m["close"], 14, slowk_period=3, slowd_period=3),
        ("k", "d"),
    ),
    (
        "stochastic",
        {"window": 5, "smooth": 1, "flat": 0},
        lambda m: talib.STOCHF(m["high"], m["low"], m["close"], 5, 3),
        ("k", "d"),
    ),
]
_NEW_JUDGES: list[tuple[str, dict[str, Any], Judge, tuple[str, ...]]] = [
    ("donchian", {}, lambda m: talib.DONCHIAN(m["high"], m["low"], 20), ("upper", "middle", "lower")),
    ("keltner", {}, lambda m: talib.KC(m["high"], m["low"], m["close"], 20, 10, 2.0), ("upper", "middle", "lower")),
    (
        "keltner",
        {"window": 5, "atr_window": 20},
        lambda m: talib.KC(m["high"], m["low"], m["close"], 5, 20, 2.0),
        ("upper", "middle", "lower"),
    ),
    ("supertrend", {}, lambda m: talib.SUPERTREND(m["high"], m["low"], m["close"], 10, 3.0)[0], ("line",)),
]
_MARKETS = [("walk", 1), ("walk", 2), ("jumpy", 3)]


def _agree(name: str, params: dict[str, Any], judge: Judge, outputs: tuple[str, ...], columns: Market) -> None:
    indicator = made(name, params)
    found, expected = indicator.columns(*read(indicator, columns)), judge(columns)
    size = max(100.0, float(np.max(columns["close"])))
    for output, values in zip(outputs, expected if len(outputs) > 1 else [expected], strict=True):
        assert np.isnan(values).sum() == indicator.warmup - 1
        np.testing.assert_allclose(found[output], values, rtol=1e-9, atol=1e-9 * size, err_msg=output)


@pytest.mark.parametrize(("kind", "seed"), _MARKETS)
@pytest.mark.parametrize(("name", "params", "judge", "outputs"), _JUDGES)
def test_values_are_those_of_ta_lib(
    name: str, params: dict[str, Any], judge: Judge, outputs: tuple[str, ...], kind: str, seed: int
) -> None:
    _agree(name, params, judge, outputs, market(kind, seed, 2000))


@_NEW
@pytest.mark.parametrize(("kind", "seed"), _MARKETS)
@pytest.mark.parametrize(("name", "params", "judge", "outputs"), _NEW_JUDGES)
def test_values_are_those_of_a_newer_ta_lib(
    name: str, params: dict[str, Any], judge: Judge, outputs: tuple[str, ...], kind: str, seed: int
) -> None:
    _agree(name, params, judge, outputs, market(kind, seed, 2000))


@pytest.mark.parametrize(("name", "params", "judge", "outputs"), _JUDGES)
def test_values_are_those_of_ta_lib_on_real_candles(
    name: str, params: dict[str, Any], judge: Judge, outputs: tuple[str, ...]
) -> None:
    file = _REAL / "BTCUSDT_5m.csv.gz"
    if not file.exists():
        pytest.skip("there are no real candles here")
    with gzip.open(file, "rt") as lines:
        rows = [row for row, _ in zip(csv.DictReader(lines), range(5000), strict=False)]
    _agree(name, params, judge, outputs, {key: np.array([float(r[key]) for r in rows]) for key in rows[0]})


@pytest.mark.parametrize(("output", "judge"), [("plus_di", talib.PLUS_DI), ("minus_di", talib.MINUS_DI)])
def test_directional_indicators_are_those_of_ta_lib_from_the_first_adx_on(output: str, judge: Judge) -> None:
    columns, adx = market("walk", 1, 2000), made("adx", {})
    ranges = read(adx, columns)
    found, expected = adx.columns(*ranges)[output], judge(*ranges, 14)
    assert np.isnan(found).sum() == adx.warmup - 1
    np.testing.assert_allclose(found[adx.warmup - 1 :], expected[adx.warmup - 1 :], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("still", [3, 8, 30])
def test_adx_after_a_beginning_without_direction_is_that_of_ta_lib(still: int) -> None:
    columns, adx = market("walk", 5, 300), made("adx", {"window": 5})
    for key, price in (("high", 103.0), ("low", 97.0), ("close", 100.0)):
        columns[key][:still] = price
    found = adx.columns(*read(adx, columns))["adx"]
    np.testing.assert_allclose(found, talib.ADX(*read(adx, columns), 5), rtol=1e-9, atol=1e-9)


def test_on_a_low_priced_coin_means_and_ranges_are_those_of_ta_lib() -> None:
    columns = market("cheap", 1, 2000)
    ranges = columns["high"], columns["low"], columns["close"]
    for name, params, expected in [
        ("sma", {"window": 20, "decimals": 8}, talib.SMA(columns["close"], 20)),
        ("ema", {"window": 20}, talib.EMA(columns["close"], 20)),
        ("wma", {"window": 20, "decimals": 8}, talib.WMA(columns["close"], 20)),
        ("atr", {}, talib.ATR(*ranges, 14)),
    ]:
        indicator = made(name, params)  # type: ignore[arg-type]
        (found,) = indicator.columns(*read(indicator, columns)).values()
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=0, err_msg=name)


@_NEW
def test_the_direction_of_supertrend_is_that_of_ta_lib() -> None:
    columns, supertrend = market("walk", 7, 2000), made("supertrend", {})
    ranges = read(supertrend, columns)
    found, expected = supertrend.columns(*ranges)["direction"], talib.SUPERTREND(*ranges, 10, 3.0)[1]
    assert {1.0, -1.0} <= set(found[supertrend.warmup - 1 :].tolist())
    np.testing.assert_array_equal(found[supertrend.warmup - 1 :], expected[supertrend.warmup - 1 :])


@_NEW
@pytest.mark.parametrize("kind", ["walk", "cheap"])
@pytest.mark.parametrize(("left", "right"), [(1, 1), (3, 3), (2, 4)])
def test_pivots_are_the_fractals_of_ta_lib_at_the_same_rows(kind: str, left: int, right: int) -> None:
    columns, pivots = market(kind, 7, 2000), made("pivots", {"left": left, "right": right})
    found = pivots.columns(columns["high"], columns["low"])
    for output, expected in zip(
        ("high", "low"), talib.FRACTAL(columns["high"], columns["low"], left, right), strict=True
    ):
        assert np.count_nonzero(expected) > 20
        np.testing.assert_array_equal(~np.isnan(found[output]), expected != 0)


@_NEW
def test_within_one_session_vwap_is_that_of_ta_lib() -> None:
    columns = market("walk", 3, 600)
    columns["volume"] += 1
    columns["open_time"][:] = columns["open_time"][0]
    vwap = made("vwap", {})
    expected = talib.VWAP(columns["high"], columns["low"], columns["close"], columns["volume"])
    np.testing.assert_allclose(vwap.columns(*read(vwap, columns))["vwap"], expected, rtol=1e-9)
