"""Mending the lake: gaps are filled from whoever has the rows, or recorded as outages when nobody has them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Literal

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError
from backtester.core.time import DAY, month_of, timeframe_us
from backtester.data.downloader.batches import LOCK_SECONDS, WriteReport
from backtester.data.downloader.damage import Rebuilt, rebuild_partition
from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.gap_sources import Asked, GapSources
from backtester.data.downloader.rows import Series
from backtester.data.downloader.scripting import run
from backtester.data.downloader.sources.collecting import put
from backtester.data.gaps import Gap, count_missing, without
from backtester.data.lake import Lake, series_gaps
from backtester.data.manifest_writer import ManifestWriter, now_us
from backtester.data.partition import Outage, Partition
from backtester.data.schemas import schema_of

SETTLED_AFTER: Final = 2 * DAY  # archives appear a day later, at times two: what is younger is no outage yet
_ANSWERS: Final = 4  # are told in words
Outcome = Literal["mended", "outage", "left", "planned"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which series are to be mended; None means all. again: gaps that are recorded as outages are asked for again."""

    market: str | None = None
    kind: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    again: bool = False

    def takes(self, partition: Partition) -> bool:
        """Say whether a partition is meant."""
        mine = (self.market, self.kind, self.symbol, self.timeframe)
        return all(wish in {None, value} for wish, value in zip(mine, partition.series, strict=True))


@dataclass(frozen=True, slots=True)
class MendedGap:
    """A part [start, end) of a gap, UTC µs, and what became of it. missing: its candles. reason: who answered what."""

    market: str
    kind: str
    symbol: str
    timeframe: str
    start: int
    end: int
    missing: int
    outcome: Outcome
    reason: str


@dataclass(slots=True)
class RepairReport:
    """What a repair did to gaps and to damaged partitions."""

    gaps: list[MendedGap] = field(default_factory=list)
    partitions: list[Rebuilt] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many gaps and partitions are neither mended nor recorded."""
        outcomes = [one.outcome for one in self.gaps] + [one.outcome for one in self.partitions]
        return sum(outcome in {"left", "planned"} for outcome in outcomes)


def repair(
    choice: Choice,
    cfg: DownloaderConfig,
    context: RunContext,
    *,
    dry_run: bool = False,
    on_series: Callable[[str], None] | None = None,
    now: Callable[[], int] = now_us,
) -> RepairReport:
    """Mend damaged partitions, then fill unknown gaps of candles; what nobody has is recorded as an outage.

    A gap counts as one that nobody has only when every source that could have it was reached and said so, and when it
    is older than SETTLED_AFTER. Killed at any point, the lake is whole, and doing it again goes on.

    Raises:
        DataError: the lake has no such series. StorageError: the lake cannot be written.
    """
    report = RepairReport()
    log = DownloadLog(cfg.log_dir, cfg.download_run_id)
    lake = Lake(cfg.base_dir)
    chosen = [partition for partition in lake.all_partitions() if choice.takes(partition)]
    if not chosen:
        raise DataError(f"{cfg.base_dir} has no such series", hint=f"bt data ls --data {cfg.base_dir}")
    for damage in lake.verify(chosen):
        if on_series is not None:
            on_series(damage.partition.path)
        report.partitions.append(
            Rebuilt(damage.partition.path, damage.text, "planned", "")
            if dry_run
            else run(rebuild_partition(damage, cfg, context, log, now))
        )
    sources = GapSources(cfg, context, log, now)
    for series, gaps in _gaps(Lake(cfg.base_dir), choice):
        if on_series is not None:
            on_series(str(series))
        if dry_run:
            names = ", ".join(sources.names(series)) or "nobody: no source of this market is known here"
            report.gaps += [_outcome(series, gap, "planned", f"would ask {names}") for gap in gaps]
            continue
        for _, group in groupby(gaps, key=lambda gap: month_of(gap[0])):
            asked = run(sources.ask(series, list(group)))
            report.gaps += _settle(series, asked, cfg, log, now())
    return report


def _gaps(lake: Lake, choice: Choice) -> Iterator[tuple[Series, list[Gap]]]:
    """Yield the series of candles that have gaps between their first and last row, with these gaps."""
    chosen = [p for p in lake.all_partitions() if choice.takes(p) and schema_of(p.kind).gridded]
    for key, group in groupby(chosen, key=lambda partition: partition.series):
        own = list(group)
        if any(partition.synthetic for partition in own):
            continue
        known = [] if choice.again else [(one.start, one.end) for one in lake.outages(*key)]
        gaps = without(series_gaps(own), known)
        if gaps:
            yield Series(*key), gaps


def _settle(series: Series, asked: list[Asked], cfg: DownloaderConfig, log: DownloadLog, now: int) -> list[MendedGap]:
    """Write what was found, record what nobody has, and return what became of each gap."""
    found = [clean for one in asked for clean in one.found]
    outcomes: list[MendedGap] = []
    with ManifestWriter(cfg.base_dir, wait_seconds=LOCK_SECONDS) as writer:
        try:
            if found:
                put(writer, series, found, log, WriteReport())
        except DataError as error:
            return [_outcome(series, one.gap, "left", error.message) for one in asked]
        recorded = {(one.start, one.end) for one in writer.outages if one.series == _key(series)}
        for one in asked:
            reason = "; ".join(one.answers[:_ANSWERS])
            if len(one.answers) > _ANSWERS:
                reason += f"; and {len(one.answers) - _ANSWERS} more answers, the last: {one.answers[-1]}"
            for part in without([one.gap], one.left):
                outcomes.append(_outcome(series, part, "mended", _origins(one)))
            for part in one.left:
                if not one.answered:
                    outcomes.append(_outcome(series, part, "left", reason))
                elif part[1] > now - SETTLED_AFTER:
                    young = "it is younger than two days, so the archive may still bring it"
                    outcomes.append(_outcome(series, part, "left", f"{reason}; {young}"))
                else:
                    outcomes.append(_outcome(series, part, "outage", reason))
                    log.note("outage", series=str(series), start=part[0], end=part[1], reason=reason)
                    if part not in recorded:
                        writer.note(Outage(*_key(series), *part, reason, now))
    return sorted(outcomes, key=lambda one: one.start)


def _origins(one: Asked) -> str:
    return ", ".join(dict.fromkeys(clean.source.address.partition("?")[0] for clean in one.found))


def _outcome(series: Series, gap: Gap, outcome: Outcome, reason: str) -> MendedGap:
    missing = count_missing([gap], timeframe_us(series.timeframe))
    return MendedGap(*_key(series), *gap, missing, outcome, reason)


def _key(series: Series) -> tuple[str, str, str, str]:
    return (series.market, series.kind, series.symbol, series.timeframe)
