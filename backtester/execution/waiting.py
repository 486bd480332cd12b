"""Orders that execute at what trades next, and how long they wait for it."""

from backtester.core.board import Board
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.orders import WorkingOrder


class Waiting:
    """Says what an order waits for: an open, the middle of a candle, or a trade of its tape."""

    def __init__(self, rules: ExchangeRules, board: Board) -> None:
        """board: where opens are asked for."""
        self._rules = rules
        self._board = board

    def begin(self, working: WorkingOrder) -> None:
        """Let an order execute at the next open; or with its candle, when market orders fill in the middle of it."""
        working.waits_for_open = True
        working.deadline = self._board.now + self._rules.max_wait_us[working.order.instrument]
        if self._wants_open(working):
            self._board.want_open(working.order.listed)

    def again(self, working: WorkingOrder) -> None:
        """Begin the wait anew after a part: the next open is the first that counts, or the middle of its candle."""
        working.deadline = self._board.now + self._rules.max_wait_us[working.order.instrument]
        if not self.fills_at_mid(working):
            working.deadline += 1

    def go_on(self, working: WorkingOrder) -> None:
        """Let what triggered and found too little go on as what it is now: a market order, unless it has a limit."""
        if not working.order.limit_price_units and not working.waits_for_open:
            self.begin(working)
            self.again(working)

    def end(self, working: WorkingOrder) -> None:
        """Want no open any more for an order that ended."""
        if working.waits_for_open and self._wants_open(working):
            self._board.unwant_open(working.order.listed)

    def _wants_open(self, working: WorkingOrder) -> bool:
        return not self.fills_at_mid(working) and working.order.instrument not in self._rules.tapes

    def fills_at_mid(self, working: WorkingOrder) -> bool:
        """Say whether it is a market order that fills in the middle of the next candle."""
        on_tape = working.order.instrument in self._rules.tapes
        return self._rules.market_at_mid and not working.order.kind.has_limit and not on_tape
