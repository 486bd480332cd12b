"""From the final equity of one run to that of another: a bridge of lines that add up to the difference, exactly.

All money is in 1e-8 of the account's currency. Definitions: docs/compare.md.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from backtester.core.instruments import InstrumentId, listed_id
from backtester.core.numbers import HALF_EVEN, mul_div

START: Final = "start money"
DATA: Final = "data"
SIGNALS: Final = "signals"
SIZING: Final = "sizing"
FILL_PRICES: Final = "fill prices"
TRADES: Final = "missed and extra trades"
FEES: Final = "fees"
FUNDING: Final = "funding"
OTHER: Final = "other cashflows"
OPEN: Final = "open positions at the end"
CONVERSIONS: Final = "conversions"
LINES: Final = (START, DATA, SIGNALS, SIZING, FILL_PRICES, TRADES, FEES, FUNDING, OTHER, OPEN, CONVERSIONS)


class BridgeTrade(NamedTuple):
    """A closed round trip. instrument: of several strategies in one run each has its own. Times in UTC µs; qty:
    all that was entered, > 0, 1e-8 base units or contracts.

    gross: price profit at the prices paid, before all fees. slippage: the part of it that came of prices paid being
    others than their reference prices; below zero when that cost money.
    """

    instrument: str
    side: str
    entry_time: int
    exit_time: int
    qty_units: int
    gross_units: int
    slippage_units: int

    @property
    def reference_units(self) -> int:
        """Price profit at the reference prices."""
        return self.gross_units - self.slippage_units


class BridgeSide(NamedTuple):
    """What a run comes to. open: realised so far of trades not closed, and the unrealised profit of what is held.

    fees: paid, > 0 costs. funding: received less paid. other: what else came into the account after its start. data:
    by instrument what names the market data read of it.
    """

    initial_units: int
    final_units: int
    trades: Sequence[BridgeTrade]
    open_units: int
    fees_units: int
    funding_units: int
    other_units: int
    data: Mapping[str, object]

    @property
    def conversions_units(self) -> int:
        """What is left of final equity: what balances in other assets gained by their price, and rounding of that."""
        closed = sum(trade.gross_units for trade in self.trades)
        known = closed + self.open_units - self.fees_units + self.funding_units + self.other_units
        return self.final_units - self.initial_units - known


class BridgeLine(NamedTuple):
    """One line: what it is, how much of the difference it makes, and of how many trades or pairs of trades."""

    name: str
    units: int
    trades: int


class Pairs(NamedTuple):
    """The trades of two runs that are the same trade, and those that only one of them made."""

    both: list[tuple[BridgeTrade, BridgeTrade]]
    only_first: list[BridgeTrade]
    only_second: list[BridgeTrade]


def paired(first: Sequence[BridgeTrade], second: Sequence[BridgeTrade]) -> Pairs:
    """Return which trades belong together: of one instrument and side; first those that were entered at the
    same time, then, in time order, those that were open at the same time.
    """
    found = Pairs([], [], [])
    groups: dict[tuple[str, str], tuple[list[BridgeTrade], list[BridgeTrade]]] = {}
    for trade in first:
        groups.setdefault(_key(trade), ([], []))[0].append(trade)
    for trade in second:
        groups.setdefault(_key(trade), ([], []))[1].append(trade)
    for key in sorted(groups):
        _pair(*groups[key], found)
    return found


def bridge(first: BridgeSide, second: BridgeSide) -> list[BridgeLine]:
    """Return the lines from the final equity of the first run to that of the second, in the order of `LINES`."""
    pairs = paired(first.trades, second.trades)
    units = dict.fromkeys(LINES, 0)
    counts = dict.fromkeys(LINES, 0)
    for one, other in pairs.both:
        for name, amount in _of_pair(one, other, _differs(first, second, one.instrument)):
            units[name] += amount
            counts[name] += amount != 0
    units[TRADES] = sum(t.gross_units for t in pairs.only_second) - sum(t.gross_units for t in pairs.only_first)
    counts[TRADES] = len(pairs.only_first) + len(pairs.only_second)
    units[START] = second.initial_units - first.initial_units
    units[FEES] = first.fees_units - second.fees_units
    units[FUNDING] = second.funding_units - first.funding_units
    units[OTHER] = second.other_units - first.other_units
    units[OPEN] = second.open_units - first.open_units
    units[CONVERSIONS] = second.conversions_units - first.conversions_units
    assert sum(units.values()) == second.final_units - first.final_units
    return [BridgeLine(name, units[name], counts[name]) for name in LINES]


def _of_pair(one: BridgeTrade, other: BridgeTrade, data_differ: bool) -> list[tuple[str, int]]:
    """Split the difference of two trades: first the size at the first one's profit, then prices, the rest by cause."""
    reference = mul_div(one.reference_units, other.qty_units, one.qty_units, HALF_EVEN)
    slippage = mul_div(one.slippage_units, other.qty_units, one.qty_units, HALF_EVEN)
    same_times = (one.entry_time, one.exit_time) == (other.entry_time, other.exit_time)
    return [
        (SIZING, reference + slippage - one.gross_units),
        (FILL_PRICES, other.slippage_units - slippage),
        (DATA if same_times and data_differ else SIGNALS, other.reference_units - reference),
    ]


def _differs(first: BridgeSide, second: BridgeSide, instrument: str) -> bool:
    listed = listed_id(InstrumentId(instrument))
    return first.data.get(listed) != second.data.get(listed)


def _key(trade: BridgeTrade) -> tuple[str, str]:
    return trade.instrument, trade.side


def _pair(first: list[BridgeTrade], second: list[BridgeTrade], found: Pairs) -> None:
    """Pair the trades of one instrument and side; each list is in time order."""
    waiting = {second[at].entry_time: at for at in reversed(range(len(second)))}  # the first that begins at a time
    left: list[BridgeTrade] = []
    taken: set[int] = set()
    for trade in first:
        same = waiting.pop(trade.entry_time, None)
        if same is None:
            left.append(trade)
        else:
            taken.add(same)
            found.both.append((trade, second[same]))
    others = [trade for at, trade in enumerate(second) if at not in taken]
    at = 0
    for trade in left:
        while at < len(others) and others[at].exit_time <= trade.entry_time:
            found.only_second.append(others[at])
            at += 1
        if at < len(others) and others[at].entry_time < trade.exit_time:
            found.both.append((trade, others[at]))
            at += 1
        else:
            found.only_first.append(trade)
    found.only_second.extend(others[at:])
