"""How a target becomes an order, on markets drawn by hand."""

from pathlib import Path

import numpy as np
import pytest

from backtester.core.errors import StrategyError
from backtester.engine.prepare import PreparedRun
from backtester.engine.replay import replay, verify
from backtester.strategy.features import Feature, Frame, indicator
from backtester.strategy.indicators.means import Sma
from backtester.strategy.signals import SignalStrategy, Targets
from tests.strategy.signals.drawn import NO, deals, notes, signal, traded
from tests.support.market import flat, write_candles
from tests.support.runs import config_of, prepared_run, run_prepared


def test_a_target_is_bought_at_the_next_open_as_a_share_of_equity_and_once(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 6), signal([0, 0.5]))
    assert deals(ran) == [("entry", 2, "100", "50")]
    replay(ran.path)
    verify(ran.path)


def test_no_opinion_leaves_things_as_they_are_and_zero_ends_them(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 8), signal([1, NO, NO, NO, 0]))
    assert deals(ran) == [("entry", 1, "100", "100"), ("entry.exit", 5, "100", "-100")]


def test_the_tag_of_a_signal_is_on_its_orders_and_the_reason_in_the_log(tmp_path: Path) -> None:
    ran = traded(
        tmp_path,
        flat(100, 5),
        signal(
            [1, 1, 0], tag=[7.0, 7.0, 7.0], reason=["up", "up", "down"], values={"x": np.arange(5.0)}, confidence=0.5
        ),
    )
    assert [deal[0] for deal in deals(ran)] == ["7", "7.exit"]
    entry, leaving = (note["values"] for note in ran.events("notes"))
    assert (entry["exposure"], entry["confidence"], entry["tag"], entry["reason"], entry["x"]) == (
        "1.0",
        "0.5",
        "7",
        "up",
        "0.0",
    )
    assert (entry["timeframe"], entry["strategy"]) == ("1m", "Drawn")
    assert (leaving["exposure"], leaving["reason"], leaving["x"]) == ("0.0", "down", "2.0")


def test_a_larger_target_buys_the_difference_and_a_smaller_one_sells_its_share(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 8), signal([0.5, 0.8, 0.8, 0.2, 0.2, 0]))
    assert deals(ran) == [
        ("entry", 1, "100", "50"),
        ("entry.size", 2, "100", "30"),
        ("entry.size", 4, "100", "-60"),
        ("entry.exit", 6, "100", "-20"),
    ]


def test_a_share_of_what_is_held_is_sold_whatever_the_price_has_become(tmp_path: Path) -> None:
    ran = traded(tmp_path, [*flat(100, 2), *flat(200, 3)], signal([1, 1, 0.5]))
    assert deals(ran) == [("entry", 1, "100", "100"), ("entry.size", 3, "200", "-50")]


def test_changes_smaller_than_the_least_are_not_traded_but_the_end_is(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 8), signal([0.5, 0.55, 0.45, 0.61, 0.61, 0], min_change=0.1))
    assert deals(ran) == [("entry", 1, "100", "50"), ("entry.size", 4, "100", "11"), ("entry.exit", 6, "100", "-61")]


def test_a_target_that_turns_is_closed_and_reversed_at_the_same_open(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 6), signal([0.5, 0.5, -0.5, -0.5, 0]), run={"market": "um"})
    assert deals(ran) == [
        ("entry", 1, "100", "50"),
        ("entry.exit", 3, "100", "-50"),
        ("entry", 3, "100", "-50"),
        ("entry.exit", 5, "100", "50"),
    ]


def test_a_full_target_that_turns_reverses_in_full(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 6), signal([1, 1, -1, -1, 1, 1]), run={"market": "um"})
    assert deals(ran) == [
        ("entry", 1, "100", "100"),
        ("entry.exit", 3, "100", "-100"),
        ("entry", 3, "100", "-100"),
        ("entry.exit", 5, "100", "100"),
        ("entry", 5, "100", "100"),
    ]


@pytest.mark.parametrize("volume", [100, 130, 250])
def test_a_turn_that_fills_in_parts_is_followed_to_its_end(tmp_path: Path, volume: int) -> None:
    rows = [(100, 100, 100, 100, volume)] * 40
    strategy = signal([0.5, *[0.5] * 9, *[-0.5] * 10, 0])
    ran = traded(tmp_path, rows, strategy, run={"market": "um"}, execution={"participation": "0.1"})
    held = [0]
    for _, _, _, qty in deals(ran):
        held.append(held[-1] + float(qty))
    assert max(held) == 50
    assert min(held) == -50
    assert held[-1] == 0


