"""How values answer to a change of unit, of origin and of beginning, and to a market that does not move."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from tests.strategy.indicators.markets import CASES, IDS, Market, assert_same_bits, made, market, read
from tests.support.profiles import examples

each_case = pytest.mark.parametrize(("name", "params"), CASES, ids=IDS)
seeds = integers(0, 2**32 - 1)
_PRICES = ("high", "low", "close")

# Outputs that are no prices or distances of prices: doubled prices leave them as they are.
_UNITLESS = {
    "adx",
    "plus_di",
    "minus_di",
    "width",
    "obv",
    "realised_volatility",
    "rsi",
    "k",
    "d",
    "direction",
    "zscore",
}
# Distances and ratios of distances: a shifted market leaves them as they are. All others move along, save the last two.
_DISTANCES = {"atr", "macd", "signal", "histogram", "slope", "std"}
_STILL = _DISTANCES | _UNITLESS - {"width", "realised_volatility"}
# Indicators that forget: what came before their window leaves no trace, not even in the last bit.
_WINDOWED = {
    "sma", "wma", "slope", "std", "zscore", "bollinger", "max", "min", "donchian", "ichimoku", "stochastic",
    "realised_volatility",
}  # fmt: skip


def _changed(columns: Market, factor: float, shift: float) -> Market:
    return {key: values * factor + shift if key in _PRICES else values for key, values in columns.items()}


def test_shares_of_prices_answer_to_a_shift_as_they_must() -> None:
    assert _STILL.isdisjoint({"width", "realised_volatility"})  # divided by a price: they shrink as it grows
    for name, output in (("bollinger", "width"), ("realised_volatility", "realised_volatility")):
        indicator = made(name, {"window": 5} | ({"timeframe": "1h"} if name != "bollinger" else {}))
        near, far = (indicator.columns(market("walk", 1, 50)["close"] + up)[output][-1] for up in (0.0, 1000.0))
        assert 0 < far < near


@each_case
@given(seed=seeds, power=integers(-6, 6), kind=sampled_from(["walk", "jumpy", "alternating"]))
@settings(max_examples=examples(20), deadline=None)
def test_prices_in_another_unit_give_the_same_in_that_unit(
    name: str, params: dict[str, Any], seed: int, power: int, kind: str
) -> None:
    columns, factor = market(kind, seed, 50), 2.0**power
    indicator = made(name, params)
    found = indicator.columns(*read(indicator, _changed(columns, factor, 0.0)))
    expected = indicator.columns(*read(indicator, columns))
    scaled = {key: values if key in _UNITLESS else values * factor for key, values in expected.items()}
    assert_same_bits(found, scaled)


@each_case
@given(seed=seeds, shift=integers(1, 500))
@settings(max_examples=examples(20), deadline=None)
def test_a_shifted_market_shifts_prices_and_leaves_distances(
    name: str, params: dict[str, Any], seed: int, shift: int
) -> None:
    columns = market("walk", seed, 50)
    columns["low"] += np.linspace(0, 0.001, 50)  # without ties, that a last bit would decide
    columns["high"] += np.linspace(0, 0.003, 50)
    indicator = made(name, params)
    found = indicator.columns(*read(indicator, _changed(columns, 1.0, float(shift))))
    expected = indicator.columns(*read(indicator, columns))
    for output in found.keys() - {"width", "realised_volatility"}:
        moved = expected[output] + (0 if output in _STILL else shift)
        np.testing.assert_allclose(found[output], moved, rtol=0, atol=1e-7, err_msg=output)


@given(seed=seeds, factor=integers(2, 9))
@settings(max_examples=examples(20), deadline=None)
def test_volume_in_another_unit_scales_obv_and_leaves_vwap(seed: int, factor: int) -> None:
    columns = market("walk", seed, 50)
    more = columns | {"volume": columns["volume"] * 2.0**factor}
    obv, vwap = made("obv", {}), made("vwap", {})
    once, twice = (obv.columns(*read(obv, each))["obv"] for each in (columns, more))
    np.testing.assert_array_equal(twice, once * 2.0**factor)
    assert_same_bits(vwap.columns(*read(vwap, columns)), vwap.columns(*read(vwap, more)))


# At a constant price every price is that price to the bit, so that no comparison finds a difference where none is.
_AT_REST: dict[str, float] = dict.fromkeys(_DISTANCES | _UNITLESS, 0.0) | {
    "rsi": 50.0, "k": 50.0, "d": 50.0, "direction": 1.0, "obv": 0.3,
}  # fmt: skip


@each_case
@pytest.mark.parametrize("price", [0.1, 1.7e-7, 29_999.99, 3.0])
@pytest.mark.parametrize("decimals", [None, 8])
def test_a_market_at_rest_has_no_differences(
    name: str, params: dict[str, Any], price: float, decimals: int | None
) -> None:
    rows = np.full(80, price)
    columns = dict.fromkeys(_PRICES, rows) | {"volume": np.full(80, 0.3), "open_time": np.arange(80) * 3.6e9}
    indicator = made(name, params, decimals)
    for output, values in indicator.columns(*read(indicator, columns)).items():
        last = values[-1]
        if name == "pivots":
            assert np.isnan(last)
        elif output in ("rsi", "k", "d"):
            assert last == params.get("flat", 50.0)
        else:
            assert last == _AT_REST.get(output, price), output


@pytest.mark.parametrize("price", [1.7e-7, 0.1, 1234.5])
def test_an_alternating_price_has_equal_means_over_even_windows(price: float) -> None:
    closes = np.where(np.arange(400) % 2 == 0, price, price + 1e-8)
    short, long = (made("sma", {"window": w}, 8).columns(closes)["sma"] for w in (10, 24))
    assert np.array_equal(short[30:], long[30:])
    slow, quick = made("sma", {"window": 24}, 8), made("sma", {"window": 10}, 8)
    pairs = [(quick.update(close), slow.update(close)) for close in closes.tolist()]
    assert all(a == b for a, b in pairs[30:])


@pytest.mark.parametrize(("name", "params"), [case for case in CASES if case[0] in _WINDOWED])
@given(seed=seeds, later=integers(1, 200), kind=sampled_from(["walk", "jumpy", "cheap"]))
@settings(max_examples=examples(20), deadline=None)
def test_windows_forget_what_came_before_them_to_the_bit(
    name: str, params: dict[str, Any], seed: int, later: int, kind: str
) -> None:
    indicator = made(name, params, 8)
    columns = read(indicator, market(kind, seed, 300))
    whole = indicator.columns(*columns)
    begun_later = indicator.columns(*[column[later:] for column in columns])
    known = slice(indicator.warmup - 1, None)
    assert_same_bits(
        {key: values[later:][known] for key, values in whole.items()},
        {key: values[known] for key, values in begun_later.items()},
    )


@pytest.mark.parametrize("name", ["ema", "dema", "macd", "rsi", "atr", "adx", "keltner"])
def test_recursions_do_not_drift_they_forget(name: str) -> None:
    params = {"ema": {"window": 20}, "dema": {"window": 20}}.get(name, {})
    indicator, columns = made(name, params), market("walk", 11, 200_000)
    read_columns = read(indicator, columns)
    whole = indicator.columns(*read_columns)
    recent = indicator.columns(*[column[-2000:] for column in read_columns])
    for output, values in whole.items():
        np.testing.assert_allclose(values[-100:], recent[output][-100:], rtol=1e-12, atol=1e-9, err_msg=output)
