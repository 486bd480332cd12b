"""The lake's rules on disk: `rules/<market>.jsonl`, a line per symbol, kind and version; and how versions merge.

A version is what answers of one or more dates said alike. All those dates are kept, so that an answer that is imported
later, of a date between two of them, splits the version; the order of imports decides nothing. The file is written
anew and renamed into place under the lake's lock: a reader finds it as it was before or after.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from backtester.core.errors import DataError
from backtester.core.time import format_time
from backtester.data.durable import make_folder, replace_file, storing, sync_file
from backtester.data.rules.values import KIND_OF, KINDS, Value

FOLDER: Final = "rules"
_PREFIX: Final = b'{"symbol":"'
_ENCODER: Final = msgspec.json.Encoder()

Key = tuple[str, str]  # symbol, kind


class Sighting(NamedTuple):
    """An answer that said so: of when (UTC µs), from which file or address, with the SHA-256 of its bytes."""

    date: int
    file: str
    sha256: str


class StoredVersion(NamedTuple):
    """A value, and the answers that said it, one after the other; the first dates it."""

    symbol: str
    value: Value
    seen: tuple[Sighting, ...]

    @property
    def kind(self) -> str:
        """The kind of its value."""
        return KIND_OF[type(self.value)]

    @property
    def date(self) -> int:
        """From when on it is known to hold, UTC µs."""
        return self.seen[0].date


class _Header(msgspec.Struct):
    """The first line: the answers that the versions name by number."""

    sources: list[tuple[str, str]]


class _Line(msgspec.Struct):
    symbol: str
    kind: str
    seen: list[tuple[int, int]]
    value: msgspec.Raw


class StoredRules:
    """The file of one market, read once. Its lines are sorted: a symbol's are found without looking at the others."""

    def __init__(self, root: Path, market: str) -> None:
        """Read a market's rules; a lake without any has none.

        Raises:
            DataError: the file is damaged or cannot be read.
        """
        self.path = rules_path(root, market)
        self._sources: list[tuple[str, str]] = []
        self._content = b""
        self._begin = self._end = 0  # of the lines after the first; what follows the last newline is a torn line
        try:
            self._content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}", hint="check its permissions") from error
        self._begin, self._end = self._content.find(b"\n") + 1, self._content.rfind(b"\n") + 1
        try:
            self._sources = msgspec.json.decode(self._content[: self._begin], type=_Header).sources
        except msgspec.DecodeError as error:
            raise self._damaged(error) from None

    @property
    def symbols(self) -> list[str]:
        """The symbols of which anything is known, sorted.

        Raises:
            DataError: a line is damaged.
        """
        return list(dict.fromkeys(version.symbol for version in self.all_versions()))

    def versions(self, symbol: str) -> list[StoredVersion]:
        """Return what is known of a symbol, by kind and date.

        Raises:
            DataError: a line is damaged.
        """
        name = symbol.encode()
        low, high = self._begin, self._end
        while low < high:  # the first line whose symbol is not before this one begins in [low, high]
            start, end = self._line_around((low + high) // 2)
            if self._symbol_in(start) < name:
                low = end
            else:
                high = start
        found = []
        while low < self._end and self._symbol_in(low) == name:
            start, low = self._line_around(low)
            found.append(self._decoded(self._content[start:low]))
        return found

    def all_versions(self) -> list[StoredVersion]:
        """Return everything, by symbol, kind and date.

        Raises:
            DataError: a line is damaged.
        """
        return [self._decoded(line) for line in self._content[self._begin : self._end].splitlines()]

    def _line_around(self, position: int) -> tuple[int, int]:
        """Return where the line that has this byte begins, and where the next one does."""
        return self._content.rfind(b"\n", 0, position) + 1, self._content.index(b"\n", position) + 1

    def _symbol_in(self, start: int) -> bytes:
        """Return the symbol of the line that begins here."""
        begin = start + len(_PREFIX)
        return self._content[begin : self._content.find(b'"', begin)]

    def _decoded(self, line: bytes) -> StoredVersion:
        try:
            raw = msgspec.json.decode(line, type=_Line)
            value: Any = msgspec.json.decode(raw.value, type=KINDS[raw.kind])
            seen = tuple(Sighting(date, *self._sources[source]) for date, source in raw.seen)
            return StoredVersion(raw.symbol, value, seen)
        except (msgspec.DecodeError, KeyError, IndexError) as error:
            raise self._damaged(error) from None

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"{self.path} is damaged: {error!r}",
            hint="take it away and import the answers again: bt data rules import FILES",
        )


def rules_path(root: Path, market: str) -> Path:
    """Return the file of a market's rules."""
    return root / FOLDER / f"{market}.jsonl"


def merged(
    known: Iterable[StoredVersion], said: Mapping[str, Value], sighting: Sighting, *, replace: bool = False
) -> list[StoredVersion]:
    """Return the versions with one more answer taken into account.

    Args:
        known: of one market, sorted by symbol, kind and date.
        said: what the answer says, by symbol; all of one kind.
        sighting: the answer.
        replace: lets the answer win over a different one of the same date.

    Raises:
        DataError: another answer of the same date says something else.
    """
    by_key: dict[Key, list[StoredVersion]] = {}
    for version in known:
        by_key.setdefault((version.symbol, version.kind), []).append(version)
    for symbol, value in said.items():
        key = (symbol, KIND_OF[type(value)])
        by_key[key] = _with(by_key.get(key, []), symbol, value, sighting, replace=replace)
    return [version for key in sorted(by_key) for version in by_key[key]]


def _with(
    versions: list[StoredVersion], symbol: str, value: Value, sighting: Sighting, *, replace: bool
) -> list[StoredVersion]:
    """Return the versions of one symbol and kind with one more sighting: runs of equal values, in time order."""
    by_date = {seen.date: (version.value, seen) for version in versions for seen in version.seen}
    there = by_date.get(sighting.date)
    read_again = there is not None and there[1].sha256 == sighting.sha256  # by a program that reads more of an answer
    if there is not None and there[0] != value and not (replace or read_again):
        raise DataError(
            f"{symbol}: {sighting.file} and {there[1].file} say different things of {format_time(sighting.date)}",
            hint="--replace lets the new one win; --date gives an answer without a time another date",
        )
    if there is None or there[0] != value:
        by_date[sighting.date] = (value, sighting)
    ordered = [by_date[date] for date in sorted(by_date)]
    runs = []
    for _, run in groupby(ordered, key=lambda pair: pair[0]):
        pairs = list(run)
        runs.append(StoredVersion(symbol, pairs[0][0], tuple(seen for _, seen in pairs)))
    return runs


def write_rules(root: Path, market: str, versions: Iterable[StoredVersion]) -> None:
    """Write a market's rules in place of what was there. The caller holds the lake's lock since it read them.

    Raises:
        StorageError: the disk refuses; the rules are then as they were before.
    """
    path = rules_path(root, market)
    kept = list(versions)
    sources = sorted({(seen.file, seen.sha256) for version in kept for seen in version.seen})
    numbers = {source: number for number, source in enumerate(sources)}
    lines = [_ENCODER.encode(_Header(sources))]
    for version in kept:
        seen = [(one.date, numbers[one.file, one.sha256]) for one in version.seen]
        line = _Line(version.symbol, version.kind, seen, msgspec.Raw(_ENCODER.encode(version.value)))
        lines.append(_ENCODER.encode(line))
    temporary = path.with_name(f".{path.name}.tmp")
    with storing(path):
        make_folder(path.parent)
        temporary.write_bytes(b"\n".join(lines) + b"\n")
        sync_file(temporary)
        replace_file(temporary, path)
