"""buy_and_hold on 50 candles drawn by hand."""

from pathlib import Path

from tests.support.shipped import closing_at, deals, ran_shipped

RISES = [100.0, 100.0, *[100.0 + n for n in range(1, 49)]]


def test_it_buys_at_the_open_after_the_first_close_and_holds_to_the_end(tmp_path: Path) -> None:
    ran = ran_shipped(tmp_path, "buy_and_hold", closing_at(RISES), market="spot")
    assert deals(ran) == [("entry", 1, "100", "100")]  # 10000 at 100
    assert ran.details["final"]["positions"]["spot:BTCUSDT"]["qty"] == "100.000"
    assert ran.details["final"]["open_orders"] == []


def test_two_instruments_get_their_share_of_equity_each(tmp_path: Path) -> None:
    markets = {"BTCUSDT": closing_at(RISES), "ETHUSDT": closing_at([50.0] * 50)}
    ran = ran_shipped(tmp_path, "buy_and_hold", markets, market="spot", exposure=0.5)
    assert sorted((f.candle, f"{f.price:f}", f"{f.qty:f}") for f in ran.fills) == [
        (1, "100.00", "50.000"),
        (1, "50.00", "100.000"),
    ]


def test_what_was_liquidated_is_not_bought_again(tmp_path: Path) -> None:
    falls = [*[100.0] * 5, 90.0, 70.0, *[100.0] * 43]
    ran = ran_shipped(tmp_path, "buy_and_hold", closing_at(falls), futures={"leverage": 5})
    assert [(f.side, f.candle) for f in ran.fills] == [("buy", 1), ("sell", 6)]  # a fifth of the price is its margin
    assert ran.details["final"]["positions"] == {}
