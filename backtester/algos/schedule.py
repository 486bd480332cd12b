"""How a quantity is cut into parts. Pure integers: quantities in units of the instrument."""

from backtester.core.numbers import floor_to


def slice_qty(qty: int, slices: int, number: int, filled: int, lot: int) -> int:
    """Return the size of slice `number` (0 is the first): what should be filled by then, in lots, less what is.

    What earlier slices left unfilled is therefore part of it; the last takes all that is left.
    """
    due = qty if number == slices - 1 else floor_to(qty * (number + 1) // slices, lot)
    return floor_to(max(0, due - filled), lot)


def shown_qty(qty: int, display: int, filled: int) -> int:
    """Return the size of the next part of an iceberg."""
    return min(display, qty - filled)
