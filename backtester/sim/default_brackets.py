"""A leverage table for instruments of which none is known: stricter than the venue's own of any large contract.

What is not known must not help the trader: little leverage, large maintenance margins.
"""

from typing import Final

from backtester.core.numbers import RATE_SCALE, floor_to
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
_WHOLE: Final = 10_000  # a cap is a multiple of this, so that every rate of it is whole


def default_brackets(price_units: int = _UNIT) -> BracketTable:
    """Return the table in what a contract settles in, at what one unit of that is worth in quote money (1e-8)."""
    found: list[Bracket] = []
    below = Bracket(0, 0, 1, 0, 0)
    for quote_cap, leverage, rate in _STEPS:
        cap = max(below.cap + _WHOLE, floor_to(quote_cap * _UNIT * _UNIT // price_units, _WHOLE))
        units = rate * RATE_SCALE // 10_000
        deduction = below.deduction + below.cap * (units - below.maintenance_rate) // RATE_SCALE
        below = Bracket(below.cap, cap, leverage, units, deduction)
        found.append(below)
    return tuple(found)


DEFAULT_BRACKETS: Final = default_brackets()
"""In quote money."""
