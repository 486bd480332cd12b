"""What the names of files say: official archive names in full, other names at least symbol and timeframe."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final

from backtester.core.time import DAY, TIMEFRAMES, parse_time
from backtester.data.schemas import SCHEMAS

MARKETS_OF_FOLDERS: Final[dict[tuple[str, ...], str]] = {
    ("spot",): "spot",
    ("futures", "um"): "um",
    ("futures", "cm"): "cm",
    ("option",): "option",
}
_FREQUENCIES: Final = ("daily", "monthly")
# Types whose folder holds one folder per interval, and whose file names carry the interval instead of the type.
_KLINE_TYPES: Final = ("klines", "markPriceKlines", "indexPriceKlines", "premiumIndexKlines")
_INTERVALS: Final = "|".join(sorted([*TIMEFRAMES, "3d", "1mo"], key=len, reverse=True))
_KLINES_FILE: Final = re.compile(
    rf"(?P<symbol>[^-/\\\s.]+(?:-\d{{6}}-[\d.]+-[CP])?)-(?P<timeframe>{_INTERVALS})-(?P<date>\d{{4}}-\d\d(?:-\d\d)?)"
)
_LOOSE_FILE: Final = re.compile(rf"(?P<symbol>[A-Z0-9]{{3,}})[-_](?P<timeframe>{_INTERVALS})(?=[._-]|$)")
_DATED_FILE: Final = re.compile(r"(?P<symbol>[^-/\\\s.]+)-(?P<type>[A-Za-z]+)-(?P<date>\d{4}-\d\d(?:-\d\d)?)")
SUFFIXES: Final = (".zip", ".csv.gz", ".csv", ".parquet", ".json.gz", ".json")
_PAGES: Final = (".json.gz", ".json")  # pages of a REST interface; their names promise no dates


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What a file's path says; None where it says nothing.

    archive_key: `data/...` when the file lies in a tree laid out as the archive. official: the name is an archive name,
    so the columns are the archive's. start, end: the range [start, end) of its dates, UTC µs.
    """

    market: str | None = None
    kind: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    start: int | None = None
    end: int | None = None
    archive_key: str | None = None
    official: bool = False


def is_page(name: str) -> bool:
    """Say whether a file's name is that of a JSON page."""
    return name.lower().endswith(_PAGES)


def stem_of(name: str) -> str | None:
    """Return a file name without the suffix of a format that can be imported, or None when it has none of these."""
    lower = name.lower()
    return next((name[: -len(suffix)] for suffix in SUFFIXES if lower.endswith(suffix)), None)


def read_name(path: PurePath) -> NameFacts:
    """Return what a file's name and folders say about it."""
    stem = stem_of(path.name)
    if stem is None:
        return NameFacts()
    if is_page(path.name):
        return _read_loose_name(stem)
    tree = _archive_tree(path)
    if tree is None:
        return _read_bare_name(stem)
    market, kind, key = tree
    named = _KLINES_FILE.fullmatch(stem)
    if named is not None and kind in _KLINE_TYPES and _folders_agree(path, named):
        return _dated(named, NameFacts(market, kind, archive_key=key, official=True))
    dated = _DATED_FILE.fullmatch(stem)
    if kind not in _KLINE_TYPES and dated is not None and dated["type"] == kind:
        return _dated(dated, NameFacts(market, kind, archive_key=key, official=True))
    return NameFacts(market, kind, archive_key=key)


def _read_bare_name(stem: str) -> NameFacts:
    """Read a file name whose folders say nothing: an archive name, or at least one that starts like one."""
    named = _KLINES_FILE.fullmatch(stem)
    if named is not None:
        return _dated(named, NameFacts(kind="klines", official=True))
    dated = _DATED_FILE.fullmatch(stem)
    if dated is not None and dated["type"] in SCHEMAS:
        return _dated(dated, NameFacts(kind=dated["type"], official=True))
    return _read_loose_name(stem)


def _read_loose_name(stem: str) -> NameFacts:
    loose = _LOOSE_FILE.match(stem)
    return NameFacts() if loose is None else NameFacts(symbol=loose["symbol"], timeframe=loose["timeframe"])


def _archive_tree(path: PurePath) -> tuple[str, str, str] | None:
    """Return (market, kind, key) of a path such as .../spot/daily/klines/BTCUSDT/1m/x.zip."""
    parts = path.parts
    for at, part in enumerate(parts):
        if part not in _FREQUENCIES or at + 2 >= len(parts):
            continue
        for folders, market in MARKETS_OF_FOLDERS.items():
            if at >= len(folders) and parts[at - len(folders) : at] == folders:
                return market, parts[at + 1], "/".join(("data", *parts[at - len(folders) :]))
    return None


def _folders_agree(path: PurePath, name: "re.Match[str]") -> bool:
    return len(path.parts) >= 3 and path.parts[-3:-1] == (name["symbol"], name["timeframe"])


def _dated(name: "re.Match[str]", facts: NameFacts) -> NameFacts:
    bounds = date_bounds(name["date"])
    if bounds is None:
        return NameFacts(facts.market, facts.kind, archive_key=facts.archive_key)
    timeframe = name.groupdict().get("timeframe")
    return NameFacts(facts.market, facts.kind, name["symbol"], timeframe, *bounds, facts.archive_key, facts.official)


def date_bounds(date: str) -> tuple[int, int] | None:
    """Return [start, end) in UTC µs of YYYY-MM-DD or YYYY-MM, or None when there is no such day or month."""
    try:
        if len(date) == 10:
            start = parse_time(datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC).isoformat())
            return start, start + DAY
        first = datetime.strptime(date, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return None
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return parse_time(first.isoformat()), parse_time(following.isoformat())
