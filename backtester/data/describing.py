"""What the manifest says about rows, gathered while they pass."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.decimals import MAX_PRICE_DECIMALS, MAX_VOLUME_DECIMALS, DecimalsNeeded
from backtester.data.durable import file_sha256
from backtester.data.gaps import Gap, gaps_of
from backtester.data.partition import Partition, Source, partition_path
from backtester.data.schemas import SCHEMA_VERSION, Columns, ContentDigest, schema_of


class FileFacts(msgspec.Struct, frozen=True):
    """What a partition file says about itself, because its rows cannot."""

    market: str
    kind: str
    symbol: str
    timeframe: str
    schema_version: int
    sources: tuple[Source, ...]
    repairs: dict[str, int]


class Description:
    """Everything that a manifest record says about the rows of one partition, which come sorted, in blocks."""

    def __init__(self, kind: str, timeframe: str) -> None:
        self._schema = schema_of(kind)
        self._timeframe = timeframe
        self._digest = ContentDigest(self._schema)
        self._prices = DecimalsNeeded(MAX_PRICE_DECIMALS)
        self._volumes = DecimalsNeeded(MAX_VOLUME_DECIMALS)
        self._gaps: list[Gap] = []
        self._first = self._last = 0
        self.rows = 0

    def update(self, columns: Columns) -> None:
        """Take the next rows, at least one, into account."""
        key = columns[self._schema.key]
        self._digest.update(columns)
        for counter, names in self._counted():
            for name in names:
                counter.update(columns[name])
        self._gaps += gaps_of(np.concatenate([[self._last], key]) if self.rows else key, self._timeframe)
        self._first = self._first if self.rows else int(key[0])
        self._last = int(key[-1])
        self.rows += len(key)

    def record(self, facts: FileFacts, created: int, path: Path, blocks: Callable[[], Iterable[Columns]]) -> Partition:
        """Return the manifest record of a finished file that holds these rows, at least one.

        blocks: yields all rows again, for the rare values that one look does not settle.

        Raises:
            DataError: a price needs more than 12 decimals.
        """
        for counter, names in self._counted():
            if not counter.is_sure:
                counter.recount(partial(_values, blocks, names))
        if self._prices.decimals is None:
            raise DataError(
                f"{facts.market}:{facts.symbol}: prices need more than {MAX_PRICE_DECIMALS} decimals",
                hint="import with --price-decimals N to round them",
            )
        return Partition(
            path=partition_path(
                facts.market, facts.kind, facts.symbol, facts.timeframe, self._first, daily=self._schema.daily
            ),
            market=facts.market,
            kind=facts.kind,
            symbol=facts.symbol,
            timeframe=facts.timeframe,
            first_time=self._first,
            last_time=self._last,
            rows=self.rows,
            size=path.stat().st_size,
            sha256=file_sha256(path),
            content=self._digest.hexdigest(),
            sources=facts.sources,
            schema_version=SCHEMA_VERSION,
            gaps=tuple(self._gaps),
            repairs=facts.repairs,
            price_decimals=self._prices.decimals,
            volume_decimals=None if self._schema.volume is None else self._volumes.decimals,
            created=created,
        )

    def _counted(self) -> tuple[tuple[DecimalsNeeded, tuple[str, ...]], ...]:
        volume = self._schema.volume
        return (self._prices, self._schema.prices), (self._volumes, () if volume is None else (volume,))


def describe(path: Path, columns: Columns, facts: FileFacts, created: int) -> Partition:
    """Return the manifest record of a finished file that holds these rows, at least one.

    Raises:
        DataError: a price needs more than 12 decimals.
    """
    description = Description(facts.kind, facts.timeframe)
    description.update(columns)
    return description.record(facts, created, path, lambda: [columns])


def _values(blocks: Callable[[], Iterable[Columns]], names: Sequence[str]) -> Iterator[NDArray[Any]]:
    return (block[name] for block in blocks() for name in names)
