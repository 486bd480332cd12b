"""Order by order, more pessimistic assumptions are never better; more cost never makes richer; nothing fills early.

Whole runs are another matter: over many candles they diverge, and docs/fills.md says so.
"""

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backtester.core.events import Side
from backtester.sim.paths import OPTIMISTIC
from backtester.strategy.ordering import order_intent
from tests.support.assumptions import BAND, Candle, Scene, compare, compare_group, fills_under, no_better
from tests.support.floor import Floor, price
from tests.support.lakes import wandering
from tests.support.profiles import examples
from tests.support.runs import Ran, run_on, scripted

KINDS = ("market", "limit", "stop", "stop_limit", "take_profit", "take_profit_limit", "trail")
SIDES = st.sampled_from(list(Side))
OFFSETS = st.integers(-60, 60)


@st.composite
def candles(draw: st.DrawFn, near: int = 100_00) -> Candle:
    open_ = near + draw(st.integers(-30, 30)) * 10
    high, low = open_ + draw(st.integers(0, 60)) * 10, open_ - draw(st.integers(0, 60)) * 10
    return open_, high, low, low + (high - low) * draw(st.integers(0, 20)) // 20


@st.composite
def orders(draw: st.DrawFn, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """Arguments of an order of one coin around a last price of 100."""
    kind = draw(st.sampled_from(kinds))
    if kind == "trail":
        following = {"qty": 1, "trail": price(draw(st.integers(1, 8)))}
        return following | ({"activation": price(100_00 + draw(OFFSETS) * 10)} if draw(st.booleans()) else {})
    names = [name for name in ("limit", "stop", "take_profit") if name in kind]
    found: dict[str, Any] = {"qty": 1} | {name: price(100_00 + draw(OFFSETS) * 10) for name in names}
    if kind == "limit":
        found |= draw(st.sampled_from([{}, {"post_only": True}, {"time_in_force": "ioc"}]))
    return found


# --- pessimistic ⊆ base ⊆ optimistic, and none of what both fill is better ------------------------------------------


@settings(max_examples=examples(400))
@given(candle=candles(), side=SIDES, order=orders(), held=st.sampled_from([-1, 0, 1]))
def test_one_order_and_one_candle(candle: Candle, side: Side, order: dict[str, Any], held: int) -> None:
    compare(candle, [(side, order)], held)


@settings(max_examples=examples(300))
@given(
    candle=candles(),
    sign=st.sampled_from([1, -1]),
    helpful=orders(("limit", "take_profit")),
    harmful=orders(("market", "stop", "trail")),
    helpful_first=st.booleans(),
)
def test_two_orders_of_a_group_one_for_and_one_against_the_trader(
    candle: Candle, sign: int, helpful: dict[str, Any], harmful: dict[str, Any], helpful_first: bool
) -> None:
    side = Side.SELL if sign > 0 else Side.BUY
    pair = [(side, order | {"oco": "x"}) for order in (helpful, harmful)]
    compare(candle, pair if helpful_first else pair[::-1], sign)


@settings(max_examples=examples(400))
@given(candle=candles(), sign=st.sampled_from([1, -1]), one=orders(), other=orders())
def test_two_orders_of_a_group_on_one_side(
    candle: Candle, sign: int, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assume("time_in_force" not in one.keys() | other.keys())  # what takes at the open decides before what rests
    side = Side.SELL if sign > 0 else Side.BUY
    compare_group(candle, [(side, order | {"oco": "x"}) for order in (one, other)], sign)


@settings(max_examples=examples(400))
@given(
    candle=candles(),
    side=SIDES,
    entry=orders(KINDS[:-1]),
    stop=st.one_of(st.integers(1, 60).map(lambda n: ("stop_loss", n)), st.integers(1, 6).map(lambda n: ("trail", n))),
    targets=st.sampled_from([(), ((20, 100),), ((10, 40), (30, 60)), ((45, 50),)]),
)
def test_an_entry_of_any_kind_with_its_exits(
    candle: Candle, side: Side, entry: dict[str, Any], stop: tuple[str, int], targets: Any
) -> None:
    at = next((int(entry[name] * 100) for name in ("limit", "stop", "take_profit") if name in entry), 100_00)
    kind, far = stop
    exits: dict[str, Any] = (
        {"stop_loss": price(at - side.sign * far * 10)} if kind == "stop_loss" else {"stop_trail": price(far)}
    )
    if targets:
        exits["take_profits"] = [(price(at + side.sign * away * 10), price(share)) for away, share in targets]
    compare(candle, [(side, entry | exits)])


@settings(max_examples=examples(300))
@given(data=st.data(), side=SIDES, order=orders(("limit", "take_profit", "take_profit_limit")))
def test_over_many_candles_a_limit_alone_fills_no_earlier_when_assumptions_are_more_pessimistic(
    data: st.DataObject, side: Side, order: dict[str, Any]
) -> None:
    market: list[Candle] = []
    for _ in range(data.draw(st.integers(1, 6))):
        market.append(data.draw(candles(near=market[-1][3] if market else 100_00)))
    when = [fills_under(assumed, market, [(side, order)]) for assumed in BAND]
    for worse, better in pairwise(when):
        if worse:
            assert better
            assert better[0].ts <= worse[0].ts
            assert no_better(worse[0], better[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_scenes_compared_do_fill(kind: str) -> None:
    filled = 0
    order: dict[str, Any] = {"qty": 1} | ({"trail": price(1)} if kind == "trail" else {})
    order |= {name: price(at) for name, at in (("stop", 102_00), ("take_profit", 98_00)) if name in kind}
    if "limit" in kind:
        order["limit"] = price(103_00 if "stop" in kind else 98_50)
    for assumed in BAND:
        filled += len(fills_under(assumed, [(100_00, 104_00, 97_00, 100_00)], [(Side.BUY, order)]))
    assert filled == len(BAND)


# --- cases that once broke the claim --------------------------------------------------------------------------------


def test_two_limits_of_one_group() -> None:
    pair: Scene = [(Side.SELL, {"qty": 1, "limit": far, "oco": "x"}) for far in ("100.10", "100.00")]
    compare((100_00, 100_20, 100_00, 100_00), pair, 1)


def test_a_limit_at_its_trigger_pays_no_more_where_a_touch_fills() -> None:
    compare((100_00, 100_00, 99_80, 99_80), [(Side.BUY, {"qty": 1, "take_profit": "99.9", "limit": "99.9"})])


def test_a_target_beside_a_stop_limit_that_rests_once_it_triggered() -> None:
    stop_limit = {"qty": 1, "stop": "99.9", "limit": "100", "oco": "x"}
    compare(
        (100_00, 100_10, 99_90, 99_90),
        [(Side.SELL, {"qty": 1, "take_profit": "100.1", "oco": "x"}), (Side.SELL, stop_limit)],
        1,
    )


# --- costs ----------------------------------------------------------------------------------------------------------

COSTS = st.tuples(st.integers(-3, 30), st.integers(0, 30), st.integers(0, 60))  # maker, taker, slippage in bps


def wealth(costs: tuple[int, int, int], market: Sequence[Candle], scenes: dict[int, Scene]) -> tuple[list[Any], int]:
    """What filled, apart from prices, and the equity at the end; scenes by the candle before which they are sent."""
    maker, taker, slippage = costs
    floor = Floor(market="um", path=OPTIMISTIC, slippage=slippage, fees=(maker, taker))
    for number, candle in enumerate(market):
        for side, options in scenes.get(number, ()):
            floor.want(order_intent(floor.board.now, floor.spec.id, side, **options))
        floor.candle(*candle)
    ledger, spec = floor.account.ledger, floor.spec
    filled = [(f.order_id, f.ts, f.qty_units, f.reference_price_units, f.liquidity) for f in floor.fills]
    position = ledger.position(spec.id)
    return filled, ledger.asset(spec.cash).cash_units + spec.notional_units(position.qty_units, market[-1][3]) - (
        position.basis_units
    )


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), one=COSTS, other=COSTS)
def test_for_equal_fills_more_fee_or_slippage_never_raises_equity(data: st.DataObject, one: Any, other: Any) -> None:
    less, more = (tuple(pick(pair) for pair in zip(one, other, strict=True)) for pick in (min, max))
    market = [data.draw(candles()) for _ in range(data.draw(st.integers(1, 5)))]
    sent = st.lists(st.tuples(SIDES, orders()), max_size=3)
    scenes = {number: data.draw(sent) for number in range(len(market))}
    cheap, dear = (wealth(costs, market, scenes) for costs in (less, more))
    assume(cheap[0] == dear[0])
    assert dear[1] <= cheap[1]


def test_more_cost_does_lower_the_equity_of_a_round_trip() -> None:
    market = [(100_00, 100_00, 100_00, 100_00)] * 2
    scenes: dict[int, Scene] = {0: [(Side.BUY, {"qty": 1})], 1: [(Side.SELL, {"qty": 1})]}
    found = [wealth(costs, market, scenes)[1] for costs in ((0, 0, 0), (0, 5, 0), (0, 5, 10))]
    short: dict[int, Scene] = {0: [(Side.SELL, {"qty": 1})]}
    assert wealth((0, 0, 0), [(100_00, 100_00, 90_00, 90_00)], short)[1] == 10_010 * 10**8
    # 0.1 for fees of 5 bps on 100 twice; 0.2 for 10 bps of slippage twice, on which the fee is about the same
    assert [units / 1e8 for units in found] == [10_000, 9_999.9, 9_999.7]


# --- nothing fills before it arrives --------------------------------------------------------------------------------


def early_fills(ran: Ran) -> list[str]:
    """The fills whose market record began before the exchange had their order; exits: before their entry's fill."""
    sent = {line["event"]["order_id"]: line["tick"] for line in ran.lines if line["topic"] == "orders_sanitized"}
    found = []
    for line in ran.lines:
        event = line["event"]
        if line["topic"] == "orders_changed":
            sent.setdefault(event["order_id"], sent[event["parent_id"]])
        if line["topic"] == "fills" and int(event["cause_id"].rpartition("/")[2]) < sent[event["order_id"]]:
            found.append(event["cause_id"])
    return found


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    data=st.data(),
    path=st.sampled_from(["pessimistic", "open_near_extreme_first", "optimistic"]),
    market_fill=st.sampled_from(["open", "mid"]),
    seed=st.integers(0, 5),
)
def test_a_run_fills_nothing_before_its_order_arrived(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, path: str, market_fill: str, seed: int
) -> None:
    rows = wandering(40, seed)

    def sends(order: dict[str, Any], side: str, last: float) -> Any:
        moved = {
            name: round(last * float(value) / 100, 2)
            if name in ("limit", "stop", "take_profit", "activation")
            else value
            for name, value in order.items()
        }
        return lambda s: [getattr(s, side)("BTCUSDT", **moved)]

    script = {
        number: sends(data.draw(orders()), data.draw(st.sampled_from(["buy", "sell"])), rows[number][3])  # type: ignore[index]
        for number in data.draw(st.sets(st.integers(0, 38), min_size=1, max_size=12))
    }
    ran = run_on(
        tmp_path_factory.mktemp("early"),
        rows,
        scripted(script),
        run={"market": "um"},
        execution={"path": path, "market_fill": market_fill, "touch_fills": True, "stop_through": "market"},
    )
    assert early_fills(ran) == []


def test_a_fill_by_a_record_from_before_its_order_is_seen() -> None:
    def line(topic: str, tick: int, **event: Any) -> dict[str, Any]:
        return {"topic": topic, "tick": tick, "event": event}

    sent = line("orders_sanitized", 120, order_id=1)
    fills = [line("fills", 180, order_id=1, cause_id=f"spot:BTCUSDT/1m/{opened}") for opened in (60, 120)]
    ran: Any = SimpleNamespace(lines=[sent, *fills])
    assert early_fills(ran) == ["spot:BTCUSDT/1m/60"]
