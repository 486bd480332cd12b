"""Which runs of a folder are meant, and in what order they stand."""

import difflib
import operator
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from backtester.core.errors import UsageError
from backtester.core.time import parse_time, span_us, utc
from backtester.engine.run_summaries import COLUMNS, Row, Summaries, number

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
_CONDITION = re.compile(r"\s*([\w.]+)\s*(>=|<=|>|<|=)\s*(\S+)\s*")


class Choice(NamedTuple):
    """What runs must have; empty means any. where: conditions on figures and columns: "sharpe>1", "n_trades>=30"."""

    strategy: str = ""
    symbol: str = ""
    status: str = ""
    since: str = ""
    where: Sequence[str] = ()
    sort: str = ""
    ascending: bool = False
    limit: int = 0


def chosen(found: Summaries, choice: Choice) -> list[Row]:
    """Return the rows that are meant: newest first, or by what `sort` names, highest first; those without a value last.

    Raises:
        UsageError: a condition, a column or a time is none.
    """
    since = _since(choice.since)
    conditions = [_condition(text, found) for text in choice.where]
    rows = [
        row
        for row in reversed(found.rows)
        if choice.strategy in ("", row["strategy"])
        and (not choice.symbol or _has(row, choice.symbol))
        and choice.status in ("", row["status"])
        and row["started"] >= since
        and all(condition(row) for condition in conditions)
    ]
    if choice.sort:
        name = known_column(choice.sort, found)
        there = [row for row in rows if row.get(name)]
        there.sort(key=lambda row: _order(row[name]), reverse=not choice.ascending)
        rows = there + [row for row in rows if not row.get(name)]
    elif choice.ascending:
        rows.reverse()
    return rows[: choice.limit or None]


def known_column(name: str, found: Summaries) -> str:
    """Return a column's name.

    Raises:
        UsageError: the runs have no such column.
    """
    there = [*COLUMNS, *found.figures]
    if name not in there:
        near = difflib.get_close_matches(name, there, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"runs have no {name!r}", hint=f"{meant}there are: {', '.join(there)}")
    return name


def _condition(text: str, found: Summaries) -> Callable[[Row], bool]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--where {text!r} is no condition", hint="for example --where 'sharpe>1' --where 'n_trades>=30'"
        )
    name, sign, wanted = match.groups()
    known_column(name, found)
    compare, limit = _OPERATORS[sign], number(wanted)

    def holds(row: Row) -> bool:
        text = row.get(name, "")
        value = number(text)
        return bool(text) and (compare(text, wanted) if value is None or limit is None else compare(value, limit))

    return holds


def _order(text: str) -> tuple[bool, float, str]:
    value = number(text)
    return (value is not None, value or 0.0, text)


def _has(row: Row, symbol: str) -> bool:
    return any(symbol.lower() in (name.lower(), name.lower().partition(":")[2]) for name in row["symbols"].split())


def _since(text: str) -> str:
    """Return a time, or so long ago, as `started` is written."""
    if not text:
        return ""
    try:
        since = time.time_ns() // 1000 - span_us(text)
    except ValueError:
        since = parse_time(text)
    return f"{utc(since):%Y-%m-%dT%H:%M:%SZ}"


def runs_or_error(runs: Path) -> Path:
    """Return a folder of runs.

    Raises:
        UsageError: there is none.
    """
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}", hint="bt run makes one; --runs DIR says where runs are")
    return runs
