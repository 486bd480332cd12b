"""The random order streams and their rules find each of these exchanges out. What finds no fault proves nothing."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from msgspec.structs import replace

from backtester.core.events import Fill, Liquidity, OrderKind, Reason, SanitizedOrder, Side, Status
from backtester.core.market import Expiry, MarketCandle
from backtester.core.numbers import BPS
from backtester.core.time import MINUTE
from backtester.core.timeline import Timeline
from backtester.core.topics import T_FILLS, Topic
from backtester.execution.orders import State, WorkingOrder
from backtester.execution.pool import Pool
from backtester.execution.simulated import SimulatedExchange
from backtester.sim.sim_models import FeeModel, SlippageModel
from backtester.strategy.ordering import order_intent
from tests.properties.test_order_streams import OrderStreams
from tests.support.floor import price
from tests.support.order_rules import RuleBroken
from tests.support.profiles import is_long


class _Line:
    """Stands between an exchange and its bus, and may say something else."""

    def __init__(self, bus: Any) -> None:
        self._bus = bus

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    def publish(self, topic: Topic[Any], event: Any) -> None:
        self._bus.publish(topic, event)


class KeepsTheGroup(SimulatedExchange):
    """Leaves the other orders of an oco group in the book when one filled."""

    def _end(self, working: WorkingOrder, state: State, reason: Reason) -> None:
        if reason is not Reason.OCO or working.order.parent_id:
            super()._end(working, state, reason)


class KeepsTheExits(SimulatedExchange):
    """Leaves the targets in the book when their stop filled, and the stop when its targets did."""

    def _end(self, working: WorkingOrder, state: State, reason: Reason) -> None:
        if reason is not Reason.OCO or not working.order.parent_id:
            super()._end(working, state, reason)


class CutsNothing(SimulatedExchange):
    """Executes reduce-only orders whole, whatever the position is."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._cashier.reducible = lambda order, ts: order.qty_units or 1  # type: ignore[method-assign]


class FillsStopsAtTheirPrice(SimulatedExchange):
    """Fills a stop at its price even when the market opened beyond it."""

    def execute(self, working: WorkingOrder, price: int, *rest: Any) -> list[WorkingOrder]:
        at_stop = working.order.kind is OrderKind.STOP and working.order.stop_price_units
        return super().execute(working, at_stop or price, *rest)


class FillsBetter(SimulatedExchange):
    """Lets what takes liquidity gain from slippage."""

    def __init__(self, rules: Any, *parts: Any) -> None:
        super().__init__(rules._replace(slippage=SlippageModel(-rules.slippage.rate)), *parts)


class SlipsBeyond(SimulatedExchange):
    """Slips more than declared."""

    def __init__(self, rules: Any, *parts: Any) -> None:
        super().__init__(rules._replace(slippage=SlippageModel(rules.slippage.rate + 20 * BPS)), *parts)


class ChargesNothing(SimulatedExchange):
    """Forgets the fees of makers."""

    def __init__(self, rules: Any, *parts: Any) -> None:
        fees = {i: Timeline.constant(FeeModel.flat(0, 5 * BPS)) for i in rules.fees}
        super().__init__(rules._replace(fees=fees), *parts)


class _TellsFillsTwice(_Line):
    def publish(self, topic: Topic[Any], event: Any) -> None:
        super().publish(topic, event)
        if topic is T_FILLS:
            super().publish(topic, event)


class FillsTwice(SimulatedExchange):
    """Tells of every fill twice."""

    def __init__(self, rules: Any, instruments: Any, board: Any, bus: Any) -> None:
        super().__init__(rules, instruments, board, _TellsFillsTwice(bus))  # type: ignore[arg-type]


class _TellsMoreThanWasOrdered(_Line):
    def publish(self, topic: Topic[Any], event: Any) -> None:
        if isinstance(event, Fill) and event.leaves_units == 0:
            again = {name: getattr(event, name) for name in event.__struct_fields__}
            super().publish(topic, Fill(**(again | {"leaves_units": event.qty_units})))
        super().publish(topic, event)


class FillsMore(SimulatedExchange):
    """Fills an order whole and then once more before it ends."""

    def __init__(self, rules: Any, instruments: Any, board: Any, bus: Any) -> None:
        super().__init__(rules, instruments, board, _TellsMoreThanWasOrdered(bus))  # type: ignore[arg-type]


class FillsInThePast(SimulatedExchange):
    """Executes at a time before the order was there."""

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, _: int, pool: Pool
    ) -> list[WorkingOrder]:
        return super().execute(working, price, liquidity, working.accepted - MINUTE, pool)


class FindsMoreThanTrades(SimulatedExchange):
    """Lets each order take what the others took already."""

    def execute(
        self, working: WorkingOrder, price: int, liquidity: Liquidity, ts: int, pool: Pool
    ) -> list[WorkingOrder]:
        return super().execute(working, price, liquidity, ts, Pool(pool.left))


