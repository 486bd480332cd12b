"""What a strategy may see of its own account: a read-only fold of the same events that everybody folds."""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping
from decimal import Decimal
from math import nan

from msgspec import structs

from backtester.core.board import Board
from backtester.core.errors import UsageError
from backtester.core.events import SanitizedOrder
from backtester.core.folds import FLAT, Ledger
from backtester.core.funds import collateral_units
from backtester.core.instruments import (
    OPTION,
    Instrument,
    InstrumentId,
    PositionSide,
    holding_of,
    instrument_id,
    option_name,
    side_id,
    split_holding,
    split_id,
    split_side,
    split_symbol,
)
from backtester.core.margin import FULL, MarginTerms
from backtester.core.market import OptionChain
from backtester.core.numbers import MONEY_EXPONENT, decimal
from backtester.core.rules import InstrumentRules, RuleBook
from backtester.core.timeline import Timeline
from backtester.core.valuation import Valuation
from backtester.strategy.chain_view import ChainView


class PositionView:
    """A position as a strategy reads it: live, exact, computed when asked."""

    __slots__ = ("_board", "_id", "_instrument", "_largest_lot", "_positions", "_rules")

    def __init__(self, instrument: Instrument, rules: Timeline[InstrumentRules], ledger: Ledger, board: Board) -> None:
        self._id = instrument.id
        self._instrument = instrument
        self._rules = rules
        self._largest_lot = max(version.resting.lot_units for version in rules.values)
        self._positions = ledger.positions
        self._board = board

    @property
    def is_flat(self) -> bool:
        """Whether less than one lot is held: nothing that could be sold."""
        position = self._positions.get(self._id)
        if position is None:
            return True
        held = abs(position.qty_units)  # asked at every candle: what no lot exceeds needs no look at the rules
        return held < self._largest_lot and held < self._rules.at(self._board.now).resting.lot_units

    @property
    def qty(self) -> Decimal:
        """Signed base quantity."""
        return decimal(self._positions.get(self._id, FLAT).qty_units, self._instrument.scale.qty)

    @property
    def average_price(self) -> Decimal | None:
        """Price at which the cost basis was paid, for display and for stops; None when flat."""
        position = self._positions.get(self._id)
        if position is None or position.qty_units == 0:  # a fee can take all that was bought
            return None
        basis, contract = (
            decimal(position.basis_units, MONEY_EXPONENT),
            decimal(self._instrument.contract_units, MONEY_EXPONENT),
        )
        if self._instrument.is_inverse:
            return self.qty * contract / basis
        return basis / (self.qty * contract if contract else self.qty)

    @property
    def unrealised(self) -> Decimal:
        """Profit at the last price, before fees."""
        position = self._positions.get(self._id)
        if position is None:
            return decimal(0, MONEY_EXPONENT)
        price = self._board.price_units[self._instrument.listed]
        return decimal(self._instrument.profit_units(position.qty_units, position.basis_units, price), MONEY_EXPONENT)


