"""What options cost besides their premium, and what being short of them binds. Rates are 1e-8."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.numbers import CEIL, RATE_SCALE, mul_div


class OptionRates(NamedTuple):
    """Rates of 1e-8. fee_cap: the most that a fee is, of the premium or of the payoff. exercise, liquidation: of the
    underlying. The others: margin of shorts, see `short_margin`. allow_short: whether options may be written at all.
    """

    allow_short: bool = False
    fee_cap: int = 10_000_000
    exercise: int = 15_000
    liquidation: int = 190_000
    initial: int = 15_000_000
    min_initial: int = 10_000_000
    maintenance: int = 7_500_000
    min_maintenance: int = 5_000_000


REGULAR_OPTIONS: Final = OptionRates()


def out_of_the_money(is_call: bool, strike: int, index: int) -> int:
    """Return by how much an option is out of the money, in price units, >= 0."""
    return max(0, strike - index if is_call else index - strike)


def short_margin(
    qty: int, mul: int, den: int, *, is_call: bool, strike: int, index: int, mark: int, rate: int, min_rate: int
) -> int:
    """Return the margin of a short option: (max(rate × S - OTM, min_rate × S) + mark) × unit × qty, rounded up once.

    With the initial pair of rates it is the initial margin, with the maintenance pair the maintenance margin.
    The form is that of similar venues with this venue's ratios; not confirmed.

    Args:
        qty: contracts sold, 10^-q, > 0. mul, den: a notional is qty × mul × price / den, the unit included.
        strike, index, mark: of the option, in 10^-p. rate, min_rate: 1e-8.
    """
    otm = out_of_the_money(is_call, strike, index)
    risk = max(rate * index - otm * RATE_SCALE, min_rate * index) + mark * RATE_SCALE
    return mul_div(qty * mul, risk, den * RATE_SCALE, CEIL)


def initial_margin(rates: OptionRates, spec: Instrument, qty: int, prices: Mapping[InstrumentId, int]) -> int:
    """Return the initial margin of qty contracts (10^-q, >= 0) sold, 1e-8, at these marks and indices (10^-p)."""
    return _margin(spec, qty, prices, rates.initial, rates.min_initial)


def maintenance_margin(rates: OptionRates, spec: Instrument, qty: int, prices: Mapping[InstrumentId, int]) -> int:
    """Return the maintenance margin; arguments as of `initial_margin`."""
    return _margin(spec, qty, prices, rates.maintenance, rates.min_maintenance)


def _margin(spec: Instrument, qty: int, prices: Mapping[InstrumentId, int], rate: int, min_rate: int) -> int:
    return short_margin(
        qty,
        spec.notional_mul,
        spec.notional_den,
        is_call=spec.is_call,
        strike=spec.strike_units,
        index=prices.get(spec.underlying, 0),
        mark=prices.get(spec.id, 0),
        rate=rate,
        min_rate=min_rate,
    )
