"""The two faces of a graph agree bit for bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers

from backtester.core.errors import UsageError
from backtester.strategy.features import FeatureGraph, FeatureStream, Source, formula, indicator
from backtester.strategy.indicators.means import Sma
from tests.strategy.features.frames import BTC, ETH, columns, events, frame_of, frames_of, longer

OWN = Source(BTC, "5m")


def highest(high: np.ndarray, rows: int) -> np.ndarray:
    found = np.full(len(high), np.nan)
    if len(high) >= rows:
        found[rows - 1 :] = np.lib.stride_tricks.sliding_window_view(high, rows).max(axis=1)
    return found


FEATURES = [
    indicator("fast", Sma, "close", window=3),
    indicator("slow", Sma, "close", window=7),
    formula("spread", lambda fast, slow: fast / slow - 1, "fast", "slow"),
    formula("high_4", lambda high: highest(high, 4), "high", rows=4),
    formula("above", lambda close, mean: (close > mean) * 1.0, "close", "30m/fast"),
    indicator("mean_of_high", Sma, "high_4", window=2),
    formula("ratio", lambda own, other: own / other, "close", f"{ETH}/1h/slow"),
]
OUTPUTS = [feature.name for feature in FEATURES] + ["30m/spread", f"{ETH}/close"]


@given(seed=integers(0, 10_000), first=integers(0, 11), low_priced=booleans(), rows=integers(1, 150))
def test_candle_by_candle_gives_the_same_values_bit_for_bit(seed: int, first: int, low_priced: bool, rows: int) -> None:
    own = columns(rows, seed=seed, first=first, low_priced=low_priced)
    other = columns(rows, seed=seed + 1, first=first, low_priced=low_priced)
    frames = frames_of(own, "30m")
    frames |= {
        Source(ETH, source.timeframe): frame_of(made, ETH, source.timeframe)
        for source, made in ((Source(ETH, "5m"), other), (Source(ETH, "1h"), longer(other, "1h")))
    }
    graph = FeatureGraph(FEATURES, OUTPUTS)
    together = graph.compute(frames, OWN)
    stream = FeatureStream(graph, OWN, decimals={BTC: 2, ETH: 2})
    seen = [row for candle in events(*frames.values()) for row in stream.push(candle)]
    assert [row.time for row in seen] == frames[OWN].times.tolist()
    for name in OUTPUTS:
        alone = np.array([np.nan if row.values[name] is None else row.values[name] for row in seen])
        assert alone.tobytes() == np.where(np.isnan(together[name]), np.nan, together[name]).tobytes(), name


def test_a_row_waits_for_another_instrument_whose_candle_comes_after_it() -> None:
    own, other = frame_of(columns(3)), frame_of(columns(3, seed=2), ETH)
    stream = FeatureStream(FeatureGraph([], ["close", f"{ETH}/close"]), OWN)
    first, second, third = zip(events(own), events(other), strict=True)
    for candle, late in (first, second, third):
        assert stream.push(candle) == []
        assert stream.push(late) == [(candle.ts, {"close": candle.close, f"{ETH}/close": late.close})]


def test_a_row_whose_companion_is_missing_comes_with_the_next_instant_and_says_its_time() -> None:
    own, other = frame_of(columns(3)), frame_of(columns(3, seed=2), ETH)
    stream = FeatureStream(FeatureGraph([], [f"{ETH}/close"]), OWN)
    (one, companion), (two, _), (three, _) = zip(events(own), events(other), strict=True)
    stream.push(one)
    stream.push(companion)
    assert stream.push(two) == []
    assert stream.push(three) == [(two.ts, {f"{ETH}/close": companion.close})]


def test_a_candle_that_comes_after_the_row_that_used_it_is_refused() -> None:
    frames = frames_of(columns(6), "30m")
    stream = FeatureStream(FeatureGraph([], ["30m/close"]), OWN)
    *before, half_hour, last = events(*frames.values())
    for candle in before:
        stream.push(candle)
    stream.push(last)
    with pytest.raises(UsageError, match="comes too late, or twice"):
        stream.push(half_hour)


def test_a_candle_twice_is_refused_and_one_of_nobody_is_ignored() -> None:
    frames = frames_of(columns(3), "30m")
    stream = FeatureStream(FeatureGraph([formula("c", lambda c: c, "close")]), OWN)
    candle = events(*frames.values())[0]
    assert stream.push(candle) == [(candle.ts, {"c": candle.close})]
    with pytest.raises(UsageError, match="comes too late, or twice"):
        stream.push(candle)
    assert stream.push(events(frame_of(columns(1), ETH))[0]) == []
