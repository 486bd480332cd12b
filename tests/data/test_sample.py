from pathlib import Path

import numpy as np

from backtester.core.time import DAY, parse_time
from backtester.data.columns import CandleColumns
from backtester.data.lake import Lake
from backtester.data.sample import SAMPLE_DAYS, SAMPLE_START, write_sample_lake

# Anyone's machine gives these; a change of the sample is a change of every documented figure.
CONTENT = {
    "BTCUSDT-1m-2024-01": "dd8ce624eebcc066",
    "BTCUSDT-1m-2024-02": "be3379699fe8574a",
    "BTCUSDT-1m-2024-03": "d60e53c8f9337001",
    "ETHUSDT-1m-2024-01": "a2e6b98090c55c53",
    "ETHUSDT-1m-2024-02": "a95d5bc32bd22391",
    "ETHUSDT-1m-2024-03": "bc5cf54a2939b6aa",
}


def candles(root: Path, symbol: str) -> CandleColumns:
    return CandleColumns.concat(list(Lake(root).read_candles("spot", symbol, "1m", 0, 10**18)))


def test_the_sample_has_the_same_content_everywhere_and_twice(tmp_path: Path) -> None:
    partitions = write_sample_lake(tmp_path)
    assert {p.path.split("/")[-1].removesuffix(".parquet"): p.content[:16] for p in partitions} == CONTENT
    manifest = (tmp_path / "manifest.jsonl").read_bytes()
    assert write_sample_lake(tmp_path) == partitions
    assert (tmp_path / "manifest.jsonl").read_bytes() == manifest
    assert Lake(tmp_path).verify(full=True) == []
    assert all(p.synthetic and p.price_decimals == 2 and not p.gaps for p in partitions)

    for symbol in ("BTCUSDT", "ETHUSDT"):
        rows = candles(tmp_path, symbol)
        assert len(rows) == SAMPLE_DAYS * 1440
        assert (rows.open_time[0], rows.open_time[-1]) == (SAMPLE_START, parse_time("2024-03-30T23:59"))
        assert (rows.low <= np.minimum(rows.open, rows.close)).all()
        assert (rows.high >= np.maximum(rows.open, rows.close)).all()
        assert (rows.volume > 0).all()
        assert np.array_equal(rows.open[1:], rows.close[:-1])
        returns = np.diff(np.log(rows.close))
        assert 0.4 < returns.std() * np.sqrt(525_600) < 1.0
        size = np.abs(returns)
        assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.1  # volatility clusters
        by_hour = rows.volume.reshape(-1, 24, 60).mean(axis=(0, 2))
        assert by_hour[14] > 1.5 * by_hour[3]  # and has a day


def test_a_shorter_sample_ends_earlier(tmp_path: Path) -> None:
    write_sample_lake(tmp_path, days=2)
    assert candles(tmp_path, "BTCUSDT").open_time[-1] == SAMPLE_START + 2 * DAY - 60_000_000
