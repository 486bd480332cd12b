"""What risk lets through: whole runs on flat markets, so that only the refusals matter."""

from pathlib import Path

from backtester.core.events import CancelIntent
from tests.support.market import flat
from tests.support.runs import bought, run_on, scripted, sold

B, E = "BTCUSDT", "ETHUSDT"
MARKET = flat(100, 6)


def test_an_order_that_cannot_be_paid_is_refused_with_what_is_there(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 101)]}))
    assert ran.refusals == [
        ("risk", "insufficient_balance", {"required": "10100", "free": "10000", "asset": "USDT"}),
    ]
    assert ran.fills == []


def test_the_fee_is_part_of_what_must_be_payable(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 100)]}), fees={"taker_bps": 10, "maker_bps": 0})
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "10010", "free": "10000", "asset": "USDT"})]


def test_first_come_first_served(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 60, limit=90), s.buy(B, 60, limit=90), s.buy(B, 40)]})
    )
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "5400", "free": "4600", "asset": "USDT"})]
    assert ran.fills == [bought(1, 100, 40)]


def test_a_cancel_frees_its_funds_for_the_intents_after_it(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted(
            {
                0: lambda s: [s.buy(B, 100, limit=90)],
                1: lambda s: [s.buy(B, 100)],
                2: lambda s: [*s.cancel_all(B), s.buy(B, 100)],
            }
        ),
    )
    assert [reason for _, reason, _ in ran.refusals] == ["insufficient_balance"]
    assert ran.fills == [bought(3, 100, 100)]
    assert (1, "cancelled", "requested") in ran.updates


def test_an_order_that_ended_has_freed_its_funds(tmp_path: Path) -> None:
    def again(s):  # type: ignore[no-untyped-def]
        return [s.buy(B, 100, limit=90)]

    ran = run_on(tmp_path, MARKET, scripted({0: again, 1: lambda s: s.cancel_all(B), 2: again}))
    assert ran.refusals == []


def test_spot_is_never_sold_short(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.sell(B, 1)], 1: lambda s: [s.sell(B, quote=100)]}))
    assert ran.refusals == [("risk", "short_not_allowed", {"held": "0"})] * 2
    assert ran.fills == []


def test_more_than_what_is_held_cannot_be_sold(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 2)], 2: lambda s: [s.sell(B, "2.5")]}))
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "2.5", "free": "2", "asset": "BTC"})]


def test_what_is_held_is_sold_once(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, 2)], 2: lambda s: [s.sell(B, 2, limit=120), s.sell(B, 2, limit=130)]}),
    )
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "2", "free": "0", "asset": "BTC"})]


def test_a_stop_and_a_target_of_one_group_bind_the_holding_once(tmp_path: Path) -> None:
    def bracket(s):  # type: ignore[no-untyped-def]
        return [s.sell(B, 2, stop=80, oco="exit"), s.sell(B, 2, limit=120, oco="exit")]

    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 2)], 2: bracket}))
    assert ran.refusals == []
    assert len(ran.details["final"]["open_orders"]) == 2


def test_a_future_may_be_sold_short_unless_that_is_forbidden(tmp_path: Path) -> None:
    short = scripted({0: lambda s: [s.sell(B, 1)]})
    allowed = run_on(tmp_path / "allowed", MARKET, short, run={"market": "um"})
    assert allowed.fills == [sold(1, 100, 1)]
    forbidden = run_on(tmp_path / "forbidden", MARKET, short, run={"market": "um"}, risk={"allow_short": False})
    assert forbidden.refusals == [("risk", "short_not_allowed", {"risk.allow_short": "false"})]


def test_a_forbidden_short_does_not_forbid_closing_a_long(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, 2)], 2: lambda s: [s.sell(B, 2)], 4: lambda s: [s.sell(B, 1)]}),
        run={"market": "um"},
        risk={"allow_short": False},
    )
    assert ran.fills == [bought(1, 100, 2), sold(3, 100, 2)]
    assert [reason for _, reason, _ in ran.refusals] == ["short_not_allowed"]


def test_a_futures_position_binds_its_whole_notional(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        {B: MARKET, E: MARKET},
        scripted({0: lambda s: [s.sell(B, 60)], 2: lambda s: [s.buy(E, 41)], 3: lambda s: [s.buy(E, 40)]}),
        run={"market": "um"},
    )
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "4100", "free": "4000", "asset": "USDT"})]
    assert ran.fills == [sold(1, 100, 60), bought(4, 100, 40)]


def test_reducing_a_future_binds_nothing(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, 100)], 2: lambda s: [s.sell(B, 40)], 3: lambda s: [s.sell(B, 60)]}),
        run={"market": "um"},
    )
    assert ran.refusals == []
    assert ran.fills == [bought(1, 100, 100), sold(3, 100, 40), sold(4, 100, 60)]


def test_a_losing_short_can_still_be_closed_when_nothing_is_free(tmp_path: Path) -> None:
    market = [*flat(100, 2), *flat(150, 6)]
    ran = run_on(
        tmp_path,
        market,
        scripted({0: lambda s: [s.sell(B, 99)], 3: lambda s: [s.buy(B, 50)], 5: lambda s: [s.buy(B, 49)]}),
        run={"market": "um"},
    )
    assert ran.refusals == []
    assert ran.fills == [sold(1, 100, 99), bought(4, 150, 50), bought(6, 150, 49)]


def test_a_cancel_of_an_order_that_is_not_open_is_refused(tmp_path: Path) -> None:
    def take_back(s):  # type: ignore[no-untyped-def]
        return [CancelIntent(ts=s.now, instrument=s.instruments[0].id, order_id=7)]

    ran = run_on(tmp_path, MARKET, scripted({0: take_back}))
    assert ran.refusals == [("risk", "unknown_order", {"order_id": "7"})]


def test_taking_an_order_back_twice_is_refused_once(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, 1, limit=90)], 2: lambda s: [*s.cancel_all(B), *s.cancel_all(B)]}),
    )
    assert ran.updates == [(1, "accepted", ""), (1, "cancelled", "requested")]
    assert [reason for _, reason, _ in ran.refusals] == ["unknown_order"]


def test_an_amount_of_money_too_small_for_the_venue_is_refused(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, quote="4.99")], 1: lambda s: [s.buy(B, quote=0)]}),
        instruments={"spot:BTCUSDT": {"min_notional": 5}},
    )
    assert ran.refusals == [
        ("risk", "below_min_notional", {"notional": "4.99", "min_notional": "5"}),
        ("risk", "bad_size", {"size": "0"}),
    ]


def test_an_amount_of_money_too_large_for_the_venue_does_not_trade_more_than_allowed(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, quote=5000)]}),
        instruments={"spot:BTCUSDT": {"max_notional": 1000}},
    )
    assert sum(fill.price * fill.qty for fill in ran.fills) <= 1000
