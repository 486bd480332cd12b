"""Answers of the venue into the lake: read them all first, then write what they say, a market at a time."""

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from backtester.core.errors import DataError, UsageError
from backtester.data.manifest_writer import lake_lock
from backtester.data.rules.answers import MARKETS, Answer, read_answer
from backtester.data.rules.store import Sighting, StoredRules, merged, write_rules


class Source(NamedTuple):
    """The bytes of an answer and the name of its file or address."""

    name: str
    content: bytes


class Imported(NamedTuple):
    """What one answer brought. date: UTC µs. new: versions that the lake did not have; of the other symbols it says
    what was known.
    """

    file: str
    market: str
    kind: str
    date: int
    symbols: int
    new: int


def file_sources(paths: Iterable[Path]) -> list[Source]:
    """Return files as answers.

    Raises:
        UsageError: one cannot be read.
    """
    found = []
    for path in paths:
        try:
            found.append(Source(path.name, path.read_bytes()))
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read: {error.strerror}", hint="name the JSON files themselves, plain or .gz"
            ) from None
    return found


def import_rules(
    sources: Iterable[Source],
    root: Path,
    *,
    market: str = "",
    date: int | None = None,
    symbols: Collection[str] = (),
    replace: bool = False,
) -> list[Imported]:
    """Write what answers say to the lake; if one is refused, nothing is written.

    Args:
        sources: exchangeInfo, leverageBracket, fundingInfo, tradeFee, commissionRate; JSON, plain or gzipped.
        root: the lake.
        market: what all of them must be of; by default their content tells.
        date: UTC µs; when those were true that do not say so themselves.
        symbols: those to keep; all when empty.
        replace: lets an answer win over a different one of the same date.

    Raises:
        DataError: an answer is not known, broken, or contradicts one of the same date; or no answer has a symbol.
        UsageError: an answer bears no date and none was given. StorageError: the disk refuses.
    """
    if market and market not in MARKETS:
        raise UsageError(f"there are no rules of market {market!r}", hint=f"allowed: {' '.join(MARKETS)}")
    read = [
        (answer, hashlib.sha256(source.content).hexdigest())
        for source in sources
        for answer in [read_answer(source.content, source.name, market=market, date=date, symbols=symbols)]
    ]
    _check_symbols([answer for answer, _ in read], symbols)
    report = []
    with lake_lock(root):
        for name in sorted({answer.market for answer, _ in read}):
            stored = StoredRules(root, name)
            before = versions = stored.all_versions()
            for answer, sha256 in read:
                if answer.market == name:
                    known = {(v.symbol, v.date, v.value) for v in versions}
                    sighting = Sighting(answer.date, answer.name, sha256)
                    versions = merged(versions, answer.values, sighting, replace=replace)
                    new = len({(v.symbol, v.date, v.value) for v in versions} - known)
                    report.append(Imported(answer.name, name, answer.kind, answer.date, len(answer.values), new))
            if versions != before:
                write_rules(root, name, versions)
    return report


def _check_symbols(answers: list[Answer], symbols: Collection[str]) -> None:
    """Refuse symbols that no answer names: a misspelt one would be missed only later."""
    there = {symbol for answer in answers for symbol in answer.values}
    missing = sorted(set(symbols) - there)
    if missing:
        names = ", ".join(answer.name for answer in answers)
        raise DataError(f"{' '.join(missing)} not in {names}", hint="symbols are written as the venue does: BTCUSDT")
