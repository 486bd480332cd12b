"""Stops and targets around an entry: from the first fill on, along the path of that very candle."""

from pathlib import Path

from tests.support.market import flat
from tests.support.runs import bought, run_on, scripted, sold

B, E = "BTCUSDT", "ETHUSDT"


def bracket(s, fill):  # type: ignore[no-untyped-def]
    """Stop 5 below, target 10 above, whichever comes first."""
    if fill.side == "sell":
        return None
    return [
        s.sell(B, fill.qty, stop=fill.price - 5, tag="stop", oco="exit"),
        s.sell(B, fill.qty, limit=fill.price + 10, tag="target", oco="exit"),
    ]


def entry(sent_after: int = 0):  # type: ignore[no-untyped-def]
    return scripted({sent_after: lambda s: [s.buy(B, 1)]}, on_fill=bracket)


def test_the_stop_works_along_the_candle_in_which_the_entry_filled(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, 101, 94, 96), *flat(96, 2)]
    ran = run_on(tmp_path, market, entry())
    assert [(f.side, f.price, f.tag) for f in ran.fills] == [("buy", 100, ""), ("sell", 95, "stop")]
    ticks = [line["tick"] - ran.prepared.start for line in ran.lines if line["topic"] == "fills"]
    assert ticks == [60_000_000, 120_000_000]


def test_the_target_works_along_that_candle_too(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, 111, 99, 110), *flat(110, 2)]
    assert [(f.price, f.tag) for f in run_on(tmp_path, market, entry()).fills] == [(100, ""), (110, "target")]


def test_stop_and_target_in_one_candle_is_the_stop_and_is_counted(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 120, 90, 100), *flat(100, 2)]
    ran = run_on(tmp_path, market, entry())
    assert [(f.price, f.tag) for f in ran.fills] == [(100, ""), (95, "stop")]
    assert ran.details["counts"]["ambiguous_candles"] == 1
    assert any("both a stop and a limit" in warning for warning in ran.result.warnings)
    assert ran.updates[-1] == (3, "cancelled", "oco")


def test_a_target_gapped_at_the_open_comes_before_the_stop_and_is_not_ambiguous(tmp_path: Path) -> None:
    market = [*flat(100, 2), (115, 120, 90, 100), *flat(100, 2)]
    ran = run_on(tmp_path, market, entry())
    assert [(f.price, f.tag) for f in ran.fills] == [(100, ""), (110, "target")]
    assert ran.details["counts"]["ambiguous_candles"] == 0


def test_a_stop_gapped_at_the_open_fills_there_and_is_not_ambiguous(tmp_path: Path) -> None:
    market = [*flat(100, 2), (80, 120, 79, 100), *flat(100, 2)]
    ran = run_on(tmp_path, market, entry())
    assert [(f.price, f.tag) for f in ran.fills] == [(100, ""), (80, "stop")]
    assert ran.details["counts"]["ambiguous_candles"] == 0


def test_one_exit_cancels_the_other_and_nothing_is_left(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 111, 99, 105), (105, 106, 80, 85), *flat(85, 2)]
    ran = run_on(tmp_path, market, entry())
    assert [(f.side, f.price) for f in ran.fills] == [("buy", 100), ("sell", 110)]
    assert ran.details["final"]["positions"] == {}
    assert ran.details["final"]["open_orders"] == []
    assert ran.updates[-1] == (2, "cancelled", "oco")


def test_exits_are_orders_of_their_own_and_can_be_taken_back(tmp_path: Path) -> None:
    market = [*flat(100, 3), (100, 120, 80, 100)]
    strategy = scripted({0: lambda s: [s.buy(B, 1)], 2: lambda s: s.cancel_all(B)}, on_fill=bracket)
    assert run_on(tmp_path, market, strategy).fills == [bought(1, 100)]


def test_a_stop_through_the_open_of_the_entry_is_rejected(tmp_path: Path) -> None:
    def too_high(s, fill):  # type: ignore[no-untyped-def]
        return [s.sell(B, fill.qty, stop=fill.price + 1)] if fill.side == "buy" else None

    market = [*flat(100, 1), *flat(104, 3)]  # a stop at 105 is below no price that was shown: the last is 104
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1)]}, on_fill=too_high))
    assert ran.refusals == [("execution", "would_trigger", {"stop": "105.00"})]


def test_the_open_of_this_tick_is_the_price_that_a_stop_is_judged_by(tmp_path: Path) -> None:
    def just_below(s, fill):  # type: ignore[no-untyped-def]
        return [s.sell(B, fill.qty, stop=95)] if fill.side == "buy" else None

    market = [*flat(90, 1), (100, 101, 97, 98), (98, 99, 94, 95), *flat(95, 1)]  # 95 is above the close before
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1)]}, on_fill=just_below))
    assert ran.refusals == []
    assert ran.fills == [bought(1, 100), sold(2, 95)]


def test_a_group_has_one_instrument(tmp_path: Path) -> None:
    # Whose order would come first, when both are met in one tick, no candle can say.
    dips = [*flat(100, 1), (100, 101, 90, 100), *flat(100, 1)]
    later = [*flat(100, 2), (100, 101, 90, 100)]
    ran = run_on(
        tmp_path,
        {B: dips, E: later},
        scripted({0: lambda s: [s.buy(B, 1, limit=95, oco="either"), s.buy(E, 1, limit=95, oco="either")]}),
    )
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("risk", "bad_group")]
    assert len(ran.fills) == 1


def test_groups_of_other_names_are_left_alone(tmp_path: Path) -> None:
    market = [*flat(100, 1), (100, 101, 94, 100), (100, 101, 89, 100), *flat(100, 1)]
    ran = run_on(
        tmp_path,
        market,
        scripted(
            {
                0: lambda s: [
                    s.buy(B, 1, limit=95, oco="a"),
                    s.buy(B, 1, limit=94, oco="a"),
                    s.buy(B, 1, limit=90, oco="b"),
                ]
            }
        ),
    )
    assert [fill.price for fill in ran.fills] == [95, 90]
    assert [(o, r) for o, _, r in ran.updates if r == "oco"] == [(2, "oco")]