def test_a_short_that_may_not_be_is_refused_once_and_not_sent_at_every_candle(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 8), signal([-1]))
    assert [reason for _, reason, _ in ran.refusals] == ["short_not_allowed"]


def test_an_entry_that_expired_is_sent_again_while_the_target_stands(tmp_path: Path) -> None:
    still = [(100, 100, 100, 100, 0)] * 7
    ran = traded(tmp_path, [*flat(100, 2), *still, *flat(101, 4)], signal([0, 1]))
    assert [status for _, status, _ in ran.updates].count("expired") == 1
    assert [deal[:3] for deal in deals(ran)] == [("entry", 9, "101")]


def test_an_exit_flag_ends_a_trade_of_its_side_and_no_other(tmp_path: Path) -> None:
    flags = [False, False, False, True]
    shown = signal([0.5, NO, NO, NO, -0.5, NO, NO, NO], exit_long=[*flags, False], exit_short=[False])
    ran = traded(tmp_path, flat(100, 10), shown, run={"market": "um"})
    assert [deal[:2] for deal in deals(ran)] == [("entry", 1), ("entry.exit", 4), ("entry", 5)]


def test_the_run_sizes_a_full_target_when_it_has_a_sizing(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 6), signal([1, 0, 0.3]), sizing={"model": "fixed_qty", "qty": "3"})
    assert [deal[3] for deal in deals(ran)] == ["3", "-3", "30"]


def test_a_refused_target_is_noted_once_and_not_at_every_candle(tmp_path: Path) -> None:
    ran = traded(tmp_path, flat(100, 9), signal([1]), risk={"max_order_notional": "1"})
    assert notes(ran) == ["target"]
    assert len(ran.refusals) > 1


def test_what_stood_before_the_start_is_traded_after_it_and_said_in_the_log(tmp_path: Path) -> None:
    class Warm(SignalStrategy):
        def features(self) -> list[Feature]:
            return [indicator("mean", Sma, "close", window=3)]

        def targets(self, frame: Frame) -> Targets:
            return Targets(exposure=np.where(frame["mean"] > 0, 0.5, np.nan))

    run = {"start": "2024-01-01T00:04"}
    ran = run_prepared(tmp_path, _prepared(tmp_path, Warm, run))
    start = ran.prepared.start
    assert ran.result.details["counts"]["intents_dropped_in_warmup"] == 1  # of the close at the start itself
    [fill] = ran.events("fills")
    assert fill["ts"] == start + 60_000_000
    assert [note["ts"] - start for note in ran.events("notes")][-1] == 60_000_000


def _prepared(folder: Path, strategy: type[SignalStrategy], run: dict[str, str]) -> PreparedRun:
    write_candles(folder / "lake", flat(100, 9))
    return prepared_run(strategy, config_of(folder / "lake", ["BTCUSDT"], run=run))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda frame: None, "returned NoneType, it must return Targets"),
        (lambda frame: Targets(exposure=frame["close"]), r"exposure is 100.0 at row 0, it must lie in \[-1, 1\]"),
        (lambda frame: Targets(exposure=frame["close"][1:] * 0), r"exposure has shape \(3,\), the frame has 4 rows"),
        (lambda frame: Targets(exposure=frame["close"] * 0, confidence=2.0), "confidence is 2.0 at row 0"),
        (lambda frame: Targets(exposure=frame["close"] * 0, exit_long=frame["close"]), "an array of bool"),
        (
            lambda frame: Targets(exposure=frame["close"] * 0, trail=frame["close"]),
            "trail means nothing without a stop",
        ),
        (lambda frame: Targets(exposure=frame["fast"]), "has no column 'fast'"),
        (lambda frame: 1 / 0, "failed in targets of spot:BTCUSDT/1m: ZeroDivisionError"),
        (lambda frame: frame["close"].sort(), "read-only"),
    ],
)
def test_what_is_no_target_is_refused_with_what_was_wrong(tmp_path: Path, returned, message: str) -> None:
    class Wrong(SignalStrategy):
        def targets(self, frame: Frame) -> Targets:
            return returned(frame)

    with pytest.raises(StrategyError, match=message):
        traded(tmp_path, flat(100, 4), Wrong)
