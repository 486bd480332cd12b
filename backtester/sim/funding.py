"""Funding: who pays whom at which instant. Plain integers: rates and marks in 1e-8, money in 1e-8, times in µs."""

from bisect import bisect_right
from collections.abc import Sequence

from backtester.core.numbers import FLOOR, RATE_SCALE, mul_div
from backtester.sim.scales import ratio_of


def linear_payment(qty: int, mark: int, rate: int, shift: int) -> int:
    """Return what funding adds to the wallet of a position (signed, 10^-q): quantity × mark × rate, against its sign.

    A positive rate makes longs pay (< 0) and shorts receive (> 0). Rounded down once: payments up, receipts down.
    """
    mul, den = ratio_of(shift)
    return mul_div(-qty * rate * mul, mark, RATE_SCALE * den, FLOOR)


def inverse_payment(qty: int, mark: int, rate: int, unit: int) -> int:
    """Return the same for contracts, in coin: contracts × size / mark × rate; `unit` as in `sim.inverse`."""
    return mul_div(-qty * rate, unit, RATE_SCALE * mark, FLOOR)


def due_between(times: Sequence[int], after: int, until: int) -> range:
    """Return the indices of the funding times in (after, until]; times ascending.

    Half-open on the left, so that consecutive spans take every time once: what is held at T pays the funding of T.
    """
    return range(bisect_right(times, after), bisect_right(times, until))


def scheduled_time(recorded: int, interval: int, tolerance: int) -> int:
    """Return the instant of the schedule that a record belongs to: the nearest multiple of the interval.

    The venue writes its records some milliseconds late. One further off than the tolerance keeps its own time: the
    schedule is another.
    """
    scheduled = (recorded + interval // 2) // interval * interval
    return scheduled if abs(recorded - scheduled) <= tolerance else recorded
