"""Columns of candles to try indicators on, every indicator with some parameters, and equality to the bit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.time import HOUR
from backtester.strategy.indicators.base import Column, Indicator
from backtester.strategy.indicators.registry import make_indicator

Market = dict[str, Column]
KINDS = ("walk", "cheap", "flat", "alternating", "jumpy")
PRICE_DECIMALS = {"walk": 2, "cheap": 8, "flat": 1, "alternating": 1, "jumpy": 2}
VOLUME_DECIMALS = 3

# Every indicator, with small windows so that short columns warm it up.
PARAMS: dict[str, list[dict[str, Any]]] = {
    "adx": [{"window": 2}, {"window": 5}],
    "atr": [{"window": 1}, {"window": 4}],
    "bollinger": [{"window": 5}, {"window": 3, "multiple": 1.5, "ddof": 1}],
    "dema": [{"window": 1}, {"window": 4}],
    "donchian": [{"window": 1}, {"window": 6}],
    "ema": [{"window": 1}, {"window": 5}],
    "ichimoku": [{"conversion": 2, "base": 4, "span": 7, "displacement": 3}],
    "keltner": [{"window": 5, "atr_window": 3}, {"window": 3, "atr_window": 6, "multiple": 0.5}],
    "macd": [{"fast": 2, "slow": 5, "signal": 3}],
    "max": [{"window": 1}, {"window": 7}],
    "min": [{"window": 1}, {"window": 7}],
    "obv": [{}],
    "pivots": [{"left": 1, "right": 1}, {"left": 3, "right": 2}, {"left": 2, "right": 3, "ties": "first"}],
    "realised_volatility": [{"window": 4, "timeframe": "1h"}, {"window": 2, "timeframe": "5m", "ddof": 0}],
    "rsi": [{"window": 1}, {"window": 4}, {"window": 3, "flat": 0.0}],
    "slope": [{"window": 2}, {"window": 6}],
    "sma": [{"window": 1}, {"window": 5}],
    "std": [{"window": 2}, {"window": 5, "ddof": 1}],
    "stochastic": [{"window": 4, "smooth": 1, "signal": 2}, {"window": 3, "flat": 0.0}],
    "supertrend": [{"window": 3}, {"window": 2, "multiple": 0.7}],
    "vwap": [{}, {"session": "1h"}],
    "wma": [{"window": 1}, {"window": 5}],
    "zscore": [{"window": 4}, {"window": 5, "ddof": 1}],
}
CASES = [(name, params) for name, several in PARAMS.items() for params in several]
IDS = [f"{name}-{'-'.join(str(value) for value in params.values())}" for name, params in CASES]


def market(kind: str, seed: int, rows: int) -> Market:
    """Return consistent candles. cheap: prices of a few units of 1e-8, so that ties are everywhere."""
    rng = np.random.default_rng(seed)
    scale = 10 ** PRICE_DECIMALS[kind]
    opens, closes = _path(kind, rng, rows)
    spread = 0 if kind == "flat" else 3
    high = np.maximum(opens, closes) + rng.integers(0, spread + 1, rows)
    low = np.maximum(np.minimum(opens, closes) - rng.integers(0, spread + 1, rows), 1)
    volume = rng.integers(0, 4, rows) * rng.integers(0, 10**6, rows)
    times = np.arange(rows, dtype=np.float64) * HOUR + 1_700_000_000_000_000
    return {
        "high": high / scale,
        "low": low / scale,
        "close": closes / scale,
        "volume": volume / 10**VOLUME_DECIMALS,
        "open_time": times,
    }


def _path(kind: str, rng: np.random.Generator, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if kind == "flat":
        steps = np.zeros(rows, dtype=np.int64)
    elif kind == "alternating":
        steps = np.where(np.arange(rows) % 2 == 0, 1, -1)
    elif kind == "cheap":
        steps = rng.integers(-1, 2, rows)
    elif kind == "jumpy":
        steps = rng.integers(-30, 31, rows) * rng.choice([1, 1, 1, 10_000], rows)
    else:
        steps = rng.integers(-500, 501, rows)
    start = {"flat": 1, "cheap": 12, "jumpy": 5_000_000}.get(kind, 10_000)
    closes = np.maximum(start + np.cumsum(steps), 1)
    return np.concatenate(([start], closes[:-1])) if rows else closes, closes


def made(name: str, params: dict[str, Any], decimals: int | None = None) -> Indicator:
    """Return an indicator; where it sums prices or volumes, in units of 10^-decimals."""
    known = make_indicator(name, **params).parameters
    if decimals is None:
        return make_indicator(name, **params)
    units = {"decimals": decimals, "volume_decimals": VOLUME_DECIMALS}
    return make_indicator(name, **params, **{key: value for key, value in units.items() if key in known})


def read(indicator: Indicator, columns: Market) -> list[Column]:
    """Return the columns that an indicator reads."""
    return [columns[name] for name in indicator.inputs]


def stepped(indicator: Indicator, columns: Market) -> dict[str, Column]:
    """Return the outputs of `update` at each row, None as NaN."""
    fresh = indicator.fresh()
    values = [fresh.update(*row) for row in zip(*[c.tolist() for c in read(indicator, columns)], strict=True)]
    if len(indicator.outputs) == 1:
        return {indicator.outputs[0]: np.array(values, dtype=np.float64)}
    return {
        name: np.array([None if v is None else getattr(v, name) for v in values], dtype=np.float64)
        for name in indicator.outputs
    }


def assert_same_bits(one: dict[str, Column], other: dict[str, Column]) -> None:
    """Compare to the last bit, the sign of zero included; a NaN equals a NaN."""
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(_bits(values), _bits(other[name]), err_msg=name)


def _bits(values: Column) -> NDArray[np.int64]:
    assert values.dtype == np.float64
    return np.where(np.isnan(values), np.nan, values).view(np.int64)
