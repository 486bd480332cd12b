"""Which series of a lake somebody means."""

from dataclasses import dataclass

from backtester.data.partition import Partition


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """What a series must have; None means any."""

    market: str | None = None
    kind: str | None = None
    symbol: str | None = None
    timeframe: str | None = None

    def takes(self, partition: Partition) -> bool:
        """Say whether a partition belongs to such a series."""
        wanted = (self.market, self.kind, self.symbol, self.timeframe)
        return all(want in {None, have} for want, have in zip(wanted, partition.series, strict=True))
