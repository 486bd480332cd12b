"""What a lake knows of a venue's rules, for people: summaries, and what changed from version to version."""

import difflib
from typing import Any, Final, NamedTuple

import msgspec

from backtester.core.errors import DataError
from backtester.core.instruments import split_id
from backtester.core.time import format_time
from backtester.core.timeline import Timeline
from backtester.data.rules.lake_rules import LakeRules
from backtester.data.rules.store import Sighting, StoredVersion

Flat = dict[str, str]

_TIMES: Final = frozenset({"onboard", "delivery", "expiry"})


class Summary(NamedTuple):
    """One kind of one market. first, last: dates of the first and the last answer, UTC µs."""

    market: str
    kind: str
    symbols: int
    versions: int
    first: int
    last: int


class VersionView(NamedTuple):
    """One version. date, last_seen: of the first and the last answer that says so, UTC µs. changed: old and new text
    of what differs from the version before.
    """

    kind: str
    date: int
    last_seen: int
    source: Sighting
    value: Any
    changed: dict[str, tuple[str, str]]


def summaries(lake: LakeRules) -> list[Summary]:
    """Return what the lake has, by market and kind.

    Raises:
        DataError: a file is damaged.
    """
    found = []
    for market in lake.markets():
        by_kind: dict[str, list[StoredVersion]] = {}
        for version in lake.market(market).all_versions():
            by_kind.setdefault(version.kind, []).append(version)
        for kind, versions in sorted(by_kind.items()):
            first, last = min(v.date for v in versions), max(v.seen[-1].date for v in versions)
            found.append(Summary(market, kind, len({v.symbol for v in versions}), len(versions), first, last))
    return found


def version_views(lake: LakeRules, instrument: str, at: int | None = None) -> list[VersionView]:
    """Return the versions of an instrument by kind and date; with a time, those that hold then.

    Raises:
        DataError: the lake knows nothing of the instrument.
    """
    versions = lake.versions(instrument)
    if not versions:
        raise _unknown(lake, instrument)
    views: list[VersionView] = []
    for version in versions:
        before = views[-1].value if views and views[-1].kind == version.kind else None
        value = msgspec.to_builtins(version.value)
        changed = {} if before is None else _changed(_flat(before), _flat(value))
        views.append(VersionView(version.kind, version.date, version.seen[-1].date, version.seen[0], value, changed))
    if at is None:
        return views
    kinds = dict.fromkeys(view.kind for view in views)
    return [Timeline((v.date, v) for v in views if v.kind == kind).at(at) for kind in kinds]


def in_words(view: VersionView) -> Flat:
    """Return all that a version says, as texts by name."""
    return _flat(view.value)


def _unknown(lake: LakeRules, instrument: str) -> DataError:
    market, symbol = split_id(instrument)
    there = lake.market(market).symbols
    if not there:
        known = " ".join(lake.markets()) or "none"
        return DataError(
            f"the lake has no rules of market {market} (it has: {known})",
            hint=f"bt data rules fetch --market {market}, or bt data rules import FILES",
        )
    near = difflib.get_close_matches(symbol.upper(), there, n=1, cutoff=0.6)
    guess = f"; did you mean {near[0]}?" if near else ""
    return DataError(
        f"the lake has no rules of {instrument}{guess} ({len(there):,} symbols of {market} are there)",
        hint="bt data rules ls shows what there is; bt data rules import FILES adds to it",
    )


def _flat(value: Any, name: str = "") -> Flat:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{name}.{key}" if name else key).items()}
    if isinstance(value, list):
        return {k: v for n, item in enumerate(value, 1) for k, v in _flat(item, f"{name} {n}").items()}
    if name.rpartition(".")[2] in _TIMES:
        return {name: format_time(value)}
    return {name: str(value).lower() if isinstance(value, bool) else str(value)}


def _changed(before: Flat, after: Flat) -> dict[str, tuple[str, str]]:
    names = list(dict.fromkeys([*before, *after]))
    return {n: (before.get(n, "-"), after.get(n, "-")) for n in names if before.get(n) != after.get(n)}
