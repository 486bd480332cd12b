"""The engine against backtesting.py: another program, other authors, the same fills."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.engine.prepare import prepare
from tests.reference.test_plain_sma_cross import Coin
from tests.support.runs import config_of, run_prepared

backtesting = pytest.importorskip("backtesting")
pd = pytest.importorskip("pandas")

FAST, SLOW, LOTS, FEE = 10, 30, 1000, 0.001
LOT = Decimal("0.0001")  # backtesting.py trades whole units: one of its units is one lot, its prices are per lot


@pytest.fixture(scope="session")
def coin(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Coin:
    """Real BTCUSDT spot, two days of minutes."""
    from tests.support.real import import_real

    days = sorted((real_data / "archive/data/spot/daily/klines/BTCUSDT/1m").glob("*.zip"))
    return Coin(import_real(days, tmp_path_factory.mktemp("judge")), "BTCUSDT", "spot", "0.01", str(LOT), 2)


def judged(coin: Coin) -> tuple[Any, Any]:
    """Run backtesting.py on the same candles."""
    bars = coin.bars()
    closes = [round(bar.close * 100) for bar in bars]  # whole cents: sums are exact

    def mean_sign(_: Any) -> list[float]:
        signs = [0.0] * len(closes)
        for n in range(SLOW - 1, len(closes)):
            fast, slow = sum(closes[n - FAST + 1 : n + 1]) * SLOW, sum(closes[n - SLOW + 1 : n + 1]) * FAST
            signs[n] = float((fast > slow) - (fast < slow))
        return signs

    class Cross(backtesting.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.sign = self.I(mean_sign, self.data.Close)

        def next(self) -> None:
            if self.sign[-1] > 0 and not self.position:
                self.buy(size=LOTS)
            elif self.sign[-1] < 0 and self.position:
                self.position.close()

    scale = float(LOT)
    frame = pd.DataFrame(
        {
            "Open": [float(bar.open) * scale for bar in bars],
            "High": [float(max(bar.open, bar.close)) * scale for bar in bars],
            "Low": [float(min(bar.open, bar.close)) * scale for bar in bars],
            "Close": [float(bar.close) * scale for bar in bars],
        },
        index=pd.to_datetime([bar.time for bar in bars], unit="us"),
    )
    test = backtesting.Backtest(frame, Cross, cash=10_000, commission=FEE, trade_on_close=False, finalize_trades=False)
    return test.run(), bars


@pytest.mark.filterwarnings("ignore")
def test_the_same_fills_and_the_same_equity(tmp_path: Path, coin: Coin) -> None:
    stats, bars = judged(coin)
    theirs: list[tuple[int, str, float]] = []
    for trade in stats["_trades"].itertuples():
        theirs += [(trade.EntryBar, "buy", trade.EntryPrice), (trade.ExitBar, "sell", trade.ExitPrice)]
    for trade in stats["_strategy"].trades:  # still open at the end
        theirs.append((trade.entry_bar, "buy", trade.entry_price))

    config = config_of(
        coin.lake,
        ["BTCUSDT"],
        strategy={"name": "sma_cross", "params": {"fast": FAST, "slow": SLOW, "quantity": str(LOTS * LOT)}},
        fees={"maker_bps": 10, "taker_bps": 10},
        instruments={"spot:BTCUSDT": {"lot_size": str(LOT), "min_qty": str(LOT)}},
    )
    ran = run_prepared(tmp_path, prepare(config))
    number_at = {bar.time: number for number, bar in enumerate(bars)}
    ours = [(number_at[row["ts"]], row["side"], row["price"]) for row in ran.table("fills")]
    assert len(ours) > 60
    assert [(bar, side) for bar, side, _ in ours] == [(bar, side) for bar, side, _ in sorted(theirs)]
    for (_, _, price), (_, _, scaled) in zip(ours, sorted(theirs), strict=True):
        assert float(price) * float(LOT) == pytest.approx(scaled, rel=1e-12)
    final = float(ran.result.metrics["final_equity"]["value"])
    assert final == pytest.approx(stats["Equity Final [$]"], rel=1e-9)
