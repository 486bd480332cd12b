"""Market orders: filled at the next open, never before they were accepted."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.market import flat
from tests.support.runs import bought, run_on, scripted, sold

B, E = "BTCUSDT", "ETHUSDT"

MARKET = [
    # open, high, low, close
    (100, 101, 99, 100),
    (102, 103, 98, 99),
    (98, 99, 97, 97),
    (95, 96, 94, 95),
]


def test_an_order_sent_at_a_close_fills_at_the_next_open(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1)]}))
    assert ran.fills == [bought(1, 102), sold(2, 98)]


def test_an_order_sent_at_the_last_close_stays_open(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({3: lambda s: [s.buy(B, 1)]}))
    assert ran.fills == []
    assert ran.details["final"]["open_orders"] == [1]
    assert [(row["order_id"], row["status"]) for row in ran.table("orders")] == [(1, "working")]


def test_a_fill_bears_the_time_of_the_open_and_names_it_as_its_cause(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 1)]}))
    [line] = [line for line in ran.lines if line["topic"] == "fills"]
    opened = ran.prepared.start + 60_000_000
    assert line["tick"] == line["event"]["ts"] == opened
    assert line["event"]["cause_id"] == f"spot:BTCUSDT/open/{opened}"


def test_slippage_and_fee_by_hand(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, "0.333")], 1: lambda s: [s.sell(B, "0.333")]}),
        fees={"maker_bps": 0, "taker_bps": "7.5"},
        slippage={"bps": 3},
    )
    # buy: 102 × 1.0003 = 102.0306 → 102.04; 33.97932 × 0.00075 = 0.02548449
    # sell: 98 × 0.9997 = 97.9706 → 97.97; 32.62401 × 0.00075 = 0.0244680075 → up
    assert ran.fills == [bought(1, "102.04", "0.333"), sold(2, "97.97", "0.333")]
    assert [fill.fee for fill in ran.fills] == [Decimal("0.02548449"), Decimal("0.02446801")]
    assert ran.details["final"]["cash"] == {"spot:BTC": "0.00000000", "spot:USDT": "9998.59473750"}


def test_an_order_waits_over_a_gap_for_the_next_open(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), None, None, (120, 121, 119, 120), (121, 122, 120, 121)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1)]}), data={"gap_policy": "continue"})
    assert ran.fills == [bought(3, 120)]


def test_it_waits_no_longer_than_max_wait_candles(tmp_path: Path) -> None:
    quiet = (100, 100, 100, 100, 0)
    market = [(100, 101, 99, 100), quiet, quiet, quiet, (100, 101, 99, 100), (100, 101, 99, 100)]
    patient = run_on(tmp_path / "4", market, scripted({0: lambda s: [s.buy(B, 1)]}), execution={"max_wait": 4})
    assert patient.fills == [bought(4, 100)]
    hasty = run_on(tmp_path / "3", market, scripted({0: lambda s: [s.buy(B, 1)]}), execution={"max_wait": 3})
    assert hasty.fills == []
    assert hasty.updates == [(1, "accepted", ""), (1, "expired", "max_wait")]
    assert [line["tick"] for line in hasty.lines if line["event"].get("status") == "expired"] == [
        hasty.prepared.start + 4 * 60_000_000
    ]


def test_a_gap_longer_than_max_wait_expires_the_order_instead_of_filling_it(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), None, None, None, (100, 101, 99, 100), (100, 101, 99, 100)]
    ran = run_on(
        tmp_path,
        market,
        scripted({0: lambda s: [s.buy(B, 1)]}),
        execution={"max_wait": 2},
        data={"gap_policy": "continue"},
    )
    assert ran.fills == []
    assert ran.updates[-1] == (1, "expired", "max_wait")


def test_a_candle_without_volume_fills_nothing(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (90, 90, 80, 85, 0), (95, 96, 94, 95), (95, 96, 94, 95)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1), s.buy(B, 1, limit=92)]}))
    assert ran.fills == [bought(2, 95)]


def test_money_buys_the_largest_lot_that_it_pays_for_at_the_fill(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, quote=1000)]}),
        fees={"maker_bps": 0, "taker_bps": 10},
    )
    # at 102, with 0.1 %: 9.794 costs 999.986..., 9.795 costs 1000.088...
    assert ran.fills == [bought(1, 102, "9.794")]
    assert ran.fills[0].fee == Decimal("0.998988")


def test_a_fraction_is_of_the_equity_at_the_decision(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, fraction="0.5")]}))
    assert ran.fills == [bought(1, 102, "49.019")]  # 5000 / 102 = 49.0196


def test_all_of_the_equity_can_be_spent_and_no_more(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, fraction=1)]}),
        fees={"maker_bps": 10, "taker_bps": 10},
        slippage={"bps": 5},
    )
    assert len(ran.fills) == 1
    left = Decimal(ran.details["final"]["cash"]["spot:USDT"])
    one_lot = Decimal("0.001") * ran.fills[0].price * Decimal("1.001")
    assert 0 <= left < one_lot


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_future_can_be_entered_with_all_of_the_equity_on_both_sides(tmp_path: Path, side: str) -> None:
    def enter(s):  # type: ignore[no-untyped-def]
        return [s.buy(B, fraction=1) if side == "buy" else s.sell(B, fraction=1)]

    ran = run_on(tmp_path, MARKET, scripted({0: enter}), run={"market": "um"}, fees={"maker_bps": 5, "taker_bps": 5})
    assert ran.updates == [(1, "accepted", "")]
    # the largest lot whose notional plus fee fits 10000: 10000 / (102 × 1.0005) = 97.990...
    assert [(fill.candle, fill.side, fill.qty) for fill in ran.fills] == [(1, side, Decimal("97.990"))]


def test_an_order_that_the_open_made_too_dear_expires(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 99)]}))  # 9900 at 100, 10098 at 102
    assert ran.fills == []
    assert ran.updates == [(1, "accepted", ""), (1, "expired", "insufficient_balance")]
    assert ran.details["final"]["cash"] == {"spot:USDT": "10000.00000000"}


def test_selling_for_an_amount_of_money_sells_at_most_what_is_held(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        flat(100, 6),
        scripted(
            {
                0: lambda s: [s.buy(B, 3)],
                2: lambda s: [s.sell(B, quote=150)],
                4: lambda s: [s.sell(B, quote=100_000)],
            }
        ),
    )
    assert ran.fills == [bought(1, 100, 3), sold(3, 100, "1.5"), sold(5, 100, "1.5")]


def test_a_short_future_by_hand(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.sell(B, 10)], 2: lambda s: [s.buy(B, 10)]}),
        run={"market": "um"},
        fees={"maker_bps": 2, "taker_bps": 5},
    )
    assert ran.fills == [sold(1, 102, 10), bought(3, 95, 10)]
    # profit 70, fees 1020 × 0.0005 + 950 × 0.0005 = 0.985
    assert ran.details["final"]["cash"] == {"um:USDT": "10069.01500000"}
    assert ran.result.metrics["realised_pnl"]["value"] == "70.00000000"


def test_a_future_goes_through_zero_in_one_order(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, 4)], 1: lambda s: [s.sell(B, 10)]}),
        run={"market": "um"},
    )
    assert ran.fills == [bought(1, 102, 4), sold(2, 98, 10)]
    assert ran.details["final"]["positions"] == {"um:BTCUSDT": {"qty": "-6.000", "basis": "-588.00000000"}}
    assert ran.details["final"]["cash"] == {"um:USDT": "9984.00000000"}


def test_of_two_market_orders_of_one_group_the_first_fill_cancels_the_other(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 1, oco="one"), s.buy(B, 2, oco="one")]}))
    assert ran.fills == [bought(1, 102, 1)]
    assert ran.updates[-1] == (2, "cancelled", "oco")


def test_an_order_on_another_instrument_than_the_candles_fills_at_its_own_open(tmp_path: Path) -> None:
    other = [(10, 11, 9, 10), (12, 13, 11, 12), (14, 15, 13, 14), (16, 17, 15, 16)]
    ran = run_on(tmp_path, {B: MARKET, E: other}, scripted({1: lambda s: [s.buy(E, 1)]}))
    assert ran.fills == [bought(2, 14)]
