"""`bt bench margin`: the futures trade as the spot beside them does, so that only the margin makes the difference."""

from backtester.engine.bench_margin import bench_margin


def test_futures_with_cross_margin_trade_what_spot_trades() -> None:
    figures = bench_margin(1_440, 1)
    spot, futures = figures["cases"]["spot"], figures["cases"]["um"]
    assert (spot["candles"], spot["fills"]) == (futures["candles"], futures["fills"])
    assert spot["candles"] == 14_400
    assert spot["fills"] > 20
    assert figures["ratio"] > 0