class ForgetsWhatIsLeft(SimulatedExchange):
    """Leaves an order that filled in part as large as it was."""

    def change(self, working: WorkingOrder, order: SanitizedOrder) -> None:
        filled_in_part = working.state is State.PARTLY_FILLED
        super().change(working, working.order if filled_in_part else order)


class AcceptsInSilence(SimulatedExchange):
    """Never says that it accepted an order."""

    def _update(self, order: SanitizedOrder, status: Status, reason: Reason = Reason.NONE, ts: int = 0) -> None:
        if status is not Status.ACCEPTED:
            super()._update(order, status, reason, ts)


class EndsInSilence(SimulatedExchange):
    """Never says that an order expired."""

    def _update(self, order: SanitizedOrder, status: Status, reason: Reason = Reason.NONE, ts: int = 0) -> None:
        if status is not Status.EXPIRED:
            super()._update(order, status, reason, ts)


class EndsTwice(SimulatedExchange):
    """Says twice that an order was cancelled."""

    def _update(self, order: SanitizedOrder, status: Status, reason: Reason = Reason.NONE, ts: int = 0) -> None:
        super()._update(order, status, reason, ts)
        if status is Status.CANCELLED:
            super()._update(order, status, reason, ts)


class ForgetsTheTime(SimulatedExchange):
    """Lets orders work beyond the time till which they are good."""

    def on_expiry(self, expiry: Expiry) -> None:
        pass


class WaitsForEver(SimulatedExchange):
    """Lets market orders wait for a trade without end."""

    def __init__(self, rules: Any, *parts: Any) -> None:
        super().__init__(rules._replace(max_wait_us=dict.fromkeys(rules.max_wait_us, 10**12)), *parts)


class FillsWithoutTrades(SimulatedExchange):
    """Lets orders meet candles in which nobody traded."""

    def on_market(self, candle: MarketCandle) -> None:
        super().on_market(candle if candle.volume else replace(candle, volume=1.0))


class Lends(SimulatedExchange):
    """Executes what the account cannot pay."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._cashier._unpayable = lambda *_: None  # type: ignore[method-assign]


FAULTS = {
    KeepsTheGroup: "two orders of one group filled",
    KeepsTheExits: "exits took more than the entry brought|what only reduces|an order that works no more",
    CutsNothing: "what only reduces",
    FillsStopsAtTheirPrice: "filled where the market was not",
    FillsBetter: "slipped otherwise than declared",
    SlipsBeyond: "slipped otherwise than declared",
    ChargesNothing: "another fee than declared",
    FillsTwice: "an order filled after its end",
    FillsMore: "more than was ordered",
    FindsMoreThanTrades: "took more than there was",
    ForgetsWhatIsLeft: "a partial fill left something else",
    FillsInThePast: "filled before it worked",
    AcceptsInSilence: "an order filled that was never accepted",
    EndsInSilence: "did not end",
    EndsTwice: "an order ended twice",
    ForgetsTheTime: "filled after its time was over",
    WaitsForEver: "a market order waited too long",
    FillsWithoutTrades: "filled while nobody traded|took more than there was",
    Lends: "spot is overdrawn",
}


class NearExits(OrderStreams):
    """Directed: entries whose stop and target one candle can reach, and candles."""

    orders = cancels = replaces = a_pair_of_bids_or_offers = a_purchase_with_nearly_all_money = None  # type: ignore[assignment]

    @rule(side=st.sampled_from(list(Side)), behind=st.integers(1, 60), ahead=st.integers(1, 60))
    def an_entry_with_near_exits(self, side: Side, behind: int, ahead: int) -> None:
        now, name = self.floor.board.now, self.floor.spec.id
        stop, target = (price(self.last + side.sign * away) for away in (-behind, ahead))
        whole = price(100)
        self.floor.want(order_intent(now, name, side, 1, stop_loss=stop, take_profits=[(target, whole)]))


class LargePurchases(OrderStreams):
    """Directed: purchases with nearly all money, and candles."""

    terms: ClassVar[Mapping[str, Any]] = {"market": "spot", "slippage": 30}
    orders = cancels = replaces = a_pair_of_bids_or_offers = None  # type: ignore[assignment]


# Faults that take something rare to show have streams that are full of it; with the long profile, they have all.
DIRECTED: dict[type[SimulatedExchange], type[OrderStreams]] = {
    KeepsTheExits: NearExits,
    FillsStopsAtTheirPrice: NearExits,
    Lends: LargePurchases,
}


@pytest.mark.parametrize("broken", FAULTS, ids=lambda broken: broken.__name__)
def test_a_broken_exchange_is_found_out(broken: type[SimulatedExchange]) -> None:
    directed = OrderStreams if is_long() else DIRECTED.get(broken, OrderStreams)
    streams = type("Streams", (directed,), {"exchange": broken})
    searching = settings(
        max_examples=10_000,
        stateful_step_count=30,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    with pytest.raises(RuleBroken, match=FAULTS[broken]):
        run_state_machine_as_test(streams, settings=searching)  # type: ignore[no-untyped-call]
