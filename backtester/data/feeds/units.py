"""Prices and quantities of the lake as integers of an instrument."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.instruments import Instrument
from backtester.core.time import format_time

_IMPORT_AGAIN: Final = "import the data again with --replace: the manifest says how many decimals its prices need"


def price_units(
    prices: NDArray[np.float64], instrument: Instrument, times: NDArray[np.int64], hint: str = _IMPORT_AGAIN
) -> NDArray[np.int64]:
    """Return prices as integers of the instrument's price exponent, checked to convert back to the same floats.

    Raises:
        DataError: a price has more decimals than the instrument's exponent keeps; hint: what mends that.
    """
    scale = float(10**instrument.scale.price)
    units = np.rint(prices * scale)
    exact = units / scale == prices
    if not exact.all():
        at = int(np.argmin(exact))
        raise DataError(
            f"{instrument.id}: the price {float(prices[at])!r} at {format_time(int(times[at]))} "
            f"has more than {instrument.scale.price} decimals",
            hint=hint,
        )
    return units.astype(np.int64)


def quantity_units(quantities: NDArray[np.float64], instrument: Instrument) -> NDArray[np.int64]:
    """Return quantities as integers of the instrument's quantity exponent, shape (n,); what it does not keep is cut.

    What was traded is what we may take at most, so less of it is the safe side.
    """
    scale = float(10**instrument.scale.qty)
    units = np.rint(quantities * scale)
    return (units - (units / scale > quantities)).astype(np.int64)
