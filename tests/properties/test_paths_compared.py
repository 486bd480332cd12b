"""One candle under all three paths: the more pessimistic one fills fewer limits, and none of them better."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis.strategies import DrawFn, booleans, composite, integers, sampled_from

from backtester.core.events import OrderKind, Side
from backtester.sim.paths import NEAR_EXTREME_FIRST, OPTIMISTIC, PESSIMISTIC
from tests.support.assumptions import Assumed, Candle, compare, fills_under
from tests.support.floor import price
from tests.support.profiles import examples


@composite
def candles(draw: DrawFn) -> Candle:
    open_ = 100_00 + draw(integers(-30, 30)) * 10
    high, low = open_ + draw(integers(0, 60)) * 10, open_ - draw(integers(0, 60)) * 10
    return open_, high, low, low + (high - low) * draw(integers(0, 20)) // 20


def paths(touch: bool) -> list[Assumed]:
    return [Assumed(path, touch, 10) for path in (PESSIMISTIC, NEAR_EXTREME_FIRST, OPTIMISTIC)]


OFFSETS = integers(1, 60)


@settings(max_examples=examples(300))
@given(candle=candles(), sign=sampled_from([1, -1]), stop=OFFSETS, target=OFFSETS, touch=booleans())
@example(candle=(100_00, 111_00, 80_00, 100_00), sign=1, stop=50, target=50, touch=False)
def test_a_stop_and_a_target_around_a_position(candle: Candle, sign: int, stop: int, target: int, touch: bool) -> None:
    side = Side.SELL if sign > 0 else Side.BUY
    scene: list[tuple[Side, dict[str, Any]]] = [
        (side, {"qty": 1, "stop": price(100_00 - sign * stop * 10), "oco": "x"}),
        (side, {"qty": 1, "limit": price(100_00 + sign * target * 10), "oco": "x"}),
    ]
    compare(candle, scene, sign, paths(touch))


@settings(max_examples=examples(400))
@given(
    candle=candles(),
    side=sampled_from(list(Side)),
    kind=sampled_from(["limit", "stop", "market"]),
    away=OFFSETS,
    stop=OFFSETS,
    targets=sampled_from([((20, 100),), ((10, 40), (30, 60)), ((45, 50),)]),
    touch=booleans(),
)
def test_an_entry_with_its_exits(
    candle: Candle, side: Side, kind: str, away: int, stop: int, targets: Any, touch: bool
) -> None:
    sign = side.sign
    entry = 100_00 + {"limit": -1, "stop": 1, "market": 0}[kind] * sign * away * 10
    options: dict[str, Any] = {
        "qty": 1,
        "stop_loss": price(entry - sign * stop * 10),
        "take_profits": [(price(entry + sign * far * 10), price(share)) for far, share in targets],
    }
    if kind != "market":
        options[kind] = price(entry)
    compare(candle, [(side, options)], 0, paths(touch))


@settings(max_examples=examples(300))
@given(candle=candles(), sign=sampled_from([1, -1]), rate=integers(1, 8), target=OFFSETS, touch=booleans())
def test_a_trailing_stop_and_a_take_profit_around_a_position(
    candle: Candle, sign: int, rate: int, target: int, touch: bool
) -> None:
    side = Side.SELL if sign > 0 else Side.BUY
    scene: list[tuple[Side, dict[str, Any]]] = [
        (side, {"qty": 1, "trail": price(rate), "oco": "x"}),
        (side, {"qty": 1, "take_profit": price(100_00 + sign * target * 10), "oco": "x"}),
    ]
    compare(candle, scene, sign, paths(touch))


def test_the_scenes_compared_here_do_differ() -> None:
    scene: list[tuple[Side, dict[str, Any]]] = [
        (Side.SELL, {"qty": 1, "stop": 95, "oco": "x"}),
        (Side.SELL, {"qty": 1, "limit": 105, "oco": "x"}),
    ]
    candle = (100_00, 107_00, 94_00, 100_00)
    kinds = [[fill.kind for fill in fills_under(path, [candle], scene, 1)] for path in paths(False)]
    assert kinds == [[OrderKind.STOP], [OrderKind.STOP], [OrderKind.LIMIT]]
