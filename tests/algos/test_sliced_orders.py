"""TWAP and iceberg orders: whole runs on markets drawn by hand. A parent's id is 1, its parts follow."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.events import IcebergIntent, Side, TwapIntent
from backtester.core.order_terms import Terms
from backtester.core.time import MINUTE, SECOND, span_us
from backtester.engine.replay import replay
from backtester.strategy.base import Strategy
from tests.support.market import Row, flat, time_of
from tests.support.runs import Ran, bought, run_on, scripted, sold

B = "BTCUSDT"
HIGH_THEN_LOW: list[Row | None] = [*flat(100, 3), *flat(110, 4), *flat(100, 9)]


def ends(ran: Ran, order_id: int = 1) -> list[tuple[str, str]]:
    return [(status, reason) for id_, status, reason in ran.updates if id_ == order_id and status != "accepted"]


def parts(ran: Ran, order_id: int = 1) -> list[dict[str, Any]]:
    return [e for e in ran.events("orders_sanitized") if e.get("algo_id") == order_id and "qty" in e]


def order_row(ran: Ran, order_id: int = 1) -> dict[str, Any]:
    return next(row for row in ran.table("orders") if row["order_id"] == order_id)


# --- TWAP ------------------------------------------------------------------------------------------------------


def test_a_twap_buys_equal_slices_at_equal_intervals(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path, flat(100, 12), scripted({0: lambda s: [s.buy(B, 3, twap="6m", slices=3, tag="in", client_id="me")]})
    )
    assert ran.fills == [bought(1, 100, 1), bought(3, 100, 1), bought(5, 100, 1)]
    assert ends(ran) == [("filled", "parts_filled")]
    assert [(e["qty"], e["tag"], e["client_id"]) for e in parts(ran)] == [("1.000", "in", "me")] * 3
    row = order_row(ran)
    assert (row["kind"], row["qty"], row["filled"], row["status"]) == ("twap", 3, 3, "filled")
    assert row["ended"] == time_of(5)
    assert {r["parent_id"] for r in ran.table("orders") if r["order_id"] > 1} == {1}
    assert replay(ran.path).status == "complete"


def test_lots_that_do_not_divide_go_to_the_later_slices(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 8), scripted({0: lambda s: [s.buy(B, "0.011", twap="3m", slices=3)]}))
    assert [str(fill.qty) for fill in ran.fills] == ["0.003", "0.004", "0.004"]


def test_a_twap_with_a_worst_price_makes_up_for_slices_that_it_missed(tmp_path: Path) -> None:
    """The opens of candles 3 to 6 are beyond 105: two slices expire there, the next one takes all three."""
    ran = run_on(tmp_path, HIGH_THEN_LOW, scripted({0: lambda s: [s.buy(B, 4, twap="8m", slices=4, limit=105)]}))
    assert ran.fills == [bought(1, 100, 1), bought(7, 100, 3)]
    assert [e["qty"] for e in parts(ran)] == ["1.000", "1.000", "2.000", "3.000"]
    assert [reason for _, _, reason in ran.updates if reason] == [
        *("not_filled_at_once", "not_filled_at_once", "parts_filled"),
    ]


def test_a_twap_that_is_not_filled_expires_when_its_span_is_over(tmp_path: Path) -> None:
    ran = run_on(tmp_path, HIGH_THEN_LOW, scripted({2: lambda s: [s.buy(B, 4, twap="4m", slices=2, limit=105)]}))
    assert ran.fills == []
    assert ends(ran) == [("expired", "span_over")]
    row = order_row(ran)
    assert (row["status"], row["reason"], row["filled"]) == ("expired", "span_over", 0)
    assert row["ended"] == time_of(7)


def test_a_slice_that_still_waits_is_part_of_the_next(tmp_path: Path) -> None:
    """Nothing trades in candles 1 and 2, so that the first slice waits until the second is due."""
    market: list[Row | None] = [*flat(100, 1), (100, 100, 100, 100, 0), (100, 100, 100, 100, 0), *flat(100, 6)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 4, twap="4m", slices=2)]}))
    assert ran.fills == [bought(3, 100, 4)]
    assert [e["qty"] for e in parts(ran)] == ["2.000", "4.000"]
    assert (2, "cancelled", "requested") in ran.updates


def test_a_slice_that_cannot_be_paid_is_refused_and_made_up_for(tmp_path: Path) -> None:
    """All cash is bound until candle 2; the slice refused then is part of the next."""
    act = {
        0: lambda s: [s.buy(B, 99, limit=99), s.buy(B, 4, twap="4m", slices=2)],
        1: lambda s: [s.cancel(o) for o in s.open_orders(B) if o.kind == "limit"],
    }
    ran = run_on(tmp_path, flat(100, 8), scripted(act))
    assert [reason for _, reason, _ in ran.refusals] == ["insufficient_balance"]
    assert ran.fills == [bought(3, 100, 4)]
    assert ends(ran, 2) == [("filled", "parts_filled")]


def test_cancelling_the_parent_ends_the_rest(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 3, twap="9m", slices=3)],
        2: lambda s: [s.cancel(o) for o in s.open_orders(B) if o.kind == "twap"],
    }
    ran = run_on(tmp_path, flat(100, 14), scripted(act))
    assert ran.fills == [bought(1, 100, 1)]
    assert ends(ran) == [("cancelled", "requested")]
    assert ran.refusals == []


def test_closing_takes_a_sliced_order_and_its_waiting_part_along(tmp_path: Path) -> None:
    """Cancelled at the very instant at which a slice is due, while the one before still waits for a trade."""
    dead: Row = (100, 100, 100, 100, 0)
    market: list[Row | None] = [*flat(100, 4), dead, dead, dead, *flat(100, 4)]
    act = {
        0: lambda s: [s.buy(B, 4)],
        3: lambda s: [s.sell(B, 3, twap="6m", slices=3)],
        5: lambda s: s.close(B),
    }
    ran = run_on(tmp_path, market, scripted(act))
    assert ran.fills == [bought(1, 100, 4), sold(7, 100, 4)]
    assert ends(ran, 2) == [("cancelled", "requested")]
    assert ran.refusals == []  # the slice that was due waited for the end of the one before, and was not sent
    assert replay(ran.path).status == "complete"


def test_reduce_only_is_passed_on(tmp_path: Path) -> None:
    act = {0: lambda s: [s.buy(B, 2)], 2: lambda s: [s.sell(B, 3, twap="6m", slices=3, reduce_only=True)]}
    ran = run_on(tmp_path, flat(100, 12), scripted(act), run={"market": "um"})
    assert ran.fills == [bought(1, 100, 2), sold(3, 100), sold(5, 100)]
    assert ends(ran, 2) == [("expired", "span_over")]
    assert "nothing_to_reduce" in {reason for _, _, reason in ran.updates}


def test_a_strategy_is_not_woken_by_the_timers_of_a_twap(tmp_path: Path) -> None:
    woken: list[int] = []

    class Watches(Strategy):
        def on_candle(self, candle: Any) -> Any:
            if self.now == time_of(1):
                self.call_at(time_of(2) + 30 * SECOND)
                return [self.buy(B, 3, twap="6m", slices=3)]
            return None

        def on_timer(self, now: int) -> Any:
            woken.append(now)

    ran = run_on(tmp_path, flat(100, 12), Watches)
    assert woken == [time_of(2) + 30 * SECOND]
    assert len(ran.fills) == 3


def test_slices_follow_the_candles_that_execute_not_those_that_are_shown(tmp_path: Path) -> None:
    act = scripted({0: lambda s: [s.buy(B, 3, twap="3m", slices=3)]})
    ran = run_on(tmp_path, flat(100, 20), act, timeframe="5m", stored="1m")
    assert ran.fills == [bought(5, 100), bought(6, 100), bought(7, 100)]


# --- iceberg ---------------------------------------------------------------------------------------------------

DIPS: list[Row | None] = [*flat(100, 2), *[(100, 100, 94, 100)] * 5, *flat(100, 2)]


def test_an_iceberg_shows_the_next_part_when_the_one_before_is_filled(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path, DIPS, scripted({0: lambda s: [s.buy(B, "2.5", limit=95, display=1, tag="ice", client_id="me")]})
    )
    assert ran.fills == [bought(2, 95), bought(3, 95), bought(4, 95, "0.5")]
    assert {fill.liquidity for fill in ran.fills} == {"maker"}
    assert ends(ran) == [("filled", "parts_filled")]
    assert [(e["qty"], e["tag"], e["client_id"]) for e in parts(ran)] == [
        *(("1.000", "ice", "me"), ("1.000", "ice", "me"), ("0.500", "ice", "me")),
    ]
    row = order_row(ran)
    assert (row["kind"], row["qty"], row["filled"], row["limit_price"]) == ("iceberg", *(row["filled"],) * 2, 95)
    assert replay(ran.path).status == "complete"


def test_an_iceberg_that_is_cancelled_takes_its_part_along_and_frees_its_funds(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 120, limit=80, display=100)],
        2: lambda s: [*s.cancel_all(B), s.buy(B, 100)],
    }
    ran = run_on(tmp_path, flat(100, 6), scripted(act))
    assert ran.fills == [bought(3, 100, 100)]
    assert ran.refusals == []
    assert ends(ran) == [("cancelled", "requested")]
    assert ends(ran, 2) == [("cancelled", "requested")]


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ({"good_till": time_of(4)}, "expired", "good_till"),
        ({"post_only": True, "limit": 101}, "expired", "would_take"),
        ({"qty": 200, "display": 150}, "expired", "insufficient_balance"),
    ],
)
def test_an_iceberg_ends_as_its_part_does(tmp_path: Path, options: dict[str, Any], status: str, reason: str) -> None:
    wanted = {"qty": 2, "limit": 90, "display": 1} | options
    ran = run_on(tmp_path, flat(100, 8), scripted({0: lambda s: [s.buy(B, wanted.pop("qty"), **wanted)]}))
    assert ends(ran) == [(status, reason)]
    assert ran.fills == []


def test_taking_back_the_part_that_is_shown_ends_an_iceberg(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 2, limit=90, display=1)],
        1: lambda s: [s.cancel(o) for o in s.open_orders(B) if o.algo_id],
    }
    ran = run_on(tmp_path, flat(100, 5), scripted(act))
    assert ends(ran) == [("cancelled", "requested")]


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason", "numbers"),
    [
        ({"twap": "1m", "slices": 2}, "bad_span", {"interval": "30s", "candle": "60s"}),
        ({"twap": "6m", "slices": 6, "qty": "0.005"}, "below_min_qty", {"qty": "0.000", "min_qty": "0.001"}),
        ({"limit": 90, "display": "0.0005"}, "below_min_qty", {"part": "0.0005", "min_qty": "0.001"}),
        ({"limit": -5, "display": 1}, "bad_price", {"price": "-5.00"}),
    ],
)
def test_what_could_not_be_sent_in_parts_is_refused_at_once(
    tmp_path: Path, options: dict[str, Any], reason: str, numbers: dict[str, str]
) -> None:
    wanted = {"qty": 3} | options
    ran = run_on(tmp_path, flat(100, 9), scripted({0: lambda s: [s.buy(B, wanted.pop("qty"), **wanted)]}))
    assert [seen for _, seen, _ in ran.refusals] == [reason]
    assert numbers.items() <= ran.refusals[0][2].items()
    assert ran.events("orders_changed") == ran.events("orders_sanitized") == []


def test_a_last_part_that_is_too_small_is_refused_before_the_first(tmp_path: Path) -> None:
    rules = {"spot:BTCUSDT": {"min_notional": 50}}
    act = scripted({0: lambda s: [s.buy(B, "2.1", limit=100, display=1)]})
    ran = run_on(tmp_path, flat(100, 9), act, instruments=rules)
    assert [(reason, said["notional"], said["part"]) for _, reason, said in ran.refusals] == [
        ("below_min_notional", "10", "0.1")
    ]


def test_a_sliced_order_is_not_replaced(tmp_path: Path) -> None:
    act = {
        0: lambda s: [s.buy(B, 2, limit=90, display=1)],
        1: lambda s: [s.replace(order, qty=3) for order in s.open_orders(B)],
    }
    ran = run_on(tmp_path, flat(100, 5), scripted(act))
    assert [reason for _, reason, _ in ran.refusals] == ["bad_replace", "bad_replace"]
    assert ends(ran) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"twap": "30m"}, "needs both"),
        ({"slices": 3}, "needs both"),
        ({"twap": "30m", "slices": 1}, "at least 2"),
        ({"twap": "soon", "slices": 3}, "not a span of time"),
        ({"twap": 0, "slices": 2}, "equal intervals"),
        ({"twap": 1.5, "slices": 2}, "span of TwapIntent"),
        ({"twap": 7, "slices": 3}, "equal intervals"),
        ({"twap": "30m", "slices": 3, "limit": 1, "display": 1}, "not both"),
        ({"twap": "30m", "slices": 3, "stop": 90}, "waits for no price"),
        ({"twap": "30m", "slices": 3, "stop_loss": 90}, "no bracket"),
        ({"twap": "30m", "slices": 3, "oco": "x"}, "no oco group"),
        ({"twap": "30m", "slices": 3, "limit": 99, "time_in_force": "ioc"}, "reduce_only alone"),
        ({"display": 1}, "needs limit"),
        ({"limit": 100, "display": 3}, "between 0 and the quantity 3"),
        ({"limit": 100, "display": 0}, "between 0 and the quantity 3"),
        ({"limit": 100, "display": 1, "time_in_force": "fok"}, "neither ioc nor fok"),
        ({"limit": 100, "display": 1, "trail": "0.1"}, "waits for no price"),
    ],
)
def test_arguments_that_make_no_sliced_order_are_refused_with_a_reason(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    seen: list[str] = []

    def tries(s: Any) -> None:
        with pytest.raises((ValueError, TypeError), match=said) as error:
            s.buy(B, 3, **options)
        seen.append(str(error.value))

    run_on(tmp_path, flat(100, 2), scripted({0: tries}))
    assert len(seen) == 1


def test_a_size_in_money_is_not_sliced(tmp_path: Path) -> None:
    def tries(s: Any) -> None:
        with pytest.raises(ValueError, match="in base units"):
            s.buy(B, quote=100, twap="30m", slices=3)
        with pytest.raises(ValueError, match="in base units"):
            s.buy(B, limit=100, display=1)

    run_on(tmp_path, flat(100, 2), scripted({0: tries}))


def test_a_span_is_said_in_seconds_minutes_hours_or_days() -> None:
    assert [span_us(text) for text in ("90s", "30m", "4h", "2d")] == [
        *(90 * SECOND, 30 * MINUTE, 240 * MINUTE, 2880 * MINUTE),
    ]
    for text in ("", "m", "30", "-5m", "1.5h", "5w"):
        with pytest.raises(ValueError, match="not a span of time"):
            span_us(text)


def test_intents_made_by_hand_are_checked_as_well(tmp_path: Path) -> None:
    from decimal import Decimal

    from backtester.core.instruments import instrument_id
    from backtester.strategy.intents import checked_intent

    common: dict[str, Any] = {"ts": 0, "instrument": instrument_id("spot", B), "side": Side.BUY, "qty": Decimal(2)}
    with pytest.raises(ValueError, match="at least 2"):
        checked_intent(TwapIntent(span=60, slices=1, **common))
    with pytest.raises(TypeError, match="slices of TwapIntent"):
        checked_intent(TwapIntent(span=60, slices="2", **common))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="display of an order"):
        checked_intent(IcebergIntent(limit_price=Decimal(1), display=1.0, **common))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="algo_id is 7"):
        checked_intent(TwapIntent(span=60, slices=2, algo_id=7, **common))
    with pytest.raises(ValueError, match="close_position is for stops"):
        checked_intent(TwapIntent(span=60, slices=2, terms=Terms(close_position=True), **common))
