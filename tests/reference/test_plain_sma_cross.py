"""The engine against a plain loop that shares nothing with it: every fill and the last unit of equity."""

import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from backtester.engine.prepare import prepare
from backtester.engine.replay import replay
from tests.reference.plain_sma_cross import Bar, Done, Terms, sma_cross
from tests.support.market import write_candles
from tests.support.real import import_real
from tests.support.runs import config_of, run_prepared


class Coin:
    """A lake of one coin and what the venue says about it."""

    def __init__(self, lake: Path, symbol: str, market: str, tick: str, lot: str, decimals: int) -> None:
        self.lake, self.symbol, self.market, self.tick, self.lot, self.decimals = (
            lake,
            symbol,
            market,
            tick,
            lot,
            decimals,
        )

    def bars(self) -> list[Bar]:
        """All rows of the lake's files, their prices as exact decimals."""
        found: list[Bar] = []
        for path in sorted((self.lake / self.market / "klines" / self.symbol / "1m").rglob("*.parquet")):
            columns = pq.ParquetFile(path).read().to_pydict()
            found += [
                Bar(t, Fraction(repr(round(o, self.decimals))), Fraction(repr(round(c, self.decimals))), v)
                for t, o, c, v in zip(
                    columns["open_time"], columns["open"], columns["close"], columns["volume"], strict=True
                )
            ]
        return found


@pytest.fixture(scope="session")
def btc(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Coin:
    """Real BTCUSDT spot, two days of minutes."""
    days = sorted((real_data / "archive/data/spot/daily/klines/BTCUSDT/1m").glob("*.zip"))
    return Coin(import_real(days, tmp_path_factory.mktemp("btc")), "BTCUSDT", "spot", "0.01", "0.000001", 2)


@pytest.fixture(scope="session")
def fil(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Coin:
    """Real FILUSDT futures, a month of minutes at a few dollars."""
    month = real_data / "archive/data/futures/um/monthly/klines/FILUSDT/1m/FILUSDT-1m-2023-06.zip"
    return Coin(import_real([month], tmp_path_factory.mktemp("fil")), "FILUSDT", "um", "0.001", "0.1", 3)


@pytest.fixture(scope="session")
def pepe(tmp_path_factory: pytest.TempPathFactory) -> Coin:
    """A coin at eight decimals whose price has few values, so that the means are often exactly equal."""
    lake = tmp_path_factory.mktemp("pepe")
    rng, price, rows = random.Random(5), 731, []
    for _ in range(3000):
        open_ = price
        price = min(760, max(700, price + rng.choice([-1, 0, 0, 0, 1])))
        volume = rng.choice([0, 5, 5, 5, 5, 5, 5, 5]) * 1000.0
        high, low = max(open_, price), min(open_, price)
        rows.append((*(float(f"{p}e-8") for p in (open_, high, low, price)), volume))
    write_candles(lake, rows, symbol="PEPEUSDT")
    return Coin(lake, "PEPEUSDT", "spot", "0.00000001", "1", 8)


def compared(
    coin: Coin,
    folder: Path,
    *,
    fast: int,
    slow: int,
    fee_bps: str,
    slippage_bps: str,
    quantity: str = "",
    equity_pct: str = "",
) -> list[Done]:
    """Run both, insist that they agree, and return the fills."""
    name = f"{coin.market}:{coin.symbol}"
    params: dict[str, Any] = {"fast": fast, "slow": slow}
    params |= {"quantity": quantity, "equity_pct": None} if quantity else {"equity_pct": equity_pct}
    config = config_of(
        coin.lake,
        [name],
        run={"market": coin.market},
        strategy={"name": "sma_cross", "params": {k: v for k, v in params.items() if v is not None}},
        fees={"maker_bps": 0, "taker_bps": fee_bps},
        slippage={"bps": slippage_bps},
        instruments={name: {"tick_size": coin.tick, "lot_size": coin.lot, "min_qty": coin.lot, "min_notional": 5}},
    )
    ran = run_prepared(folder, prepare(config))
    bars = coin.bars()
    terms = Terms(
        cash=Fraction(10_000),
        fee=Fraction(fee_bps) / 10_000,
        slippage=Fraction(slippage_bps) / 10_000,
        price_decimals=coin.decimals,
        lot=Fraction(coin.lot),
        min_notional=Fraction(5),
        spot=coin.market == "spot",
    )
    size = {"quantity": Fraction(quantity)} if quantity else {"share": Fraction(equity_pct) / 100}
    expected, equity = sma_cross(bars, fast, slow, terms, **size)  # type: ignore[arg-type]
    number_at = {bar.time: number for number, bar in enumerate(bars)}
    seen = [
        Done(
            number_at[row["ts"]],
            row["side"] == "buy",
            Fraction(row["price"]),
            Fraction(row["qty"]),
            Fraction(row["fee"]),
        )
        for row in ran.table("fills")
    ]
    assert seen == expected
    assert Fraction(Decimal(ran.result.metrics["final_equity"]["value"])) == equity
    assert replay(ran.path).account.fills == len(expected)
    return expected


COSTS = pytest.mark.parametrize(("fee_bps", "slippage_bps"), [("10", "0"), ("7.5", "1.3"), ("0", "0")])
SIZES = pytest.mark.parametrize("size", ["quantity", "equity_pct"])


@COSTS
@SIZES
def test_real_bitcoin(tmp_path: Path, btc: Coin, size: str, fee_bps: str, slippage_bps: str) -> None:
    sizes = {"quantity": "0.123456"} if size == "quantity" else {"equity_pct": "100"}
    fills = compared(btc, tmp_path, fast=10, slow=30, fee_bps=fee_bps, slippage_bps=slippage_bps, **sizes)
    assert len(fills) > 60


@COSTS
@SIZES
def test_real_filecoin_futures(tmp_path: Path, fil: Coin, size: str, fee_bps: str, slippage_bps: str) -> None:
    sizes = {"quantity": "101.7"} if size == "quantity" else {"equity_pct": "37.5"}
    fills = compared(fil, tmp_path, fast=20, slow=50, fee_bps=fee_bps, slippage_bps=slippage_bps, **sizes)
    assert len(fills) > 800


@COSTS
@SIZES
def test_a_low_priced_coin_with_many_exact_ties(
    tmp_path: Path, pepe: Coin, size: str, fee_bps: str, slippage_bps: str
) -> None:
    closes = [bar.close for bar in pepe.bars()]
    ties = sum(sum(closes[n - 5 : n]) * 2 == sum(closes[n - 10 : n]) for n in range(10, len(closes)))
    assert ties > 100
    sizes = {"quantity": "7654321"} if size == "quantity" else {"equity_pct": "99"}
    fills = compared(pepe, tmp_path, fast=5, slow=10, fee_bps=fee_bps, slippage_bps=slippage_bps, **sizes)
    assert len(fills) > 100
