"""How much of what trades our orders may take: a cap per candle, consumed once."""

from collections.abc import Mapping

from backtester.core.instruments import Instrument, InstrumentId
from backtester.core.market import MarketCandle, MarketOpen
from backtester.core.numbers import RATE_SCALE
from backtester.execution.pool import NO_CAP, Pool


class Participation:
    """A share (1e-8) of each candle's volume; 0 is no cap.

    At an open the candle that begins has no volume yet: the last that traded says what there is. What was taken there
    is missing along the candle.
    """

    def __init__(self, share: int, instruments: Mapping[InstrumentId, Instrument]) -> None:
        self._share = share
        self._per_unit = {i: int(10**spec.scale.qty) for i, spec in instruments.items()}
        self._at_open: dict[InstrumentId, tuple[int, int, Pool]] = {}  # open time, its quantity, what is left of it

    def at_open(self, opened: MarketOpen) -> Pool:
        """Return what may be taken at an open; no cap when no candle came before."""
        known = opened.volume_before >= 0
        volume = self._units(opened.instrument, opened.volume_before) if known else 0
        if not self._share:
            return Pool(volume=volume, window=opened.ts)
        offered = volume * self._share // RATE_SCALE if known else NO_CAP
        pool = Pool(offered, volume, opened.ts)
        self._at_open[opened.instrument] = (opened.ts, offered, pool)
        return pool

    def along(self, candle: MarketCandle) -> Pool:
        """Return what may be taken along a candle, after its open."""
        volume = self._units(candle.instrument, candle.volume)
        if not self._share:
            return Pool(volume=volume, window=candle.open_time)
        opened, at_open, pool = self._at_open.pop(candle.instrument, (0, 0, Pool()))
        taken = at_open - pool.left if opened == candle.open_time else 0
        return Pool(max(0, volume * self._share // RATE_SCALE - taken), volume, candle.open_time)

    def _units(self, instrument: InstrumentId, volume: float) -> int:
        return round(volume * self._per_unit[instrument])
