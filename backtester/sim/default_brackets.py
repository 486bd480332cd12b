"""A leverage table for instruments of which none is known: stricter than the venue's own of any large contract.

What is not known must not help the trader: little leverage, large maintenance margins.
"""

from typing import Final

from backtester.core.numbers import RATE_SCALE
from backtester.sim.brackets import Bracket, BracketTable

_UNIT: Final = 10**8
_STEPS: Final = (  # cap in quote units, largest leverage, maintenance rate in 1e-4
    (50_000, 20, 250),
    (250_000, 10, 500),
    (1_000_000, 5, 1_000),
    (5_000_000, 4, 1_250),
    (10_000_000, 2, 2_500),
    (10**12, 1, 5_000),
)


def _table() -> BracketTable:
    found: list[Bracket] = []
    below = Bracket(0, 0, 1, 0, 0)
    for cap, leverage, rate in _STEPS:
        units = rate * RATE_SCALE // 10_000
        deduction = below.deduction + below.cap * (units - below.maintenance_rate) // RATE_SCALE
        below = Bracket(below.cap, cap * _UNIT, leverage, units, deduction)
        found.append(below)
    return tuple(found)


DEFAULT_BRACKETS: Final = _table()
