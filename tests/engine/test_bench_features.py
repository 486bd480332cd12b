"""`bt bench features`: pandas, Numba and a bare loop give the values of what is measured, and it says so in JSON."""

import numpy as np
import pytest

from backtester.core.errors import EngineError
from backtester.engine import bench_features, bench_pandas
from backtester.engine.bench_features import (
    features,
    indicator_columns,
    made_up_candles,
    measure_columns,
    measure_frames,
    measure_updates,
)
from tests.support.cli import bt

ROWS = 3_000


def test_pandas_gives_the_same_features_and_a_wrong_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = measure_frames(made_up_candles(ROWS))
    assert figures["rows"] == ROWS
    assert figures["columns"] == 6
    assert figures["values"] > 5 * ROWS

    def off_by_one(*arguments: object) -> dict[str, np.ndarray]:
        found = true_features(*arguments)
        return found | {"30m/trend": np.roll(found["30m/trend"], 1)}

    true_features = bench_pandas.pandas_features
    monkeypatch.setattr(bench_pandas, "pandas_features", off_by_one)
    with pytest.raises(EngineError, match="other values of 30m/trend"):
        measure_frames(made_up_candles(ROWS))


def test_compiling_changes_no_value() -> None:
    figures = measure_columns(made_up_candles(ROWS))  # raises when it does
    assert figures["rows"] == ROWS
    assert figures["numba"] is ("compiled_warm_s" in figures)


@pytest.mark.parametrize("rows", [13, 14, 15, 60, ROWS])
def test_the_bare_loop_ends_where_the_indicators_end(rows: int) -> None:
    candles = made_up_candles(rows)
    assert measure_updates(candles)["rows"] == rows  # raises when they differ
    last = {name: values[-1] for name, values in indicator_columns(candles).items()}
    rsi_and_atr = rows >= 15
    assert [name for name, value in last.items() if np.isnan(value)] == (
        [] if rows >= 60 else ["sma"] if rows >= 20 else ["sma", "ema"] if rsi_and_atr else ["sma", "ema", "rsi", "atr"]
    )


def test_the_features_are_those_of_the_strategy_and_of_the_same_candles_each_time() -> None:
    one, other = (features(made_up_candles(ROWS)) for _ in range(2))
    assert "30m/trend" in one
    assert set(np.unique(one["30m/trend"][~np.isnan(one["30m/trend"])])) == {-1.0, 0.0, 1.0}
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)


def test_the_command_says_its_figures_in_json_and_in_a_table() -> None:
    figures = bt("bench", "features", "--rows", 2_000, "--repeat", 1, "--json").json
    assert {"frames", "columns", "updates"} <= figures.keys()
    assert min(figures["frames"]["warm_s"], figures["updates"]["us_per_update"]) > 0


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_features, "find_spec", lambda _: None)
    said = bt("bench", "features", "--rows", 2_000)
    assert "pandas, which is not installed" in said.message
    assert "backtester[bench]" in said.message
