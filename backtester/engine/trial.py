"""A strategy on a few candles drawn by hand: the real engine over a little lake, for tests of strategies.

fills = trial("my_trend.py:MyTrend", closing_at([100, 100, 101, 99]), tmp_path, candles=2)
assert [(fill.side, fill.candle) for fill in fills] == [("buy", 3)]
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from backtester.config.configs import BacktestConfig
from backtester.core.time import parse_time, timeframe_us
from backtester.core.topics import T_FILLS
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import KLINES
from backtester.engine.prepare import prepare
from backtester.engine.replay import LOG
from backtester.engine.run import run_backtest

Candles = Sequence[tuple[float, float, float, float]]

_START: Final = "2024-01-01"
_VOLUME: Final = 1000.0
_PLAIN: Final = {"tick_size": "0.01", "lot_size": "0.001", "min_qty": "0.001", "max_qty": 0, "min_notional": 0}
_FREE: Final[Mapping[str, Any]] = {
    "fees": {"maker_bps": 0, "taker_bps": 0},
    "slippage": {"bps": 0},
    "execution": {"participation": 0},
    "futures": {"funding": "off"},
}


class TrialFill(NamedTuple):
    """What executed: in which candle, counted from 0; buy or sell; at what price, how much, and the order's tag."""

    candle: int
    side: str
    price: Decimal
    qty: Decimal
    tag: str


def closing_at(closes: Sequence[float]) -> Candles:
    """Return candles that open where the one before closed, and reach no further than both."""
    opens = [closes[0], *closes]
    return [(o, max(o, c), min(o, c), c) for o, c in zip(opens, closes, strict=False)]


def trial(
    strategy: str | Path,
    candles: Candles,
    folder: Path,
    /,
    *,
    market: str = "spot",
    symbol: str = "BTCUSDT",
    timeframe: str = "1m",
    **params: Any,
) -> list[TrialFill]:
    """Return the fills of a strategy on candles (open, high, low, close), without costs, with 10,000 to start with.

    Args:
        strategy: as for `bt run --strategy`.
        candles: of one symbol, one after the other, each with a volume of 1,000.
        folder: empty or from a trial before; takes the lake and the run.
        market, symbol, timeframe: of the candles.
        params: of the strategy; the others have their defaults.

    Raises:
        UsageError: the strategy is not there, or a parameter is wrong.
        StrategyError: it raised.
    """
    lake = folder / "lake"
    _write(lake, candles, Series(market, KLINES.kind, symbol, timeframe))
    config = BacktestConfig.model_validate(
        {
            **_FREE,
            "run": {"symbols": [symbol], "market": market, "timeframe": timeframe},
            "strategy": {"name": str(strategy), "params": params},
            "data": {"dir": str(lake)},
            "instruments": {f"{market}:{symbol}": _PLAIN},
        }
    )
    result = run_backtest(prepare(config), folder / "runs")
    if result.error is not None:
        raise result.error
    start, length = parse_time(_START), timeframe_us(timeframe)
    lines = map(msgspec.json.decode, (result.path / LOG).read_bytes().splitlines())
    return [_seen(line["event"], start, length) for line in lines if line["topic"] == T_FILLS.name]


def _seen(fill: dict[str, Any], start: int, length: int) -> TrialFill:
    """Return a fill of the log; what caused it names the candle, for inside one it is known only at its close."""
    opened = int(fill["cause_id"].rpartition("/")[2])
    return TrialFill(
        (opened - start) // length, fill["side"], Decimal(fill["price"]), Decimal(fill["qty"]), fill["tag"]
    )


def _write(lake: Path, candles: Candles, name: Series) -> None:
    columns: dict[str, Any] = {column.name: column.unknown(len(candles)) for column in KLINES.columns}
    opened = parse_time(_START) + np.arange(len(candles), dtype=np.int64) * timeframe_us(name.timeframe)
    table = np.array([(*candle, _VOLUME) for candle in candles], dtype=np.float64)
    columns["open_time"] = opened
    for number, key in enumerate(("open", "high", "low", "close", "volume")):
        columns[key] = table[:, number].copy()
    with ManifestWriter(lake) as writer:
        series = SeriesWriter(writer, name, replace=True)
        series.add(CleanRows(rows_of(KLINES, columns), {}, Source("trial")))
        series.stage()
        series.commit()
