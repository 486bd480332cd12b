"""Leverage brackets: what a position must keep, what it may borrow. Plain integers.

A size is what the venue's table is in: notional in 1e-8 quote (um), or base quantity in 1e-8 coin (cm). Margins are in
the same unit, rates in 1e-8.
"""

from typing import NamedTuple

from backtester.core.numbers import CEIL, RATE_SCALE, mul_div


class Bracket(NamedTuple):
    """One step of a leverage table: sizes with floor < size <= cap.

    maintenance_rate: in 1e-8, from 0 to 1. deduction: the venue's `cum`; it makes margin continuous at the floor.
    """

    floor: int
    cap: int
    max_leverage: int
    maintenance_rate: int
    deduction: int


BracketTable = tuple[Bracket, ...]
"""Ascending, from 0, without holes, rates ascending, `table_fault` empty."""


def bracket_of(table: BracketTable, size: int) -> Bracket:
    """Return the bracket of a size >= 0: the last one for whatever is beyond its cap."""
    for bracket in table:
        if size <= bracket.cap:
            return bracket
    return table[-1]


def maintenance_margin(table: BracketTable, size: int) -> int:
    """Return what a position of this size must keep: size × rate - deduction, rounded up."""
    bracket = bracket_of(table, size)
    return mul_div(size, bracket.maintenance_rate, RATE_SCALE, CEIL) - bracket.deduction


def initial_margin(size: int, leverage: int) -> int:
    """Return what opening this size binds at a leverage >= 1, rounded up."""
    return mul_div(size, 1, leverage, CEIL)


def max_leverage(table: BracketTable, size: int) -> int:
    """Return the largest leverage that a position of this size may have; 0 when it is beyond every cap."""
    return bracket_of(table, size).max_leverage if size <= table[-1].cap else 0


def max_size(table: BracketTable, leverage: int) -> int:
    """Return the largest size of a position with this leverage; 0 when no bracket allows it."""
    allowed = [bracket.cap for bracket in table if bracket.max_leverage >= leverage]
    return max(allowed, default=0)


def table_fault(table: BracketTable) -> str:
    """Return what keeps a table from being one, in a clause; empty when it is sound.

    The identity of the deductions, cum_n = cum_(n-1) + floor_n × (rate_n - rate_(n-1)), holds exactly: two brackets ask
    the same where they meet, so the margin is the largest that any bracket would ask. Liquidation prices rely on it.
    """
    if not table:
        return "there is no bracket"
    below = Bracket(0, 0, 1, 0, 0)
    for number, bracket in enumerate(table, start=1):
        if bracket.floor != below.cap or bracket.cap <= bracket.floor:
            return f"bracket {number} must begin where the one below ends (the first at 0), and end above that"
        if not below.maintenance_rate <= bracket.maintenance_rate <= RATE_SCALE:
            return f"the rate of bracket {number} must be no smaller than the one below, and at most 1"
        if bracket.max_leverage < 1:
            return f"bracket {number} must allow a leverage of at least 1"
        step = bracket.floor * (bracket.maintenance_rate - below.maintenance_rate)
        if (bracket.deduction - below.deduction) * RATE_SCALE != step:
            return f"the deduction of bracket {number} does not follow from its floor and the rates"
        below = bracket
    return ""
