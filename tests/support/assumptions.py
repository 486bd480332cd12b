"""One scene under several sets of assumptions: what fills, and whether a more pessimistic set was ever better."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from backtester.core.events import Fill, Liquidity, OrderKind, Side
from backtester.sim.paths import NEAR_EXTREME_FIRST, OPTIMISTIC, PESSIMISTIC
from backtester.strategy.ordering import order_intent
from tests.support.floor import Floor

HELPFUL = (OrderKind.LIMIT, OrderKind.TAKE_PROFIT, OrderKind.TAKE_PROFIT_LIMIT)
Candle = tuple[int, int, int, int]
Scene = Sequence[tuple[Side, dict[str, Any]]]


class Assumed(NamedTuple):
    """What one run of a band assumes; slippage in basis points."""

    path: int
    touch_fills: bool
    slippage: int


BAND = (
    Assumed(PESSIMISTIC, False, 21),
    Assumed(NEAR_EXTREME_FIRST, False, 10),
    Assumed(OPTIMISTIC, True, 0),
)


def fills_under(assumed: Assumed, candles: Sequence[Candle], scene: Scene, held: int = 0) -> list[Fill]:
    """What the orders of a scene fill in the candles, with a position of so many coins from before."""
    floor = Floor(market="um", **assumed._asdict())
    name = floor.spec.id
    if held:
        side = Side.BUY if held > 0 else Side.SELL
        floor.want(order_intent(floor.board.now, name, side, abs(held)))
        floor.candle(100_00, 100_00, 100_00, 100_00)
    before = len(floor.fills)
    floor.want(*(order_intent(floor.board.now, name, side, **options) for side, options in scene))
    for candle in candles:
        floor.candle(*candle)
    return floor.fills[before:]


def no_better(worse: Fill, better: Fill) -> bool:
    """Whether a fill is nowhere better than another of the same order: price, fee rate, and money for the same size."""
    same_rate = better.liquidity is worse.liquidity or better.liquidity is Liquidity.MAKER
    dearer = (worse.price_units - better.price_units) * worse.side.sign >= 0
    return same_rate and dearer and (worse.qty_units != better.qty_units or _money(worse) <= _money(better))


def _money(fill: Fill) -> int:
    """What the fill brought, prices in cents and quantities in thousandths: 1e-8 quote."""
    return -fill.side.sign * fill.qty_units * fill.price_units * 1000 - fill.fee_units


def compare_group(candle: Candle, scene: Scene, held: int = 0, band: Sequence[Assumed] = BAND) -> None:
    """Assert of one group that when it fills in the trader's favour, it does so under the less pessimistic set too, and
    no worse; which of its orders it is may differ.
    """
    found = [[f for f in fills_under(assumed, [candle], scene, held) if f.kind in HELPFUL] for assumed in band]
    for worse, better in pairwise(found):
        if worse:
            assert better, "the group filled in the trader's favour only under the more pessimistic assumptions"
            assert no_better(worse[0], better[0]), "better under the more pessimistic assumptions"


def compare(candle: Candle, scene: Scene, held: int = 0, band: Sequence[Assumed] = BAND) -> None:
    """Assert that a more pessimistic set fills fewer limits, and none of what both fill better."""
    found = [{f.order_id: f for f in fills_under(assumed, [candle], scene, held)} for assumed in band]
    for worse, better in pairwise(found):
        limits = [{i for i, fill in run.items() if fill.kind in HELPFUL} for run in (worse, better)]
        assert limits[0] <= limits[1], "a limit filled only under the more pessimistic assumptions"
        for order_id in worse.keys() & better.keys():
            assert no_better(worse[order_id], better[order_id]), "better under the more pessimistic assumptions"
