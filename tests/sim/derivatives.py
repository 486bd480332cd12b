"""Drawing leverage tables and positions, and judging them by fractions: what the rules in sim are compared with."""

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import strategies as st

from backtester.sim.brackets import Bracket, BracketTable
from backtester.sim.liquidation import Leg

UNIT = 10**8  # money, rates and marks


def bracket_table(*steps: tuple[int, int, str]) -> BracketTable:
    """A sound table of (cap in whole units, leverage, rate), deductions by what those below add up to."""
    table, floor, owed = [], 0, Fraction(0)
    for cap, leverage, text in steps:
        rate = Fraction(text)
        deduction = (floor * rate - owed) * UNIT
        assert deduction.denominator == 1
        table.append(Bracket(floor * UNIT, cap * UNIT, leverage, int(rate * UNIT), int(deduction)))
        owed += (cap - floor) * rate
        floor = cap
    return tuple(table)


# The venue's table of BTCUSDT as its FAQ of maintenance margin shows it, first brackets.
FAQ_TABLE = bracket_table(
    (50_000, 125, "0.004"), (250_000, 100, "0.005"), (1_000_000, 50, "0.01"), (7_500_000, 20, "0.025"),
    (40_000_000, 10, "0.05"), (100_000_000, 5, "0.1"), (200_000_000, 4, "0.125"), (400_000_000, 3, "0.15"),
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> BracketTable:
    """Sound tables of one to five brackets, of small caps so that positions cross them."""
    widths = draw(st.lists(st.integers(1, 200_000), min_size=1, max_size=5))
    rates = sorted(draw(st.lists(st.integers(0, 1000), min_size=len(widths), max_size=len(widths))))
    caps = [sum(widths[: n + 1]) for n in range(len(widths))]
    return bracket_table(*((cap, 10, f"{rate}/1000") for cap, rate in zip(caps, rates, strict=True)))


def owed(table: BracketTable, size: Fraction) -> Fraction:
    """Maintenance margin of a size by adding up, bracket by bracket, what each part of it owes; no deductions."""
    total = Fraction(0)
    for number, bracket in enumerate(table):
        top = max(size, Fraction(bracket.cap)) if number == len(table) - 1 else Fraction(bracket.cap)
        part = min(size, top) - bracket.floor
        total += max(Fraction(0), part) * Fraction(bracket.maintenance_rate, UNIT)
    return total


def linear_margin(wallet: int, legs: Sequence[Leg], mark: int, shift: int, table: BracketTable) -> Fraction:
    """Margin balance less maintenance margin of a linear position, exact, in 1e-8."""
    worth = [Fraction(leg.qty * mark) / Fraction(10) ** shift for leg in legs]
    profit = sum((w - leg.basis for w, leg in zip(worth, legs, strict=True)), Fraction(0))
    return wallet + profit - sum((owed(table, abs(w)) for w in worth), Fraction(0))


def inverse_margin(wallet: int, legs: Sequence[Leg], mark: int, unit: int, table: BracketTable) -> Fraction:
    """The same for inverse contracts, in coin."""
    worth = [Fraction(leg.qty * unit, mark) for leg in legs]
    profit = sum((leg.basis - w for w, leg in zip(worth, legs, strict=True)), Fraction(0))
    return wallet + profit - sum((owed(table, abs(w)) for w in worth), Fraction(0))
