"""Fees fall with our own traded volume."""

from decimal import Decimal
from pathlib import Path

from tests.support.market import flat
from tests.support.runs import run_on, scripted

B = "BTCUSDT"


def test_a_tier_holds_from_the_fill_after_the_one_that_reached_it(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        flat(100, 8),
        scripted({n: lambda s: [s.buy(B, 4) if s.position(B).is_flat else s.sell(B, 4)] for n in range(6)}),
        fees={"maker_bps": 0, "taker_bps": 10, "tiers": [{"volume": 1000, "maker_bps": 0, "taker_bps": 5}]},
    )
    # 400 a fill: 0, 400 and 800 before the first three, 1200 before the fourth
    assert [fill.fee for fill in ran.fills[:5]] == [Decimal(f) for f in ("0.4", "0.4", "0.4", "0.2", "0.2")]


def test_what_is_reserved_is_the_worst_fee_of_all_tiers(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        flat(100, 4),
        scripted({0: lambda s: [s.buy(B, 10)]}),
        fees={"maker_bps": 30, "taker_bps": 10, "tiers": [{"volume": 1, "maker_bps": 1, "taker_bps": 1}]},
    )
    assert ran.events("orders_sanitized")[0]["reserve"] == "1003.00000000"
    assert ran.fills[0].fee == Decimal(1)


def test_a_fee_can_be_taken_from_what_is_bought(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        flat(100, 6),
        scripted({0: lambda s: [s.buy(B, 2)], 2: lambda s: [s.sell(B, s.position(B).qty)]}),
        fees={"maker_bps": 10, "taker_bps": 10, "spot_asset": "received"},
    )
    # buys 2 less 0.002; sells 1.998, whole lots of 0.001, for 199.8 less 0.1998
    assert [(f.qty, f.fee) for f in ran.fills] == [(2, Decimal("0.002")), (Decimal("1.998"), Decimal("0.1998"))]
    assert ran.details["final"]["cash"] == {"spot:BTC": "0.00000000", "spot:USDT": "9999.60020000"}
    assert ran.result.metrics["fees"]["by_asset"] == {"BTC": "0.00200000", "USDT": "0.19980000"}
    assert ran.result.metrics["fees"]["value"] == "0.39980000"  # a coin is worth 100


def test_dust_below_one_lot_counts_as_flat(tmp_path: Path) -> None:
    flats = []

    def look(s):  # type: ignore[no-untyped-def]
        flats.append((s.position(B).is_flat, s.position(B).qty))

    ran = run_on(
        tmp_path,
        flat(100, 6),
        scripted({0: lambda s: [s.buy(B, "0.1")], 2: lambda s: [s.sell(B, s.position(B).qty)], 4: look}),
        fees={"maker_bps": 10, "taker_bps": 10, "spot_asset": "received"},
    )
    assert [f.qty for f in ran.fills] == [Decimal("0.1"), Decimal("0.099")]
    assert flats == [(True, Decimal("0.0009"))]
    assert ran.result.metrics["n_trades"]["value"] == 1


def test_a_fee_that_takes_all_that_was_bought_leaves_no_average_price(tmp_path: Path) -> None:
    prices = []

    def look(s):  # type: ignore[no-untyped-def]
        prices.append(s.position(B).average_price)

    run_on(
        tmp_path,
        flat(100, 5),
        scripted({0: lambda s: [s.buy(B, "0.00000001")], 2: look}),
        fees={"maker_bps": 10, "taker_bps": 10, "spot_asset": "received"},
        instruments={"spot:BTCUSDT": {"lot_size": "0.00000001", "min_qty": "0.00000001"}},
    )
    assert prices == [None]
