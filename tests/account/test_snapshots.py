"""When the account says how it stands, and what it says."""

from pathlib import Path
from typing import Any

from backtester.core.time import MINUTE
from backtester.strategy.base import Strategy
from tests.support.market import flat
from tests.support.runs import Ran, run_on, scripted

B, E = "BTCUSDT", "ETHUSDT"


def minutes(ran: Ran) -> list[int]:
    return [(event["ts"] - ran.prepared.start) // MINUTE for event in ran.events("account_snapshot")]


def test_one_at_the_first_tick_and_then_only_when_more_than_a_mark_moved(tmp_path: Path) -> None:
    trades = scripted({2: lambda s: [s.buy(B, 1)], 6: lambda s: [s.buy(B, 1, limit=50)]})
    ran = run_on(tmp_path, [*flat(100, 5), *flat(105, 5)], trades)
    assert minutes(ran) == [1, 4, 8]  # the fill at 3 and the order at 7 show in the next tick


def test_one_at_every_utc_midnight(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 30), Strategy, start="2024-01-01T23:50:00Z", timeframe="1m")
    assert minutes(ran) == [1, 10]


def test_a_snapshot_by_hand(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        {B: [*flat(100, 3), *flat(110, 3)], E: flat(10, 6)},
        scripted({0: lambda s: [s.buy(B, 2)], 2: lambda s: [s.buy(E, 5, limit=9)]}),
        fees={"maker_bps": 10, "taker_bps": 10},
    )
    last = ran.events("account_snapshot")[-1]
    start = ran.prepared.start
    # 10000 - 200 - 0.2 in cash; 5 × 9 × 1.001 bound by the bid; 2 bought at 100 are worth 220
    assert {k: last[k] for k in ("ts", "currency", "equity")} == {
        "ts": start + 4 * MINUTE,
        "currency": "USDT",
        "equity": "10019.80000000",
    }
    assert {row["asset"]: (row["cash"], row["reserved"], row["fees"]) for row in last["assets"]} == {
        "BTC": ("2.00000000", "0.00000000", "0.00000000"),
        "USDT": ("9799.80000000", "45.04500000", "0.20000000"),
    }
    assert last["positions"] == [
        {
            "instrument": "spot:BTCUSDT",
            "qty": "2.000",
            "basis": "200.00000000",
            "mark": "110.00",
            "mark_time": start + 4 * MINUTE,
            "unrealised": "20.00000000",
        }
    ]


def test_a_futures_snapshot_values_profit_and_not_notional(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path, [*flat(100, 2), *flat(90, 2)], scripted({0: lambda s: [s.sell(B, 10)]}), run={"market": "um"}
    )
    last = ran.events("account_snapshot")[-1]
    assert last["equity"] == "10000.00000000"  # at the close of the candle in which it was sold
    rows = ran.table("equity")
    assert [(str(r["equity"]), str(r["exposure"])) for r in rows[-2:]] == [
        ("10100.00000000", "900.00000000"),
        ("10100.00000000", "900.00000000"),
    ]


def test_a_strategy_sees_the_account_that_the_log_shows(tmp_path: Path) -> None:
    seen: list[tuple[Any, ...]] = []

    class Looks(scripted({0: lambda s: [s.buy(B, 2)], 2: lambda s: [s.sell(B, 1)]})):  # type: ignore[misc]
        def on_candle(self, candle: Any) -> Any:
            position = self.position(B)
            seen.append((self.equity, self.cash, position.qty, position.average_price, position.unrealised))
            return super().on_candle(candle)

    run_on(tmp_path, [*flat(100, 2), *flat(110, 3)], Looks)
    assert [tuple(None if v is None else int(v) for v in row) for row in seen] == [
        (10_000, 10_000, 0, None, 0),
        (10_000, 9_800, 2, 100, 0),
        (10_020, 9_800, 2, 100, 20),
        (10_020, 9_910, 1, 100, 10),
        (10_020, 9_910, 1, 100, 10),
    ]


def test_open_orders_are_those_that_still_work(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    class Looks(
        scripted(  # type: ignore[misc]
            {
                0: lambda s: [s.buy(B, 1, limit=90), s.buy(B, 1), s.sell(B, 1, stop=150)],
                2: lambda s: [s.cancel(s.open_orders(B)[0])],
            }
        )
    ):
        def on_candle(self, candle: Any) -> Any:
            seen.append([order.order_id for order in self.open_orders(B)])
            return super().on_candle(candle)

    run_on(tmp_path, flat(100, 5), Looks)
    assert seen == [[], [1], [1], [], []]
