"""In a run, features of `on_candle` and features of a frame are the same numbers."""

from pathlib import Path

import numpy as np

from backtester.strategy.base import Intents, Strategy
from backtester.strategy.features import Feature, FeatureGraph, FeatureStream, Frame, Source, formula, indicator
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.pivots import Pivots
from backtester.strategy.indicators.ranges import Atr
from backtester.strategy.signals import SignalStrategy, Targets
from tests.support.lakes import two_coins
from tests.support.runs import config_of, prepared_run, run_prepared

ETH = "spot:ETHUSDT"
FEATURES = [
    indicator("mean", Sma, "close", window=4),
    indicator("range", Atr, window=5),
    indicator("swing", Pivots),
    formula("ratio", lambda own, other: own / other, "mean", f"{ETH}/mean"),
]
OUTPUTS = ["ratio", "30m/mean", "30m/range", "30m/swing.last_high", "swing.last_low", f"{ETH}/30m/mean"]
WARMUP = 7 * 6 + 5  # seven half hours until a pivot can be confirmed, after the one in which the rows begin
seen: dict[str, dict[int, list[float | None]]] = {}


class InColumns(SignalStrategy):
    def features(self) -> list[Feature]:
        return FEATURES

    def outputs(self) -> list[str]:
        return OUTPUTS

    def targets(self, frame: Frame) -> Targets:
        table = np.column_stack([frame[name] for name in OUTPUTS]).tolist()
        rows = [[None if value != value else value for value in row] for row in table]
        seen[f"columns {frame.source.instrument}"] = dict(zip(frame.times.tolist(), rows, strict=True))
        return Targets(exposure=np.zeros(frame.rows))


class CandleByCandle(Strategy):
    warmup_candles = WARMUP
    feeds = ("30m", f"{ETH}/klines:5m", f"{ETH}/klines:30m")

    def on_start(self) -> Intents:
        decimals = {i.id: i.scale.price for i in self.instruments}
        self.streams = [
            FeatureStream(FeatureGraph(FEATURES, OUTPUTS), Source(i.id, "5m"), decimals=decimals)
            for i in self.instruments
        ]

    def on_candle(self, candle) -> Intents:
        for instrument, stream in zip(self.instruments, self.streams, strict=True):
            for row in stream.push(candle):
                assert row.time == self.now
                seen.setdefault(f"candles {instrument.id}", {})[row.time] = list(row.values.values())


def test_the_numbers_of_a_signal_are_those_of_on_candle(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 1500, quiet=0.02)
    seen.clear()
    run = {"timeframe": "5m", "start": "2024-01-01T12:00"}
    config = config_of(tmp_path / "lake", ["BTCUSDT", "ETHUSDT"], run=run)
    signal = prepared_run(InColumns, config)
    assert signal.series[0].warmup_start == signal.start - WARMUP * 300_000_000
    run_prepared(tmp_path, signal)
    run_prepared(tmp_path, prepared_run(CandleByCandle, config))
    for instrument in ("spot:BTCUSDT", ETH):
        columns, candles = seen[f"columns {instrument}"], seen[f"candles {instrument}"]
        assert len(columns) > 150
        assert columns == candles
        assert None not in list(columns.values())[-1]
