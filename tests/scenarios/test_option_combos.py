"""Combinations: all legs at one row, or none of them."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError
from backtester.engine.replay import replay, verify
from tests.support.chains import Quote, fills_of, run_chain, write_chain

LOW, HIGH = "BTC-240126-30000-C", "BTC-240126-31000-C"


def market(*rows: tuple[float, float, float]) -> list[Quote]:
    """One row an hour: the asks of both, and how much is shown of the second."""
    return [
        Quote(n, name, ask - 10, ask, 5, size, mark=ask - 5)
        for n, (low, high, shown) in enumerate(rows)
        for name, ask, size in ((LOW, low, 5.0), (HIGH, high, shown))
    ]


def both(**options: Any) -> Any:
    return lambda s: [s.combo([s.buy(LOW, 1, limit=200, **options), s.buy(HIGH, 1, limit=100, **options)], tag="pair")]


def test_all_legs_fill_at_the_first_row_that_allows_all_of_them_whole(tmp_path: Path) -> None:
    rows = [(200, 100, 5), (200, 110, 5), (210, 100, 5), (200, 100, 0.5), (190, 90, 5), (1, 1, 5)]
    ran = run_chain(tmp_path, market(*rows), {1: both()})
    assert fills_of(ran) == [(5, LOW, "buy", "1", "190", "0"), (5, HIGH, "buy", "1", "90", "0")]
    assert [e["tag"] for e in ran.events("fills")] == ["pair", "pair"]
    assert [(o["combo_id"], o["combo_legs"]) for o in ran.events("orders_sanitized")] == [(1, 2), (1, 2)]
    replay(ran.path)
    verify(ran.path)


@pytest.mark.parametrize("when", ["ioc", "fok"])
def test_what_does_not_fill_at_once_ends_every_leg_for_that_reason(tmp_path: Path, when: str) -> None:
    ran = run_chain(tmp_path, market((200, 100, 5), (200, 110, 5), (200, 100, 5)), {1: both(time_in_force=when)})
    assert fills_of(ran) == []
    assert [u for u in ran.updates if u[1] != "accepted"] == [
        (1, "expired", "not_filled_at_once"),
        (2, "expired", "not_filled_at_once"),
    ]


def test_a_leg_that_is_taken_back_takes_the_others_along(tmp_path: Path) -> None:
    script = {1: both(), 2: lambda s: s.cancel_all(HIGH)}
    ran = run_chain(tmp_path, market((200, 100, 5), (200, 110, 5), (200, 100, 5)), script)
    assert fills_of(ran) == []
    assert sorted(u for u in ran.updates if u[1] != "accepted") == [
        (1, "cancelled", "requested"),
        (2, "cancelled", "requested"),
    ]


def test_a_leg_that_risk_refuses_refuses_all_and_binds_nothing(tmp_path: Path) -> None:
    wants = {1: lambda s: [s.combo([s.buy(LOW, 1, limit=200), s.sell(HIGH, 1, limit=90)])], 2: both()}
    ran = run_chain(tmp_path, market(*[(200, 100, 5)] * 3), wants)
    assert [(reason, numbers.get("why")) for _, reason, numbers in ran.refusals] == [
        ("combo", "short_not_allowed"),
        ("short_not_allowed", None),
    ]
    assert [f[0] for f in fills_of(ran)] == [3, 3]


def test_legs_are_funded_together(tmp_path: Path) -> None:
    ran = run_chain(tmp_path, market(*[(200, 100, 5)] * 3), {1: both()}, account={"initial_cash": 325})
    assert [reason for _, reason, _ in ran.refusals] == ["combo", "insufficient_balance"]  # 220 and 110 with fees
    ran = run_chain(tmp_path / "enough", market(*[(200, 100, 5)] * 3), {1: both()}, account={"initial_cash": 330})
    assert len(fills_of(ran)) == 2


def test_a_combination_that_cannot_be_paid_at_its_row_ends_and_leaves_everything_as_it_was(tmp_path: Path) -> None:
    options = {"options": {"allow_short": True}, "account": {"initial_cash": 4_300}}
    rows = [(200, 100, 5), (200, 100, 5), (200, 100, 5)]
    jump = [
        Quote(q.hour, q.contract, q.bid, q.ask, 5, 5, q.mark, index=30_000 if q.hour < 1 else 36_000)
        for q in market(*rows)
    ]
    ran = run_chain(
        tmp_path, jump, {1: lambda s: [s.combo([s.buy(LOW, 1, limit=200), s.sell(HIGH, 1, limit=90)])]}, **options
    )
    assert fills_of(ran) == []
    assert [u for u in ran.updates if u[1] != "accepted"] == [
        (1, "expired", "insufficient_balance"),
        (2, "expired", "insufficient_balance"),
    ]
    assert ran.details["final"]["cash"] == {"option:USDT": "4300.00000000"}
    replay(ran.path)


def test_orders_beside_a_combination_share_what_a_row_shows(tmp_path: Path) -> None:
    script = {1: lambda s: [s.buy(HIGH, 4.5, limit=100), *both()(s)]}
    ran = run_chain(tmp_path, market(*[(200, 100, 5)] * 3), script)
    assert [(hour, qty) for hour, _, _, qty, *_ in fills_of(ran)] == [(2, "4.5"), (3, "1"), (3, "1")]


@pytest.mark.parametrize(
    ("legs", "message"),
    [
        (lambda s: [s.buy(LOW, 1, limit=1)], "at least two legs"),
        (lambda s: [s.buy(LOW, 1, limit=1), s.buy(HIGH, 1)], "a leg is a limit order"),
        (lambda s: [s.buy(LOW, 1, limit=1), s.buy(HIGH, 1, limit=1, time_in_force="ioc")], "one time in force"),
        (lambda s: [s.buy(LOW, 1, limit=1, post_only=True), s.buy(HIGH, 1, limit=1, post_only=True)], "post_only"),
    ],
)
def test_what_makes_no_combination_is_said_to_the_strategy(tmp_path: Path, legs: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        run_chain(tmp_path, market(*[(200, 100, 5)] * 3), {1: lambda s: [s.combo(legs(s))]})


def test_two_legs_in_one_contract_are_refused(tmp_path: Path) -> None:
    script = {1: lambda s: [s.combo([s.buy(LOW, 1, limit=1), s.buy(LOW, 1, limit=1)])]}
    ran = run_chain(tmp_path, market(*[(200, 100, 5)] * 3), script)
    assert [reason for _, reason, _ in ran.refusals] == ["combo", "combo"]


ETHER = "ETH-240126-2000-C"


@pytest.mark.parametrize(("hours", "filled"), [((0, 1, 2, 3), 3), ((0, 1, 3), 4)])
def test_legs_of_two_chains_fill_when_both_show_a_row_that_allows_it(
    tmp_path: Path, hours: tuple[int, ...], filled: int
) -> None:
    ether = [Quote(n, ETHER, 30, 40 if n < 2 else 35, 5, 5, mark=35, index=2_000) for n in hours]
    write_chain(tmp_path / "lake", ether, "ETHUSDT")

    def pair(s: Any) -> Any:
        legs = [s.buy(LOW, 1, limit=200), s.buy(ETHER, 1, limit=35)]
        return [s.combo(legs)] if s.chain("ETHUSDT").ts == s.now else None

    ran = run_chain(tmp_path, market(*[(200, 100, 5)] * 4), {1: pair}, symbols=["option:BTCUSDT", "option:ETHUSDT"])
    assert [(f[0], f[1], f[4]) for f in fills_of(ran)] == [(filled, LOW, "200"), (filled, ETHER, "35")]
    replay(ran.path)
    verify(ran.path)
