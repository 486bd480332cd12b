"""At which prices the instruments of a run begin."""

from collections.abc import Mapping

from backtester.core.instruments import Instrument, InstrumentId, split_id
from backtester.core.numbers import HALF_EVEN, MONEY_EXPONENT, decimal_of, units_of
from backtester.data.lake import Lake
from backtester.data.schemas import KLINES


def first_open(lake: Lake, spec: Instrument, source: str, start: int, end: int, exponent: int) -> int:
    """Return the first open (10^-exponent) in [start, end), 0 when there is none; source: the candles that execute."""
    for batch in lake.read(spec.market, KLINES.kind, split_id(spec.listed)[1], source, start, end, names=["open"]):
        for price in batch["open"][:1].tolist():
            return units_of(decimal_of(price), exponent, HALF_EVEN)
    return 0


def coin_prices(
    lake: Lake,
    instruments: Mapping[InstrumentId, Instrument],
    sources: Mapping[InstrumentId, str],
    start: int,
    end: int,
) -> dict[InstrumentId, int]:
    """Return the first open (1e-8) of what settles in coin."""
    prices = {
        i: first_open(lake, spec, sources[i], start, end, MONEY_EXPONENT)
        for i, spec in instruments.items()
        if spec.is_inverse
    }
    return {i: price for i, price in prices.items() if price}
