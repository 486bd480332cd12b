"""The lake against its source: which archives were published anew, or withdrawn, since their rows were written."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError
from backtester.core.time import format_time
from backtester.data.downloader.archive_facts import ArchiveFacts, read_archive_facts
from backtester.data.downloader.archive_names import NameFacts, read_name
from backtester.data.downloader.asking import Answer, ask
from backtester.data.downloader.patience import Patience
from backtester.data.downloader.refusals import STORE_NAME
from backtester.data.downloader.scripting import run
from backtester.data.downloader.transport import Transport, open_transport
from backtester.data.partition import Partition

_IN_ARCHIVE: Final = "data/"
OnAsked = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class SourceState:
    """One archive that the manifest names, and what its source says of it now; see `asking.Answer`.

    take: the command that takes the new version, only when it changed.
    """

    key: str
    status: str
    had: str
    now: str
    take: str


def diff_sources(
    partitions: Iterable[Partition], cfg: DownloaderConfig, context: RunContext, on_asked: OnAsked | None = None
) -> list[SourceState]:
    """Ask the source at `cfg.base_url` of every archive from which partitions of the lake at `cfg.base_dir` came.

    Returns:
        One state per archive, in order of keys; empty when the partitions came from elsewhere.

    Raises:
        DataError: the source cannot be reached. UsageError: its address cannot be used.
    """
    return run(_ask_all(sorted(_known_versions(partitions).items()), cfg, context, on_asked))


def _known_versions(partitions: Iterable[Partition]) -> dict[str, set[str]]:
    """Return, by key, the SHA-256 of the versions that the lake holds: of each partition the one that came last."""
    known: dict[str, set[str]] = {}
    for partition in partitions:
        last = {source.address: source.sha256 for source in partition.sources}
        for address, sha256 in last.items():
            if address.startswith(_IN_ARCHIVE) and sha256 is not None:
                known.setdefault(address, set()).add(sha256)
    return known


async def _ask_all(
    versions: list[tuple[str, set[str]]], cfg: DownloaderConfig, context: RunContext, on_asked: OnAsked | None
) -> list[SourceState]:
    found: list[SourceState] = []
    waiting = iter(versions)

    async def work(transport: Transport, waiting: Iterator[tuple[str, set[str]]]) -> None:
        for key, known in waiting:
            found.append(await _state(transport, key, known, cfg))
            if on_asked is not None:
                on_asked(len(found), len(versions), PurePosixPath(key).name)

    patience = Patience(cfg, context.seed)
    async with open_transport(cfg.base_url, cfg, patience, allow_net=context.allow_net) as transport:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(cfg.connections, len(versions))):
                    group.create_task(work(transport, waiting))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
    return sorted(found, key=lambda one: one.key)


async def _state(transport: Transport, key: str, known: set[str], cfg: DownloaderConfig) -> SourceState:
    facts = read_archive_facts(cfg.base_dir / STORE_NAME / key)
    answer = await ask(transport, key, known | _taken_again(facts), facts, cfg.base_url)
    take = _command(read_name(PurePosixPath(key)), cfg) if answer.status == "changed" else ""
    return _told(key, answer, take)


def _taken_again(facts: ArchiveFacts | None) -> set[str]:
    """Return the version that a later download wrote; when its rows were the lake's own no partition names it."""
    return {facts.sha256} if facts is not None and facts.in_lake else set()


def _told(key: str, answer: Answer, take: str) -> SourceState:
    return SourceState(key, answer.status, answer.had, answer.now, take)


def _command(name: NameFacts, cfg: DownloaderConfig) -> str:
    """Return the command that fetches one archive again and lets its rows win."""
    if name.start is None or name.end is None or name.symbol is None:
        raise DataError(f"{name.archive_key} is not the name of an archive", hint="bt data verify")
    parts = ["bt download", f"--market {name.market}", f"--kind {name.kind}", f"--symbols {name.symbol}"]
    if name.timeframe is not None:
        parts.append(f"--timeframe {name.timeframe}")
    parts += [f"--start {format_time(name.start)}", f"--end {format_time(name.end)}", "--recheck --replace"]
    parts.append(f"--data {cfg.base_dir}")
    if cfg.base_url != DownloaderConfig.model_fields["base_url"].default:
        parts.append(f"--base-url {cfg.base_url}")
    return " ".join(parts)
