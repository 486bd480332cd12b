"""What holds for every indicator: two faces of one recurrence, warm-up, missing rows, the past alone."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, sampled_from

from backtester.core.market import Candle
from backtester.core.time import HOUR
from backtester.strategy.indicators.registry import INDICATORS
from tests.strategy.indicators.markets import (
    CASES,
    IDS,
    KINDS,
    PARAMS,
    PRICE_DECIMALS,
    Market,
    assert_same_bits,
    made,
    market,
    read,
    stepped,
)
from tests.support.profiles import examples

each_case = pytest.mark.parametrize(("name", "params"), CASES, ids=IDS)
seeds = integers(0, 2**32 - 1)


def test_every_registered_indicator_is_tried() -> None:
    assert set(PARAMS) == set(INDICATORS)


@each_case
@given(kind=sampled_from(KINDS), seed=seeds, rows=integers(0, 60), in_units=booleans())
@settings(max_examples=examples(40), deadline=None)
def test_both_faces_agree_to_the_bit(
    name: str, params: dict[str, Any], kind: str, seed: int, rows: int, in_units: bool
) -> None:
    columns = market(kind, seed, rows)
    indicator = made(name, params, PRICE_DECIMALS[kind] if in_units else None)
    assert_same_bits(indicator.columns(*read(indicator, columns)), stepped(indicator, columns))


@each_case
def test_both_faces_agree_over_a_long_history(name: str, params: dict[str, Any]) -> None:
    columns = market("walk", 3, 20_000)
    indicator = made(name, params, 2)
    assert_same_bits(indicator.columns(*read(indicator, columns)), stepped(indicator, columns))


@pytest.mark.parametrize("name", ["sma", "wma", "std", "zscore", "bollinger", "slope"])
@pytest.mark.parametrize("price", [9e15, 123456789.12, 4e-8])
def test_both_faces_agree_where_sums_do_not_fit_int64(name: str, price: float) -> None:
    closes = price + np.random.default_rng(1).integers(0, 1000, 400) / 100
    indicator = made(name, {"window": 50}, 8)
    assert_same_bits(indicator.columns(closes), stepped(indicator, {"close": closes}))


@pytest.mark.parametrize("price", [1e-5, 10.0, 1000.0, 1e6])
def test_both_faces_of_vwap_agree_where_the_sums_of_a_session_do_not_fit_int64(price: float) -> None:
    columns = market("walk", 6, 400)
    for key in ("high", "low", "close"):
        columns[key] = columns[key] * price / 100
    vwap = made("vwap", {"session": "1w"}, 8)
    assert_same_bits(vwap.columns(*read(vwap, columns)), stepped(vwap, columns))


@each_case
@given(seed=seeds, cut=integers(0, 50))
@settings(max_examples=examples(20), deadline=None)
def test_a_value_depends_on_its_row_and_those_before_it_alone(
    name: str, params: dict[str, Any], seed: int, cut: int
) -> None:
    indicator = made(name, params, 2)
    columns, other = read(indicator, market("walk", seed, 50)), read(indicator, market("jumpy", seed + 1, 50))
    whole = indicator.columns(*columns)
    poisoned = indicator.columns(*[np.concatenate((a[:cut], b[cut:])) for a, b in zip(columns, other, strict=True)])
    part = indicator.columns(*[column[:cut] for column in columns])
    assert_same_bits(part, {key: values[:cut] for key, values in whole.items()})
    assert_same_bits(part, {key: values[:cut] for key, values in poisoned.items()})


@each_case
@given(seed=seeds, in_units=booleans())
@settings(max_examples=examples(20), deadline=None)
def test_a_row_with_nan_or_infinity_is_no_row(name: str, params: dict[str, Any], seed: int, in_units: bool) -> None:
    indicator = made(name, params, 2 if in_units else None)
    columns, rng = market("walk", seed, 60), np.random.default_rng(seed)
    holed: Market = {key: values.copy() for key, values in columns.items()}
    is_hole = rng.random(60) < 0.3
    for row in np.flatnonzero(is_hole):
        holed[str(rng.choice(indicator.inputs))][row] = rng.choice([math.nan, math.inf, -math.inf])
    found = indicator.columns(*read(indicator, holed))
    assert_same_bits(found, stepped(indicator, holed))
    assert all(np.isnan(values[is_hole]).all() for values in found.values())
    kept = indicator.columns(*[column[~is_hole] for column in read(indicator, columns)])
    assert_same_bits({key: values[~is_hole] for key, values in found.items()}, kept)


@each_case
def test_the_first_value_comes_at_the_warm_up_that_is_derived(name: str, params: dict[str, Any]) -> None:
    indicator = made(name, params)
    columns = market("walk", 5, 60)
    columns["volume"] += 1  # a session in which nothing is traded has no mean
    fresh = indicator.fresh()
    nulls = [fresh.update(*row) is None for row in zip(*read(indicator, columns), strict=True)]
    assert nulls == [True] * (indicator.warmup - 1) + [False] * (61 - indicator.warmup)


@each_case
def test_one_candle_warms_up_only_what_needs_no_more(name: str, params: dict[str, Any]) -> None:
    indicator = made(name, params)
    columns = market("walk", 5, 1)
    columns["volume"] += 1
    found = indicator.columns(*read(indicator, columns))
    assert all(np.isnan(values).all() for values in found.values()) == (indicator.warmup > 1)
    assert all(values.shape == (1,) for values in found.values())


@each_case
def test_columns_do_not_touch_the_state_of_candles(name: str, params: dict[str, Any]) -> None:
    indicator, columns = made(name, params, 2), market("walk", 9, 60)
    rows = list(zip(*read(indicator, columns), strict=True))
    before = [indicator.update(*row) for row in rows[:30]]
    indicator.columns(*read(indicator, market("jumpy", 1, 40)))
    assert indicator.warmup <= 60
    after = [indicator.update(*row) for row in rows[30:]]
    fresh = indicator.fresh()
    assert before + after == [fresh.update(*row) for row in rows]


@each_case
def test_it_reads_what_it_needs_from_a_candle(name: str, params: dict[str, Any]) -> None:
    by_candle, by_row = made(name, params), made(name, params)
    columns = market("walk", 2, 30)
    for at in range(30):
        row = {key: float(values[at]) for key, values in columns.items()}
        opened = int(row["open_time"])
        candle = Candle(
            ts=opened + HOUR, instrument="spot:BTCUSDT", timeframe="1h", open_time=opened, open=row["close"],
            high=row["high"], low=row["low"], close=row["close"], volume=row["volume"],
        )  # fmt: skip
        assert by_candle.update_candle(candle) == by_row.update(*[row[key] for key in by_row.inputs])


@each_case
def test_a_polars_frame_gets_nulls_and_gives_nulls(name: str, params: dict[str, Any]) -> None:
    indicator, columns = made(name, params, 2), market("walk", 4, 50)
    columns["close"][20] = columns["high"][20] = math.nan
    frame = pl.DataFrame({key: pl.Series(key, values, nan_to_null=True) for key, values in columns.items()})
    found = indicator.frame(frame)
    expected = indicator.columns(*read(indicator, columns))
    assert found.columns == list(indicator.outputs)
    for key, values in expected.items():
        assert found[key].to_list() == [None if math.isnan(value) else value for value in values.tolist()]


def test_a_polars_series_is_a_column_and_its_nulls_are_no_rows() -> None:
    for closes in (pl.Series([1.0, None, 2.0, 3.0]), pl.Series([1, None, 2, 3])):
        found = made("sma", {"window": 2}, 2).columns(closes)["sma"]
        np.testing.assert_array_equal(found, [math.nan, math.nan, 1.5, 2.5])


def test_columns_must_be_those_that_are_read_and_of_one_length() -> None:
    atr = made("atr", {})
    with pytest.raises(ValueError, match="high, low, close"):
        atr.columns(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match=r"\(3,\), \(2,\), \(3,\)"):
        atr.columns(np.ones(3), np.ones(2), np.ones(3))
