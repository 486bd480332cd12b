"""The bridge between two runs, worked by hand, and that it always adds up."""

from hypothesis import given
from hypothesis.strategies import builds, dictionaries, integers, lists, sampled_from

from backtester.report.bridge import BridgeSide, BridgeTrade, bridge, paired

ONE = 100_000_000


def trade(
    entry: int,
    exit_: int,
    *,
    qty: float = 1,
    gross: float = 0,
    slippage: float = 0,
    side: str = "long",
    name: str = "X",
) -> BridgeTrade:
    return BridgeTrade(name, side, entry, exit_, round(qty * ONE), round(gross * ONE), round(slippage * ONE))


def side(*trades: BridgeTrade, start: float = 1000, data: object = "same", **more: float) -> BridgeSide:
    """A side whose final equity is what its parts come to."""
    parts = {name: round(more.get(name, 0) * ONE) for name in ("opened", "fees", "funding", "other", "conversions")}
    final = round(start * ONE) + sum(t.gross_units for t in trades)
    final += parts["opened"] - parts["fees"] + parts["funding"] + parts["other"] + parts["conversions"]
    return BridgeSide(
        round(start * ONE), final, trades, parts["opened"], parts["fees"], parts["funding"], parts["other"], {"X": data}
    )


def lines(one: BridgeSide, other: BridgeSide) -> dict[str, float]:
    """The lines that are not zero."""
    return {line.name: line.units / ONE for line in bridge(one, other) if line.units}


def test_twice_the_size_is_sizing_and_nothing_else() -> None:
    one, other = side(trade(1, 2, gross=10, slippage=-1)), side(trade(1, 2, qty=2, gross=20, slippage=-2))
    assert lines(one, other) == {"sizing": 10}


def test_more_slippage_at_the_same_size_is_fill_prices() -> None:
    one, other = side(trade(1, 2, gross=10, slippage=-1)), side(trade(1, 2, gross=8, slippage=-3))
    assert lines(one, other) == {"fill prices": -2}


def test_size_and_slippage_together_are_told_apart() -> None:
    # At A's prices, B's size would have made 3 x 9 = 27, of which slippage -3; it paid 6 more of that.
    one, other = side(trade(1, 2, gross=9, slippage=-1)), side(trade(1, 2, qty=3, gross=21, slippage=-9))
    assert lines(one, other) == {"sizing": 18, "fill prices": -6}


def test_another_exit_is_signals() -> None:
    one, other = side(trade(1, 5, gross=10)), side(trade(1, 7, gross=4))
    assert lines(one, other) == {"signals": -6}


def test_another_price_at_the_same_times_is_data_where_the_data_differ_and_signals_where_not() -> None:
    one = side(trade(1, 5, gross=10))
    assert lines(one, side(trade(1, 5, gross=7), data="others")) == {"data": -3}
    assert lines(one, side(trade(1, 5, gross=7))) == {"signals": -3}


def test_a_trade_that_only_one_run_made_is_missed_or_extra() -> None:
    one, other = side(trade(1, 2, gross=5), trade(3, 4, gross=-2)), side(trade(1, 2, gross=5), trade(8, 9, gross=7))
    assert lines(one, other) == {"missed and extra trades": 9}
    [line] = [line for line in bridge(one, other) if line.name == "missed and extra trades"]
    assert line.trades == 2


def test_what_is_no_trade_has_lines_of_its_own() -> None:
    one = side(start=1000, fees=10, funding=-3, opened=40, other=1, conversions=2)
    other = side(start=1500, fees=4, funding=5, opened=-20, other=0, conversions=7)
    assert lines(one, other) == {
        "start money": 500,
        "fees": 6,
        "funding": 8,
        "open positions at the end": -60,
        "other cashflows": -1,
        "conversions": 5,
    }


def test_trades_entered_together_pair_before_those_that_overlap() -> None:
    first = [trade(1, 10), trade(20, 30)]
    second = [trade(5, 8), trade(20, 40)]
    assert paired(first, second).both == [(first[1], second[1]), (first[0], second[0])]


def test_trades_of_other_sides_or_instruments_or_times_do_not_pair() -> None:
    one = [trade(1, 10)]
    for other in (trade(1, 10, side="short"), trade(1, 10, name="Y"), trade(10, 20)):
        assert paired(one, [other]) == ([], one, [other])


TRADES = lists(
    builds(
        lambda name, way, entry, length, qty, gross, slippage: BridgeTrade(
            name, way, entry, entry + length, qty, gross, slippage
        ),
        sampled_from("XY"),
        sampled_from(["long", "short"]),
        integers(0, 30),
        integers(0, 10),
        integers(1, 10**12),
        integers(-(10**13), 10**13),
        integers(-(10**11), 10**11),
    ),
    max_size=8,
).map(lambda trades: sorted(trades, key=lambda one: (one.exit_time, one.entry_time)))
MONEY = integers(-(10**14), 10**14)
SIDES = builds(
    BridgeSide, MONEY, MONEY, TRADES, MONEY, MONEY, MONEY, MONEY, dictionaries(sampled_from("XY"), integers(0, 1))
)


@given(one=SIDES, other=SIDES)
def test_the_lines_add_up_to_the_difference_to_the_last_unit(one: BridgeSide, other: BridgeSide) -> None:
    assert sum(line.units for line in bridge(one, other)) == other.final_units - one.final_units


@given(one=TRADES, other=TRADES)
def test_every_trade_is_paired_once_or_alone(one: list[BridgeTrade], other: list[BridgeTrade]) -> None:
    found = paired(one, other)
    assert sorted([a for a, _ in found.both] + found.only_first) == sorted(one)
    assert sorted([b for _, b in found.both] + found.only_second) == sorted(other)
    for a, b in found.both:
        assert (a.instrument, a.side) == (b.instrument, b.side)
        assert a.entry_time == b.entry_time or (a.entry_time < b.exit_time and b.entry_time < a.exit_time)


@given(one=SIDES)
def test_a_run_compared_with_itself_has_nothing_but_zeros(one: BridgeSide) -> None:
    assert {line.units for line in bridge(one, one)} == {0}
