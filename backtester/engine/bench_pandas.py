"""The features of structure_mtf as one writes them with pandas: what `bt bench features` is compared with."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def pandas_features(columns: dict[str, NDArray[Any]], side: int, longer: str) -> dict[str, NDArray[np.float64]]:
    """Return the outputs of structure_mtf by name, as known at each row.

    Args:
        columns: open_time (UTC µs), high, low, close of 5m candles without a hole.
        side: candles on each side of a pivot.
        longer: timeframe of the trend, in minutes, such as 30m.
    """
    minutes = int(longer.removesuffix("m"))
    index = pd.to_datetime(columns["open_time"], unit="us")
    candles = pd.DataFrame({name: columns[name] for name in ("high", "low", "close")}, index=index)
    grouped = candles.resample(f"{minutes}min")
    trend = grouped.agg({"high": "max", "low": "min", "close": "last"})[grouped["close"].count() == minutes // 5]
    own, long = _swings(candles, side), _swings(trend, side)
    rising = (long["last_high"] > long["previous_high"]) & (long["last_low"] > long["previous_low"])
    falling = (long["last_high"] < long["previous_high"]) & (long["last_low"] < long["previous_low"])
    whole = long.notna().all(axis=1)
    long["trend"] = np.where(rising, 1.0, np.where(falling, -1.0, 0.0))
    long["trend"] = long["trend"].where(whole)
    own.index += pd.Timedelta(minutes=5)  # known at their close
    long.index += pd.Timedelta(minutes=minutes)
    wanted = long[["trend", "last_high", "last_low"]]
    joined = pd.merge_asof(own[[]], wanted, left_index=True, right_index=True, direction="backward")
    return {
        "swing.last_high": own["last_high"].to_numpy(),
        "swing.last_low": own["last_low"].to_numpy(),
        "close_before": candles["close"].shift(1).to_numpy(),
        f"{longer}/trend": joined["trend"].to_numpy(),
        f"{longer}/swing.last_high": joined["last_high"].to_numpy(),
        f"{longer}/swing.last_low": joined["last_low"].to_numpy(),
    }


def _swings(candles: pd.DataFrame, side: int) -> pd.DataFrame:
    """Return the two newest confirmed pivots of each kind, at each row."""
    high, low = candles["high"], candles["low"]
    tops, bottoms = high.shift(side), low.shift(side)
    is_top = (tops > high.rolling(side).max().shift(side + 1)) & (tops > high.rolling(side).max())
    is_bottom = (bottoms < low.rolling(side).min().shift(side + 1)) & (bottoms < low.rolling(side).min())
    found = {}
    for name, values, there in (("high", tops, is_top), ("low", bottoms, is_bottom)):
        pivots = values[there]
        found[f"last_{name}"] = pivots.reindex(candles.index).ffill()
        found[f"previous_{name}"] = pivots.shift(1).reindex(candles.index).ffill()
    return pd.DataFrame(found)
