"""The graph: order, circles, warm-up, and longer candles as they are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers

from backtester.core.errors import UsageError
from backtester.core.time import MINUTE
from backtester.strategy.features import FeatureGraph, Source, formula, indicator
from backtester.strategy.indicators.means import Sma
from tests.strategy.features.frames import BTC, ETH, columns, frame_of, frames_of

OWN = Source(BTC, "5m")


def plus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def change(close: np.ndarray) -> np.ndarray:
    moved = np.full(len(close), np.nan)
    moved[1:] = close[1:] - close[:-1]
    return moved


def test_a_feature_is_computed_after_what_it_needs_and_each_once() -> None:
    calls: list[str] = []

    def noted(name: str):
        def rule(values: np.ndarray, *more: np.ndarray) -> np.ndarray:
            calls.append(name)
            return values + len(more)

        return rule

    features = [
        formula("top", noted("top"), "left", "right"),
        formula("left", noted("left"), "bottom"),
        formula("right", noted("right"), "bottom"),
        formula("bottom", noted("bottom"), "close"),
    ]
    FeatureGraph(features).compute(frames_of(columns(5)), OWN)
    assert sorted(calls) == ["bottom", "left", "right", "top"]
    assert calls[0] == "bottom"
    assert calls[-1] == "top"


def test_features_that_need_each_other_are_refused_with_the_circle_named() -> None:
    features = [formula("a", plus, "b", "close"), formula("b", plus, "c", "close"), formula("c", plus, "a", "close")]
    with pytest.raises(UsageError, match="circle") as caught:
        FeatureGraph(features).plan_for(OWN)
    shown = caught.value.message.replace(f"{OWN}/", "").partition(": ")[2]
    assert shown in {"a needs b needs c needs a", "b needs c needs a needs b", "c needs a needs b needs c"}


def test_a_feature_that_needs_itself_on_its_own_longer_candles_is_a_circle() -> None:
    with pytest.raises(UsageError, match=r"circle: .*30m/x needs .*30m/x"):
        FeatureGraph([formula("x", plus, "close", "30m/x")]).plan_for(OWN)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([formula("a", plus, "closed", "close")], "'closed', which is no column and no feature"),
        ([formula("a", plus, "1m/close", "close")], "a shorter timeframe has many values a row"),
        ([formula("close", change, "open")], "a column of every candle"),
        ([formula("a", change, "open"), formula("a", change, "low")], "given twice"),
    ],
)
def test_what_cannot_be_a_graph_is_refused_by_name(features: list, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FeatureGraph(features).plan_for(OWN)


@pytest.mark.parametrize("text", ["", "30m/", "7m/close", "spot:X/30m/close/more", "x/y/z"])
def test_a_text_that_refers_to_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an input of a feature"):
        formula("a", change, text)


def test_a_rule_cannot_change_what_it_is_given() -> None:
    def cheat(close: np.ndarray) -> np.ndarray:
        close[0] = 1.0
        return close

    with pytest.raises(UsageError, match=r"feature cheat of spot:BTCUSDT/5m failed.*read-only") as caught:
        FeatureGraph([formula("cheat", cheat, "close")]).compute(frames_of(columns(5)), OWN)
    assert "pure" in caught.value.hint


def test_a_rule_that_gives_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match=r"feature short gave shape \(4,\) for 5 rows"):
        FeatureGraph([formula("short", lambda close: close[1:], "close")]).compute(frames_of(columns(5)), OWN)


def test_a_comparison_is_null_and_not_false_before_its_inputs_have_values() -> None:
    features = [
        indicator("mean", Sma, "close", window=3),
        formula("above", lambda close, mean: close > mean, "close", "mean"),
    ]
    found = FeatureGraph(features).compute(frames_of(columns(6)), OWN)
    assert np.isnan(found["above"]).tolist() == [True, True, False, False, False, False]
    assert set(found["above"][2:].tolist()) <= {0.0, 1.0}


def test_a_longer_candle_appears_on_the_row_at_whose_close_it_closes_and_not_before() -> None:
    candles = columns(14)  # two whole half hours, and two rows
    found = FeatureGraph([], ["30m/close"]).compute(frames_of(candles, "30m"), OWN)["30m/close"]
    close = candles.close
    assert np.isnan(found[:5]).all()
    assert found[5:11].tolist() == [close[5]] * 6
    assert found[11:].tolist() == [close[11]] * 3


def test_a_longer_candle_that_is_missing_leaves_the_one_before_it_known() -> None:
    candles = columns(18).take(np.array([*range(7), *range(8, 18)]))  # the second half hour lacks a part
    found = FeatureGraph([], ["30m/close"]).compute(frames_of(candles, "30m"), OWN)["30m/close"]
    assert found[5:16].tolist() == [candles.close[5]] * 11
    assert found[16] == candles.close[16]


def test_another_instrument_is_seen_as_of_the_last_close_that_is_known() -> None:
    own, other = columns(6), columns(6, seed=2).take(np.array([0, 1, 4, 5]))
    frames = {OWN: frame_of(own), Source(ETH, "5m"): frame_of(other, ETH)}
    found = FeatureGraph([], [f"{ETH}/close"]).compute(frames, OWN)[f"{ETH}/close"]
    assert found.tolist() == other.close[[0, 1, 1, 1, 2, 3]].tolist()


def test_a_feature_of_longer_candles_is_computed_on_them() -> None:
    candles = columns(60)
    graph = FeatureGraph([indicator("mean", Sma, "close", window=3)], ["30m/mean"])
    found = graph.compute(frames_of(candles, "30m"), OWN)["30m/mean"]
    closes = candles.close[5::6]
    assert found[17] == pytest.approx(closes[:3].mean())
    assert np.isnan(found[:17]).all()
    assert found[17:23].tolist() == [found[17]] * 6


@given(first=integers(0, 5), window=integers(1, 4), rows=integers(1, 4))
def test_warm_up_is_derived_and_is_what_it_takes_where_the_grid_is_worst(first: int, window: int, rows: int) -> None:
    features = [
        indicator("mean", Sma, "close", window=window),
        formula(
            "older",
            lambda mean: np.concatenate((np.full(rows - 1, np.nan), mean[: len(mean) - rows + 1])),
            "mean",
            rows=rows,
        ),
    ]
    graph = FeatureGraph(features, ["older", "30m/older"])
    found = graph.compute(frames_of(columns(70, first=first), "30m"), OWN)
    warmup = graph.plan_for(OWN).warmup
    observed = {name: int(np.flatnonzero(~np.isnan(found[name]))[0]) + 1 for name in warmup}
    assert warmup["older"] == observed["older"] == window + rows - 1
    lost = (6 - first) % 6  # rows of a half hour that began before the first row
    assert observed["30m/older"] == (window + rows - 1) * 6 + lost
    assert warmup["30m/older"] == (window + rows - 1) * 6 + 5


def test_rows_out_of_time_order_are_refused() -> None:
    candles = columns(4)
    with pytest.raises(UsageError, match="not in time order"):
        frame_of(candles.take(np.array([0, 2, 1, 3])))


def test_a_frame_shows_nothing_that_can_be_changed() -> None:
    frame = frames_of(columns(4))[OWN]
    with pytest.raises(ValueError, match="read-only"):
        frame["close"][0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        frame.times[0] = 1
    assert frame.until(10 * MINUTE).rows == 2
