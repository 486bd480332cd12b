"""Signals that look ahead and signals that do not: each a rule over a frame, small enough to be seen through."""

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from backtester.core.time import DAY, MINUTE
from backtester.strategy.base import StrategyParams
from backtester.strategy.features import Feature, Frame, formula, indicator
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.pivots import Pivots
from backtester.strategy.indicators.smoothing import Ema
from backtester.strategy.signals import SignalStrategy, Targets

Rule = Callable[[Frame], np.ndarray | Targets]
HALF_HOUR = 30 * MINUTE


def signal_of(rule: Rule, features: Sequence[Feature] = (), outputs: Sequence[str] | None = None) -> SignalStrategy:
    """A signal of a rule: a column becomes +1 where it is above zero, -1 below."""

    class Drawn(SignalStrategy):
        def features(self) -> Sequence[Feature]:
            return features

        def outputs(self) -> Sequence[str] | None:
            return outputs

        def targets(self, frame: Frame) -> Targets:
            found = rule(frame)
            return found if isinstance(found, Targets) else Targets(exposure=np.sign(found))

    return Drawn(StrategyParams())


def mean(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of each value and those before it; NaN until there are enough."""
    found = np.full(len(values), np.nan)
    if len(values) >= window:
        found[window - 1 :] = np.lib.stride_tricks.sliding_window_view(values, window).mean(axis=1)
    return found


def bucket_closes(frame: Frame) -> np.ndarray:
    """The close of the half hour in which each row lies, whether it has closed or not."""
    bucket = frame["open_time"] // HALF_HOUR
    last = np.append(np.flatnonzero(np.diff(bucket)), len(bucket) - 1)
    return frame["close"][last[np.searchsorted(bucket[last], bucket)]]


def scattered(values: np.ndarray, at: np.ndarray, rows: int) -> np.ndarray:
    found = np.zeros(rows)
    found[at] = values
    return found


def fitted(close: np.ndarray) -> np.ndarray:
    x = np.arange(len(close), dtype=float)
    slope, base = np.polyfit(x, close, 1)
    return close - (slope * x + base)


def backfilled(values: np.ndarray) -> np.ndarray:
    rows = np.where(np.isnan(values), len(values) - 1, np.arange(len(values)))
    return values[np.minimum.accumulate(rows[::-1])[::-1]]


def sparse(close: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(close)) % 7 == 0, close, np.nan)


def flat(frame: Frame) -> np.ndarray:
    return np.zeros(frame.rows)


def above_mean(frame: Frame) -> np.ndarray:
    return np.nan_to_num(frame["close"] - mean(frame["close"], 5))


_calls = itertools.count()
_memory: dict[str, float] = {}


def from_memory(frame: Frame) -> np.ndarray:
    """A threshold that a run before this one left behind."""
    threshold = _memory.get("best", 0.0)
    _memory["best"] = threshold + 1.0
    return frame["close"] - frame["close"][0] - threshold


CHEATING: dict[str, SignalStrategy] = {
    "shift_minus_one": signal_of(lambda f: np.append(f["close"][1:], f["close"][-1]) - f["close"]),
    "roll": signal_of(lambda f: np.roll(f["close"], -3) - f["close"]),
    "centred_window": signal_of(lambda f: f["close"] - np.convolve(f["close"], np.ones(9) / 9, mode="same")),
    "z_score_of_the_whole": signal_of(lambda f: (f["close"] - f["close"].mean()) / f["close"].std()),
    "scaled_between_least_and_most": signal_of(lambda f: (f["close"] - f["close"].min()) / np.ptp(f["close"]) - 0.5),
    "rank_in_the_whole": signal_of(lambda f: np.argsort(np.argsort(f["close"])) - f.rows / 2),
    "quantile_of_the_whole": signal_of(lambda f: f["volume"] - np.quantile(f["volume"], 0.8)),
    "backward_fill": signal_of(lambda f: backfilled(sparse(f["close"])) - f["close"]),
    "interpolated_between_known_points": signal_of(
        lambda f: np.interp(np.arange(f.rows), np.arange(0, f.rows, 7), f["close"][::7]) - f["close"]
    ),
    "unclosed_longer_candle": signal_of(lambda f: bucket_closes(f) - f["close"]),
    "joined_on_open_time": signal_of(
        lambda f: np.where(f["open_time"] % HALF_HOUR == 0, bucket_closes(f) - f["open"], 0)
    ),
    "fitted_on_all": signal_of(lambda f: fitted(f["close"])),
    "sorted_by_future_volume": signal_of(
        lambda f: scattered(np.ones(20), np.argsort(f["volume"], kind="stable")[-20:], f.rows)
    ),
    "sold_at_the_highest_of_all": signal_of(
        lambda f: scattered(np.array([-1.0]), np.array([f["high"].argmax()]), f.rows)
    ),
    "pivot_at_its_own_row": signal_of(
        lambda f: (
            scattered(
                np.ones(max(f.rows - 6, 0)),
                np.arange(3, f.rows - 3),
                f.rows,
            )
            * np.r_[
                [0] * 3, (np.lib.stride_tricks.sliding_window_view(f["low"], 7).min(axis=1) == f["low"][3:-3]), [0] * 3
            ]
        )
    ),
    "gradient": signal_of(lambda f: np.gradient(f["close"])),
    "filtered_both_ways": signal_of(lambda f: f["close"] - mean(mean(f["close"], 5)[::-1], 5)[::-1]),
    "frequencies": signal_of(lambda f: np.fft.irfft(np.fft.rfft(f["close"] - f["close"][0])[:5], f.rows)),
    "sum_from_the_end": signal_of(lambda f: np.cumsum(np.diff(f["close"], append=f["close"][-1])[::-1])[::-1]),
    "distance_from_the_last_close": signal_of(lambda f: f["close"][-1] - f["close"]),
    "rows_to_the_end": signal_of(lambda f: (f.rows - np.arange(f.rows)) % 3 - 1),
    "return_of_tomorrow": signal_of(lambda f: np.sign(np.append(f["close"][6:], [np.inf] * 6) - f["close"])),
    "random_without_the_seed": signal_of(lambda f: np.random.default_rng().normal(size=f.rows)),
    "counter_of_calls": signal_of(lambda f: flat(f) + next(_calls) % 2),
    "memory_of_another_run": signal_of(from_memory),
    "only_the_stop": signal_of(
        lambda f: Targets(exposure=np.sign(above_mean(f)), stop=np.minimum(f["low"], np.append(f["low"][1:], np.inf)))
    ),
    "only_the_trail_of_shorts": signal_of(
        lambda f: Targets(exposure=flat(f), stop=f["low"], trail_short=np.full(f.rows, f["high"].max()))
    ),
    "only_the_trail": signal_of(
        lambda f: Targets(exposure=flat(f), stop=f["low"], trail=np.full(f.rows, f["low"].min()))
    ),
    "only_the_exit": signal_of(lambda f: Targets(exposure=flat(f), exit_long=f["high"] == f["high"].max())),
    "only_the_tag": signal_of(lambda f: Targets(exposure=flat(f), tag=np.round(f["close"] / f["close"].max(), 6))),
    "only_a_value_in_the_log": signal_of(
        lambda f: Targets(exposure=flat(f), values={"x": f["close"] / f["close"].max()})
    ),
    "in_a_feature": signal_of(flat, [formula("ahead", lambda close: close / close.max(), "close")]),
    "in_a_feature_of_longer_candles": signal_of(
        flat, [formula("ahead", lambda close: np.append(close[1:], 0), "close")], ["30m/ahead"]
    ),
    "a_mean_over_the_past_of_a_leak": signal_of(
        lambda f: np.nan_to_num(f["smooth"]) - 1,
        [formula("ahead", lambda close: np.roll(close, -1), "close"), indicator("smooth", Sma, "ahead", window=3)],
    ),
}


@cache
def noise_of(time: float) -> float:
    """Noise that depends on the row's time alone."""
    return float(np.random.default_rng(int(time)).normal())


HONEST: dict[str, SignalStrategy] = {
    "always_long": signal_of(lambda f: np.ones(f.rows)),
    "never": signal_of(flat),
    "no_opinion": signal_of(lambda f: Targets(exposure=np.full(f.rows, np.nan))),
    "shift_plus_one": signal_of(lambda f: f["close"] - np.append(f["close"][0], f["close"][:-1])),
    "candle_itself": signal_of(lambda f: f["close"] - f["open"]),
    "rolling_mean": signal_of(above_mean),
    "convolved_with_the_past": signal_of(lambda f: f["close"] - np.convolve(f["close"], np.ones(9) / 9)[: f.rows]),
    "z_score_so_far": signal_of(lambda f: f["close"] - np.cumsum(f["close"]) / np.arange(1, f.rows + 1)),
    "between_least_and_most_so_far": signal_of(
        lambda f: f["close"] - (np.maximum.accumulate(f["high"]) + np.minimum.accumulate(f["low"])) / 2
    ),
    "forward_fill": signal_of(lambda f: f["close"] - f["close"][np.arange(f.rows) // 7 * 7]),
    "time_of_day": signal_of(lambda f: f["open_time"] % DAY - DAY / 2),
    "number_of_the_row": signal_of(lambda f: np.arange(f.rows) % 3 - 1),
    "change_of_volume": signal_of(lambda f: np.diff(f["volume"], prepend=f["volume"][0])),
    "volume_weighted_price": signal_of(
        lambda f: f["close"] - np.cumsum(f["close"] * f["volume"]) / np.cumsum(f["volume"])
    ),
    "sum_so_far": signal_of(lambda f: np.cumsum(np.sign(f["close"] - f["open"]))),
    "noise_by_time": signal_of(lambda f: np.array([noise_of(time) for time in f["open_time"].tolist()])),
    "noise_with_a_seed_by_row": signal_of(lambda f: np.random.default_rng(7).normal(size=f.rows)),
    "breakout": signal_of(lambda f: f["close"] - np.append([np.inf], np.maximum.accumulate(f["high"])[:-1])),
    "pivots_once_confirmed": signal_of(
        lambda f: np.nan_to_num(f["close"] - f["swing.last_high"]), [indicator("swing", Pivots)]
    ),
    "closed_longer_candle": signal_of(lambda f: np.nan_to_num(f["close"] - f["30m/close"]), [], ["30m/close"]),
    "closed_longer_feature": signal_of(
        lambda f: np.nan_to_num(f["close"] - f["30m/slow"]), [indicator("slow", Ema, window=5)], ["30m/slow"]
    ),
    "two_means": signal_of(
        lambda f: np.nan_to_num(f["fast"] - f["slow"]),
        [indicator("fast", Sma, window=5), indicator("slow", Sma, window=20)],
    ),
    "exponential_mean": signal_of(lambda f: np.nan_to_num(f["close"] - f["ema"]), [indicator("ema", Ema, window=12)]),
    "difference_of_three_rows": signal_of(
        lambda f: np.nan_to_num(f["d"]),
        [formula("d", lambda c: np.r_[[np.nan] * 2, c[2:] - c[:-2]], "close", rows=3)],
    ),
    "logarithm_and_root": signal_of(lambda f: np.log(f["close"]) - np.sqrt(f["open"]) / 4),
    "stop_below_the_low": signal_of(lambda f: Targets(exposure=np.sign(above_mean(f)), stop=f["low"] * 0.99)),
    "trail_of_confirmed_lows": signal_of(
        lambda f: Targets(exposure=flat(f), stop=f["low"], trail=f["swing.last_low"]), [indicator("swing", Pivots)]
    ),
    "exit_after_a_fall": signal_of(lambda f: Targets(exposure=flat(f), exit_long=f["close"] < f["open"])),
    "tag_of_the_day": signal_of(lambda f: Targets(exposure=flat(f), tag=f["open_time"] // DAY)),
    "reason_in_words": signal_of(
        lambda f: Targets(exposure=flat(f), reason=np.where(f["close"] > f["open"], "up", "down"))
    ),
    "values_in_the_log": signal_of(lambda f: Targets(exposure=flat(f), values={"range": f["high"] - f["low"]})),
}
