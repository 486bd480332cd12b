"""A lake that ends at an instant, or goes on otherwise: a layer over the real one, which nothing writes to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from backtester.core.time import timeframe_us
from backtester.data.feeds.records import RECORD_KINDS
from backtester.data.lake import Lake
from backtester.data.schemas import ROW_GROUP_ROWS, Schema, schema_of
from backtester.engine.check.poison import Columns, Mirror
from backtester.engine.mark_paths import mark_paths
from backtester.engine.prepare import PreparedRun

_ROWS_AFTER = 2048  # of another future that a strategy could find, per series


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the past ends.

    time: UTC µs; what is known then stays as it is. opens: whether the opens of the candles under way stay too: they
    are known in the same tick, after its decisions. seed: of another future; None for none at all.
    """

    time: int
    opens: bool
    seed: int | None = None


class CutLake(Lake):
    """The rows of another lake as far as they are known at a cut, then a made-up future, or nothing.

    It shares the other's manifest and what it has checked; memory holds one batch more.
    """

    def __init__(self, lake: Lake, cut: Cut) -> None:
        self.__dict__.update(lake.__dict__)
        self._read = {}
        self._cut = cut

    def read(
        self,
        market: str,
        kind: str,
        symbol: str,
        timeframe: str,
        start: int,
        end: int,
        *,
        names: Sequence[str] | None = None,
        batch_rows: int = ROW_GROUP_ROWS,
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield what is known at the cut as it is, and what comes after as the cut has it; see `Lake.read`."""
        schema, series = schema_of(kind), (market, kind, symbol, timeframe)
        record = RECORD_KINDS.get(kind)
        delay = (timeframe_us(timeframe) if timeframe else 0) + (record.delay if record else 0)
        batches = super().read(*series, start, end, names=names, batch_rows=batch_rows)
        left = _ROWS_AFTER
        mirror: Mirror | None = None
        for columns in batches:
            known = int(np.searchsorted(columns[schema.key] + delay, self._cut.time, side="right"))
            if known:
                yield {name: values[:known] for name, values in columns.items()}
            if known == len(columns[schema.key]):
                continue
            future = {name: values[known : known + left] for name, values in columns.items()}
            if self._cut.seed is None:
                if self._cut.opens and schema.gridded and int(future[schema.key][0]) <= self._cut.time:
                    yield _flat({name: values[:1] for name, values in future.items()})
                return
            mirror = mirror or self._mirror(schema, series)
            left -= len(future[schema.key])
            yield mirror.turned(future)  # its first open is the real one: that price is where it is mirrored
            if left <= 0:
                return

    def _mirror(self, schema: Schema, series: tuple[str, str, str, str]) -> Mirror:
        named = blake2b(f"{self._cut.seed}/{self._cut.time}".encode(), digest_size=8).digest()
        power = 1 + int.from_bytes(named) / 2**64  # the same of all series
        own = blake2b(named + "/".join(series).encode(), digest_size=8).digest()
        decimals = max(partition.price_decimals for partition in self.partitions(*series))
        return Mirror(schema, power, np.random.default_rng(int.from_bytes(own)), decimals)


def _flat(row: Columns) -> Columns:
    """Return a candle of which nothing is known but its open."""
    return {**row, **{name: row["open"] for name in ("high", "low", "close") if name in row and "open" in row}}


def cut_run(run: PreparedRun, cut: Cut) -> PreparedRun:
    """Return a run over a lake that ends, or goes on otherwise, at a cut; what was read in advance is cut likewise."""
    lake = CutLake(run.lake, cut)
    sources = {item.instrument: item.stored_timeframe for item in run.series}
    marked = {instrument: run.instruments[instrument] for instrument in run.marks}
    funding = run.funding
    if funding is not None:
        dues = [due for due in funding.dues if due.ts <= cut.time]
        if cut.seed is not None:
            later = (due for due in funding.dues if due.ts > cut.time)
            dues += [structs.replace(due, rate_units=-due.rate_units) for due in later]
        funding = funding._replace(dues=dues)
    return run._replace(lake=lake, funding=funding, marks=mark_paths(lake, marked, sources, run.start, run.end))