class StrategyView:
    """Positions, open orders, cash and equity, current before every decision.

    positions and orders are keyed by `market:symbol` and, where it is unambiguous, by the bare symbol as well; in hedge
    mode those of a future by its sides. hedged: the instruments that have sides.
    """

    def __init__(
        self,
        board: Board,
        instruments: Mapping[InstrumentId, Instrument],
        rules: RuleBook,
        valuation: Valuation,
        sized: frozenset[InstrumentId] = frozenset(),
        margin: MarginTerms = FULL,
        named: Collection[str] | None = None,
    ) -> None:
        """Make a flat view; sized: where the run finds the size of entries that do not say it; margin: how positions
        are secured at the start; named: the instruments that the run names, all unless given: the contracts of a whole
        option chain are not.
        """
        self.board = board
        self.instruments = instruments
        self._rules = rules
        self.currency = valuation.currency
        self.sized = sized
        self.ledger = Ledger(instruments, margin, valuation)
        listed = [spec for spec in instruments.values() if spec.position_side is None]
        self.named = tuple(spec for spec in listed if named is None or spec.id in named)
        underlyings = {spec.underlying for spec in instruments.values() if spec.is_option}
        self.chains: dict[InstrumentId, OptionChain | None] = dict.fromkeys(sorted(underlyings))
        self._whole = {split_symbol(split_id(name)[1]): name for name in self.chains if named and name in named}
        self._timers: list[int] = []
        symbols = Counter(i.symbol for i in instruments.values())
        self.ids: dict[str, InstrumentId] = {str(i): i for i in instruments}
        self.ids |= {i.symbol: i.id for i in instruments.values() if symbols[i.symbol] == 1}
        self.hedged = {spec.listed for spec in instruments.values() if spec.position_side is not None}
        by_id = {i: PositionView(spec, rules[i], self.ledger, board) for i, spec in instruments.items()}
        orders: dict[InstrumentId, dict[int, SanitizedOrder]] = {i: {} for i in instruments}
        self.positions = {name: by_id[i] for name, i in self.ids.items() if i not in self.hedged}
        self.orders = {name: orders[i] for name, i in self.ids.items()}

    def unknown(self, name: str) -> UsageError:
        """Return the error for a name that has no position or is not in this run."""
        if self.ids.get(name) in self.hedged:
            return UsageError(
                f"{name!r} has a long and a short position: hedge mode", hint='say which: "long", "short"'
            )
        chain = self._chain_of(name) if name not in self.ids else self.instruments[self.ids[name]].underlying
        if chain:
            return UsageError(
                f"{name!r} is not listed: no row of {chain} that is known by now names it",
                hint=f"self.chain({split_id(chain)[1]!r}).quotes are the contracts that there are",
            )
        listed, side = split_side(InstrumentId(name))
        if side is not None and listed in self.ids:
            return UsageError(f"{listed!r} has one position, none that is {side}", hint="futures.position_mode=hedge")
        there = [*(spec.id for spec in self.named), *self.chains]
        return UsageError(f"{name!r} is not in this run", hint=f"it has: {', '.join(there)}")

    def resolve(self, name: str) -> InstrumentId:
        """Return the identity that `market:symbol` or an unambiguous bare symbol names in this run.

        Raises:
            UsageError: the run has no such instrument.
        """
        found = self.ids.get(name)
        if found is None or not self.board.is_listed(found):
            raise self.unknown(name)
        return found

    def orderable(self, name: str) -> InstrumentId:
        """Return the identity that a name has in an order: as `resolve`, and of a contract of a whole chain whether it
        is listed or not. Whether it ever will be is not shown: risk refuses the order until then.

        Raises:
            UsageError: the run has no such instrument, and no chain that could list it.
        """
        found = self.ids.get(name)
        if found is not None:
            return found
        if self._chain_of(name) is None:
            raise self.unknown(name)
        return instrument_id(OPTION, split_id(name)[1] or name)

    def position(self, name: str) -> PositionView:
        """Return the position under a name; flat for a contract of a whole chain that is not listed.

        Raises:
            UsageError: the run has no such instrument, or it has two positions.
        """
        found = self.positions.get(name)
        if found is not None:
            return found
        chain = self._chain_of(name)
        if chain is None or name in self.ids:
            raise self.unknown(name)
        like = next(spec for spec in self.instruments.values() if spec.underlying == chain)
        spec = structs.replace(like, id=self.orderable(name))
        return PositionView(spec, self._rules[like.id], self.ledger, self.board)

    def orders_of(self, name: str) -> dict[int, SanitizedOrder]:
        """Return the working orders under a name, by id.

        Raises:
            UsageError: the run has no such instrument.
        """
        found = self.orders.get(name)
        return self.orders.get(self.orderable(name), {}) if found is None else found

    def _chain_of(self, name: str) -> InstrumentId | None:
        """Return the chain that the run trades whole and that could list a contract of this name."""
        market, _, symbol = name.rpartition(":")
        contract = option_name(symbol)
        if contract is None or market not in ("", OPTION):
            return None
        return next((chain for pair, chain in self._whole.items() if pair and pair[0] == contract.base), None)

    def sides(self, name: str) -> list[InstrumentId]:
        """Return what is held under a name: the instrument itself, or in hedge mode both its sides.

        Raises:
            UsageError: the run has no such instrument.
        """
        instrument = self.orderable(name)
        return [instrument] if instrument not in self.hedged else [side_id(instrument, s) for s in PositionSide]

    def chain(self, name: str) -> ChainView:
        """Return the last row of a chain without what has expired; empty before the first.

        Raises:
            UsageError: the run has no such chain.
        """
        found = instrument_id(OPTION, name) if ":" not in name else InstrumentId(name)
        if found not in self.chains:
            raise self.unknown(name)
        row, now = self.chains[found], self.board.now
        if row is None:
            return ChainView(found, 0, now, nan, ())
        index = self.board.price_units.get(found, 0) / 10**MONEY_EXPONENT
        return ChainView(found, row.ts, now, index or nan, tuple(q for q in row.quotes if q.expiry > now))

    def rules(self, name: str) -> InstrumentRules:
        """Return the rules that hold now; what they will be is not shown.

        Raises:
            UsageError: the run has no such instrument.
        """
        return self._rules[self.resolve(name)].at(self.board.now)

    def call_at(self, time: int) -> None:
        """Ask for a timer; one at or before now is due at the next tick."""
        heapq.heappush(self._timers, max(time, self.board.now + 1))
        self.board.set_timer(time)

    def timer_is_due(self) -> bool:
        """Say whether a time that was asked for has come, and forget all that have."""
        due = False
        while self._timers and self._timers[0] <= self.board.now:
            heapq.heappop(self._timers)
            due = True
        return due

    def equity_units(self) -> int:
        """Return the account's value at the last prices, in 1e-8 of its currency."""
        return self.ledger.equity_units(self.board.price_units)

    def cash_units(self, wallet: str | None, asset: str) -> int:
        """Return how much of an asset (1e-8) is held in a market's wallet, or in all of them."""
        return sum(
            account.cash_units
            for holding, account in self.ledger.assets.items()
            if split_holding(holding)[1] == asset and wallet in (None, split_holding(holding)[0])
        )

    def free_units(self, wallet: str, asset: str) -> int:
        """Return how much of an asset (1e-8) in a market's wallet no position and no open order binds."""
        holding = holding_of(wallet, asset)
        bound: dict[str, int] = {}  # of an oco group the most
        for instrument in self.instruments:
            for order in self.orders[instrument].values():
                if order.reserved == holding:
                    group = order.oco or f"#{order.order_id}"
                    bound[group] = max(bound.get(group, 0), order.reserve_units)
        collateral = collateral_units(self.ledger, self.board.price_units, holding)
        return self.cash_units(wallet, asset) - collateral - sum(bound.values())
