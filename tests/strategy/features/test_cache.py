"""What is kept of a graph: a column is read where rule, parameters and input data are the same, and nowhere else."""

import numpy as np
import pytest

from backtester.strategy.features import Feature, FeatureGraph, Frame, Source, formula, indicator
from backtester.strategy.features.cache import rule_digest
from backtester.strategy.indicators.dispersion import Bollinger
from backtester.strategy.indicators.means import Sma
from tests.strategy.features.frames import BTC, ETH, columns, frame_of, frames_of

OWN = Source(BTC, "5m")


class Kept:
    """A cache in memory that counts."""

    def __init__(self, code: str = "") -> None:
        self.code = code
        self.columns: dict[str, np.ndarray] = {}
        self.hits = 0

    def get(self, key: str, rows: int) -> np.ndarray | None:
        found = self.columns.get(key)
        self.hits += found is not None and len(found) == rows
        return found

    def put(self, key: str, column: np.ndarray) -> None:
        self.columns[key] = column


def double(close: np.ndarray) -> np.ndarray:
    return close * 2


def triple(close: np.ndarray) -> np.ndarray:
    return close * 3


def times(close: np.ndarray, factor: float) -> np.ndarray:
    return close * factor


def by(factor: float) -> Feature:
    return formula("x", lambda close: close * factor, "close")


def computed(cache: Kept, *features: Feature, frames: dict[Source, Frame] | None = None) -> Frame:
    return FeatureGraph(features).compute(frames or frames_of(columns(50), "30m"), OWN, cache)


FEATURES = [
    indicator("mean", Sma, "close", window=3),
    indicator("bands", Bollinger, window=5),
    formula("spread", lambda mean, upper: mean / upper, "mean", "30m/bands.upper"),
]


def test_a_second_time_everything_is_read_and_is_the_same() -> None:
    cache = Kept()
    first = computed(cache, *FEATURES)
    assert cache.hits == 0
    kept = len(cache.columns)
    second = computed(cache, *FEATURES)
    assert (cache.hits, len(cache.columns)) == (kept, kept)
    assert {name: values.tobytes() for name, values in first.items()} == {n: v.tobytes() for n, v in second.items()}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (formula("x", double, "close"), formula("x", triple, "close")),
        (formula("x", times, "close", factor=2), formula("x", times, "close", factor=3)),
        (formula("x", double, "close"), formula("x", double, "open")),
        (formula("x", double, "close"), formula("x", double, "close", rows=2)),
        (formula("x", double, "close"), formula("x", double, "30m/close")),
        (by(2.0), by(3.0)),
        (formula("x", lambda c: c + 1, "close"), formula("x", lambda c: c - 1, "close")),
        (indicator("x", Sma, "close", window=2), indicator("x", Sma, "close", window=3)),
        (indicator("x", Sma, "close", window=2), indicator("x", Sma, "close", window=2, decimals=1)),
    ],
)
def test_what_is_not_the_same_is_not_read(one: Feature, other: Feature) -> None:
    cache = Kept()
    computed(cache, one)
    found = computed(cache, other)
    assert cache.hits == 0
    assert found["x"].tobytes() == computed(Kept(), other)["x"].tobytes()


def test_other_data_and_other_code_are_not_the_same() -> None:
    cache = Kept()
    computed(cache, *FEATURES)
    computed(cache, *FEATURES, frames=frames_of(columns(50, seed=2), "30m"))
    assert cache.hits == 0
    other = Kept(code="changed")
    other.columns = cache.columns
    computed(other, *FEATURES)
    assert other.hits == 0


def test_the_times_of_another_instrument_are_part_of_what_is_joined() -> None:
    own, other = columns(50), columns(50, seed=2)
    late = other.take(np.arange(50))
    late = type(late)(late.open_time + 300_000_000, late.open, late.high, late.low, late.close, late.volume)
    cache = Kept()
    feature = formula("x", double, f"{ETH}/close")
    for candles in (other, late):
        frames = {OWN: frame_of(own), Source(ETH, "5m"): frame_of(candles, ETH)}
        found = computed(cache, feature, frames=frames)
        assert cache.hits == 0
    assert np.isnan(found["x"][0])


def test_a_rule_that_closes_over_what_has_no_plain_name_is_not_kept() -> None:
    table = {"a": 1.0}
    cache = Kept()
    computed(cache, formula("x", lambda close: close * table["a"], "close"))
    assert cache.columns == {}
    assert rule_digest(np.log) is None
    assert rule_digest(double) is not None
