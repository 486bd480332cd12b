"""Exit plans on markets drawn by hand: stop, ladder, break-even, trail, hold limit, cooldown, one trade a tag."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backtester.core.errors import StrategyError
from backtester.engine.replay import replay, verify
from backtester.strategy.signals import ExitPlan
from tests.strategy.signals.drawn import NO, deals, notes, signal, stops, traded
from tests.support.market import Row, flat


def to(price: float, *, low: float | None = None, high: float | None = None, open_: float | None = None) -> Row:
    """A candle that opens at 100 unless said and closes at a price."""
    opened = price if open_ is None else open_
    return (opened, max(opened, price) if high is None else high, min(opened, price) if low is None else low, price)


def test_a_stop_lies_below_the_close_of_the_decision_and_its_trade_spends_the_target(tmp_path: Path) -> None:
    ran = traded(tmp_path, [*flat(100, 3), to(97, open_=100), *flat(100, 4)], signal([0.5], {"stop_pct": 2}))
    assert deals(ran) == [("entry", 1, "100", "50"), ("entry.stop", 3, "98", "-50")]
    replay(ran.path)
    verify(ran.path)


def test_a_spent_target_trades_again_once_it_has_changed(tmp_path: Path) -> None:
    rows = [*flat(100, 3), to(97, open_=100), *flat(100, 6)]
    ran = traded(tmp_path, rows, signal([0.5, 0.5, 0.5, 0.5, 0.5, NO, 0.5], {"stop_pct": 2}))
    assert [deal[:2] for deal in deals(ran)] == [("entry", 1), ("entry.stop", 3), ("entry", 7)]


def test_a_ladder_in_r_takes_its_shares_off_and_the_stop_keeps_the_rest(tmp_path: Path) -> None:
    plan = {"stop_pct": 2, "ladder": [(1, 0.25), (2, 0.25)]}
    rows = [*flat(100, 2), to(102, open_=100, high=103), to(104, open_=102, high=105), to(97, open_=104), *flat(97, 2)]
    ran = traded(tmp_path, rows, signal([0.4], plan))
    assert deals(ran) == [
        ("entry", 1, "100", "40"),
        ("entry.target", 2, "102", "-10"),
        ("entry.target", 3, "104", "-10"),
        ("entry.stop", 4, "98", "-20"),
    ]


def test_a_ladder_in_percent_needs_no_stop(tmp_path: Path) -> None:
    plan = {"ladder": [(5, 1.0)], "ladder_in": "percent"}
    ran = traded(tmp_path, [*flat(100, 2), to(106, open_=100), *flat(106, 3)], signal([0.4], plan))
    assert deals(ran) == [("entry", 1, "100", "40"), ("entry.target", 2, "105", "-40")]


def test_the_stop_moves_to_what_was_paid_once_the_price_has_gone_so_many_r(tmp_path: Path) -> None:
    rows = [*flat(100, 1), to(101, open_=101), to(103, open_=101), to(102, open_=103), to(99, open_=102), *flat(99, 2)]
    ran = traded(tmp_path, rows, signal([0.5], {"stop_pct": 2, "break_even_r": 1}))
    assert stops(ran) == ["101.00"]  # the entry's own comes to life with the fill, at 98
    assert [deal[:3] for deal in deals(ran)] == [("entry", 1, "101"), ("entry.stop", 4, "101")]


def test_a_trailed_stop_follows_the_best_price_and_never_goes_back(tmp_path: Path) -> None:
    rows = [
        *flat(100, 2),
        to(110, open_=100),
        to(108, open_=110),
        to(120, open_=108),
        to(100, open_=120),
        *flat(100, 2),
    ]
    ran = traded(tmp_path, rows, signal([0.5], {"trail_pct": 10}))
    assert stops(ran) == ["99.00", "108.00"]
    assert deals(ran)[-1][:3] == ("entry.stop", 5, "108")


def test_a_trail_of_the_targets_own_is_followed_after_so_many_r(tmp_path: Path) -> None:
    rows = [*flat(100, 2), to(101, open_=100), to(105, open_=101), to(104, open_=105), to(95, open_=104), *flat(95, 2)]
    levels = [NO, NO, 99.5, NO, 102.0, 103.0]
    ran = traded(tmp_path, rows, signal([0.5], {"trail_after_r": 2}, stop=[98.0], trail=levels))
    assert stops(ran) == ["102.00"]
    assert deals(ran)[-1][:3] == ("entry.stop", 5, "102")


def test_shorts_follow_a_trail_of_their_own(tmp_path: Path) -> None:
    rows = [*flat(100, 2), to(99, open_=100), to(95, open_=99), to(96, open_=95), to(99, open_=96), *flat(99, 2)]
    short = signal([-0.5], stop=[102.0], trail=[90.0, 90.0, 90.0, 90.0, 97.0, 97.0], trail_short=[NO, NO, 101.0, 98.0])
    ran = traded(tmp_path, rows, short, run={"market": "um"})
    assert stops(ran) == ["101.00", "98.00"]
    assert deals(ran)[-1][:3] == ("entry.stop", 5, "98")


def test_a_rung_lies_where_decimals_put_it(tmp_path: Path) -> None:
    rows = [*flat(108, 2), to(113, open_=108), *flat(113, 2)]  # in floats 108 + 2 * (108 - 105.6) is above 112.8
    ran = traded(tmp_path, rows, signal([0.5], {"ladder": [(2, 1)]}, stop=[105.6]))
    assert deals(ran)[-1][:3] == ("entry.target", 2, "112.8")


def test_a_price_that_is_through_where_the_stop_moves_to_ends_the_trade_at_the_next_open(tmp_path: Path) -> None:
    rows = [*flat(100, 2), to(106, open_=100, high=120), *flat(107, 3)]
    ran = traded(tmp_path, rows, signal([0.5], {"trail_pct": 10}))
    assert [deal[:3] for deal in deals(ran)] == [("entry", 1, "100"), ("entry.exit", 3, "107")]
    assert notes(ran) == ["target", "exit: the price is through where the stop moves to"]


def test_shorts_are_mirrored(tmp_path: Path) -> None:
    plan = {"stop_pct": 2, "ladder": [(1, 0.5)], "break_even_r": 1}
    rows = [*flat(100, 2), to(98, open_=100, low=97), to(99, open_=98), to(101, open_=99), *flat(101, 2)]
    ran = traded(tmp_path, rows, signal([-0.4], plan), run={"market": "um"})
    assert deals(ran) == [
        ("entry", 1, "100", "-40"),
        ("entry.target", 2, "98", "20"),
        ("entry.stop", 4, "100", "20"),
    ]


def test_a_trade_is_held_for_so_many_candles_and_no_longer(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 9), signal([0.5], {"max_candles": 3}))
    assert [deal[:2] for deal in deals(ran)] == [("entry", 1), ("entry.exit", 4)]  # held over 1, 2 and 3
    assert notes(ran) == ["target", "exit: held 3 candles"]


def test_after_a_trade_so_many_closes_bring_no_entry(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 12), signal([0.5, 0.5, 0, 0.5], {"cooldown": 4}))
    assert [deal[:2] for deal in deals(ran)] == [("entry", 1), ("entry.exit", 3), ("entry", 8)]  # not at 3, 4, 5, 6


def test_a_turn_under_a_cooldown_closes_and_waits(tmp_path: Path) -> None:
    strategy = signal([0.5, 0.5, -0.5], {"cooldown": 2})
    ran = traded(tmp_path, flat(100, 9), strategy, run={"market": "um"})
    assert [deal[:2] for deal in deals(ran)] == [("entry", 1), ("entry.exit", 3), ("entry", 6)]  # not at 3, 4


def test_a_tag_that_has_had_a_trade_gets_no_other(tmp_path: Path) -> None:
    tags = [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    exposure = [0.5, 0.5, 0, 0.5, 0, 0.5, 0.5, 0, 0.5]
    ran = traded(tmp_path, flat(100, 12), signal(exposure, {"one_trade_per_tag": True}, tag=tags))
    assert [deal[:2] for deal in deals(ran)] == [("1", 1), ("1.exit", 3), ("2", 6), ("2.exit", 8)]


def test_a_trade_with_exits_keeps_its_size(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 6), signal([0.5, 0.8, 0.2], {"stop_pct": 5}))
    assert deals(ran) == [("entry", 1, "100", "50")]


def test_an_entry_without_its_stop_is_not_sent_and_the_log_says_why_once(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 8), signal([0.5], stop=[NO, NO, 105.0, 105.0]))
    assert deals(ran) == []
    assert notes(ran) == ["no entry: no stop on its losing side"]


def test_an_entry_that_opens_beyond_its_stop_leaves_at_once(tmp_path: Path) -> None:
    ran = traded(tmp_path, [*flat(100, 1), *flat(97, 4)], signal([0.5], {"stop_pct": 2}))
    assert [deal[:3] for deal in deals(ran)] == [("entry", 1, "97"), ("entry.stop", 1, "97")]


def test_a_stop_whose_move_was_refused_is_known_to_be_where_it_was(tmp_path: Path) -> None:
    rows = [*flat(100, 2), to(120, open_=100), to(95, open_=120), *flat(95, 5)]  # the move arrives when 95 is seen
    plan = {"stop_pct": 10, "break_even_r": 1}
    ran = traded(tmp_path, rows, signal([0.5], plan), execution={"latency_ms": 60_000})
    assert [reason for _, reason, _ in ran.refusals] == ["would_trigger"]
    assert deals(ran) == [("entry", 2, "100", "50"), ("entry.exit", 5, "95", "-50")]
    assert notes(ran) == ["target", "exit: the price is through where the stop moves to"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"ladder": [(1, 0.7), (2, 0.7)]}, "sum to 1.4"),
        ({"ladder": [(2, 0.5), (1, 0.5)]}, "nearest exit first"),
        ({"stop": 2}, "Extra inputs"),
    ],
)
def test_a_plan_that_is_none_is_refused(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ExitPlan(**plan)


def test_a_plan_that_counts_in_r_needs_a_stop(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="ladder in R means nothing without a stop"):
        traded(tmp_path, flat(100, 3), signal([1], {"ladder": [(1, 0.5)]}))
