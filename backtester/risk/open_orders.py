"""The orders that risk let through and that have not ended."""

from collections.abc import Iterator

from backtester.core.events import Fill, SanitizedOrder
from backtester.core.instruments import InstrumentId


class OpenOrders:
    """Orders by id. One that is being taken back or replaced stays until the exchange says so, but works no more.

    Where nothing travels it cannot fill either: the exchange hears of that before anything trades. Where orders travel
    it may fill on the way, and counts until its end is heard.
    """

    def __init__(self, *, travel: bool = False) -> None:
        """travel: orders and cancels take time to reach the exchange."""
        self._travel = travel
        self._orders: dict[int, SanitizedOrder] = {}
        self._leaves: dict[int, int] = {}
        self._going: set[int] = set()

    def get(self, order_id: int) -> SanitizedOrder | None:
        """Return an order that has not ended, or None."""
        return self._orders.get(order_id)

    def put(self, order: SanitizedOrder) -> None:
        """Know an order as it is now."""
        self._orders[order.order_id] = order
        self._leaves.pop(order.order_id, None)

    def filled(self, fill: Fill) -> None:
        """Note what a fill left of its order; nothing ends it."""
        if fill.leaves_units == 0:
            self.end(fill.order_id)
        elif fill.order_id in self._orders:
            self._leaves[fill.order_id] = fill.leaves_units

    def going(self, order_id: int) -> None:
        """An order is being taken back or replaced."""
        self._going.add(order_id)

    def is_going(self, order_id: int) -> bool:
        """Say whether an order is being taken back or replaced."""
        return order_id in self._going

    def goes_on(self, order_id: int) -> bool:
        """Say whether an order has not ended and is not being taken back."""
        return order_id in self._orders and order_id not in self._going

    def stay(self, order_id: int) -> None:
        """It works on: what should have replaced it was refused."""
        self._going.discard(order_id)

    def end(self, order_id: int) -> None:
        """Forget an order."""
        self._orders.pop(order_id, None)
        self._leaves.pop(order_id, None)
        self._going.discard(order_id)

    def leaves(self, order: SanitizedOrder) -> int:
        """Return what is open of an order's quantity (10^-q); 0 when it is sized at its fill."""
        return self._leaves.get(order.order_id, order.qty_units)

    def __iter__(self) -> Iterator[SanitizedOrder]:
        """Return all that have not ended."""
        return iter(self._orders.values())

    def working(self, instrument: InstrumentId | None = None) -> list[SanitizedOrder]:
        """Return the orders that work on, of one instrument or of all, by id; of sliced ones only their parts do."""
        orders = [o for i, o in sorted(self._orders.items()) if i not in self._going and not o.kind.is_sliced]
        return orders if instrument is None else [order for order in orders if order.instrument == instrument]

    def exposed(self, instrument: InstrumentId | None = None) -> list[SanitizedOrder]:
        """Return the orders that may still fill, of one instrument or of all, by id."""
        if not self._travel:
            return self.working(instrument)
        orders = [o for _, o in sorted(self._orders.items()) if not o.kind.is_sliced]
        return orders if instrument is None else [order for order in orders if order.instrument == instrument]

    def counted(self, instrument: InstrumentId | None = None, *, without: int = 0) -> list[SanitizedOrder]:
        """Return the orders that may still fill, an order and its replacement as one.

        without: the id of an order that is left out, with all whose place it takes.
        """
        orders = self.exposed(instrument)
        replaced, left_out = {order.replaces for order in orders}, self.place(without)
        return [o for o in orders if o.order_id not in replaced and self.place(o.order_id) != left_out]

    def place(self, order_id: int) -> int:
        """Return whose place an order takes or will take: the oldest of its replacements' row that has not ended."""
        while (order := self._orders.get(order_id)) is not None and order.replaces in self._orders:
            order_id = order.replaces
        return order_id

    def sliced(self) -> list[SanitizedOrder]:
        """Return the sliced orders that go on, by id."""
        return [o for i, o in sorted(self._orders.items()) if i not in self._going and o.kind.is_sliced]
