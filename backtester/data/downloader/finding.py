"""Which files an import means, and what is known about each before it is read."""

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backtester.core.errors import DataError, UsageError
from backtester.core.time import timeframe_us
from backtester.data.downloader.archive_names import SUFFIXES, is_page, read_name, stem_of
from backtester.data.partition import market_name, symbol_name
from backtester.data.schemas import KLINES, SCHEMAS

_KEPT_PAGE = re.compile(r"\d{8}T\d{6}-[0-9a-f]{16}\.json\.gz")
_UPPER_CASE = frozenset({"spot", "um", "cm", "option"})


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says about files that do not say it themselves; None says nothing."""

    market: str | None = None
    kind: str | None = None
    symbol: str | None = None
    timeframe: str | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to import. timeframe None: to be inferred from its rows. dates: the range [start, end) its name
    promises.
    """

    path: Path
    address: str
    market: str
    kind: str
    symbol: str
    timeframe: str | None
    dates: tuple[int, int] | None
    official: bool


def find_files(paths: Sequence[Path], options: ImportOptions) -> tuple[list[SourceFile], Counter[str]]:
    """Return the files to import, sorted by series and time, and why others below the folders were skipped, counted.

    A file given by itself must be importable. In a folder laid out as the archive only exact archive names count.

    Raises:
        UsageError: the market or symbol of a file cannot be told, or an option is not allowed or contradicts a name.
        DataError: a path does not exist, or nothing is left to import.
    """
    options = _checked(options)
    skipped: Counter[str] = Counter()
    found: list[SourceFile] = []
    for path in paths:
        if path.is_dir():
            for file in _walk(path):
                reason = _reason_to_skip(file) or _reason_to_skip_page(file)
                if reason is None:
                    found.append(_source_file(file, options))
                else:
                    skipped[reason] += 1
        elif path.is_file():
            reason = _reason_to_skip(path)
            if reason is not None:
                raise UsageError(f"{path} cannot be imported: {reason}", hint=f"files: {' '.join(SUFFIXES)}")
            found.append(_source_file(path, options))
        else:
            raise DataError(f"{path} does not exist", hint="check the path")
    if not found:
        notes = "; ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
        raise DataError(
            f"nothing to import in {', '.join(map(str, paths))}" + (f" (skipped: {notes})" if notes else ""),
            hint=f"files: {' '.join(SUFFIXES)}",
        )
    unique = {file.path.resolve(): file for file in found}
    return sorted(unique.values(), key=_order), skipped


def _checked(options: ImportOptions) -> ImportOptions:
    if options.timeframe is not None:
        timeframe_us(options.timeframe)
    if options.kind is not None and options.kind not in SCHEMAS:
        raise UsageError(f"--kind {options.kind} cannot be imported", hint=f"kinds: {' '.join(SCHEMAS)}")
    return ImportOptions(
        None if options.market is None else market_name(options.market),
        options.kind,
        None if options.symbol is None else symbol_name(options.symbol),
        options.timeframe,
    )


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.is_file():
            yield path


def _reason_to_skip(path: Path) -> str | None:
    if path.name.endswith(".CHECKSUM"):
        return "checksums (compared with the file beside them)"
    if stem_of(path.name) is None:
        return "files of another format"
    facts = read_name(path.absolute())
    if facts.archive_key is None:
        return None
    if facts.kind not in SCHEMAS:
        return f"{facts.kind} files (a kind that cannot be imported yet)"
    return None if facts.official else "files in archive folders without an archive name or of an unknown timeframe"


def _reason_to_skip_page(path: Path) -> str | None:
    """Folders hold JSON of all sorts; a page of rows begins with a bracket."""
    if not is_page(path.name):
        return None
    if _KEPT_PAGE.fullmatch(path.name):
        return "pages that a download kept, whose last candle may not have closed"
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            begins_as_list = file.read(64).lstrip().startswith(b"[")
    except (OSError, EOFError, zlib.error):
        begins_as_list = True  # reading it will say what is wrong
    return None if begins_as_list else "JSON files that are no list of rows"


def _source_file(path: Path, options: ImportOptions) -> SourceFile:
    facts = read_name(path.absolute())
    market = _agreed(path, "market", facts.market, options.market)
    symbol = _agreed(path, "symbol", facts.symbol, options.symbol, sure=facts.official)
    timeframe = _agreed(path, "timeframe", facts.timeframe, options.timeframe, sure=facts.official)
    if market is None:
        raise UsageError(
            f"the market of {path} cannot be told from its path", hint="say it: --market spot, um, cm or a venue's name"
        )
    if symbol is None:
        raise UsageError(f"the symbol of {path} cannot be told from its name", hint="say it: --symbol BTCUSDT")
    if market in _UPPER_CASE:
        symbol = symbol.upper()
    if facts.official and timeframe is not None:
        timeframe_us(timeframe)
    dates = None if facts.start is None or facts.end is None else (facts.start, facts.end)
    return SourceFile(
        path=path,
        address=facts.archive_key or path.name,
        market=market,
        kind=(facts.kind if facts.archive_key else options.kind or facts.kind) or KLINES.kind,
        symbol=symbol_name(symbol),
        timeframe=timeframe,
        dates=dates,
        official=facts.official or is_page(path.name),
    )


def _agreed(path: Path, what: str, named: str | None, said: str | None, *, sure: bool = True) -> str | None:
    """Return what the name or the user says; a sure name that the user contradicts is refused, an unsure one gives
    way.
    """
    if named is not None and said is not None and named != said and sure:
        raise UsageError(f"{path} says {what} {named}, --{what} says {said}", hint=f"leave out --{what}")
    return said if said is not None else named


def _order(file: SourceFile) -> tuple[str, str, str, str, int, str]:
    start = -1 if file.dates is None else file.dates[0]
    return (file.market, file.kind, file.symbol, file.timeframe or "", start, str(file.path))
