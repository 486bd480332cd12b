"""One row per identity: identical rows become one, different ones are a conflict."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.data.downloader.rows import Rows
from backtester.data.ordering import changes, order_of, rises


@dataclass(frozen=True, slots=True)
class Merged:
    """rows: sorted by identity; duplicates: how many rows were dropped because an equal one stays.

    conflicts: index pairs into `ordered`, first two differing rows of each identity that has them, shape (k, 2).
    unclear: per row of `ordered`, whether its identity has a conflict. While there are conflicts, `rows` is not to be
    used.
    """

    rows: Rows
    duplicates: int
    ordered: Rows
    conflicts: NDArray[np.int64]
    unclear: NDArray[np.bool_]


def is_sorted(keys: NDArray[np.int64]) -> bool:
    """Say whether keys never fall."""
    return bool(np.all(keys[1:] >= keys[:-1]))


def merge_rows(rows: Rows) -> Merged:
    """Sort rows by identity and keep one of each.

    Rows of one identity are the same when every column is equal or unknown on one side; the row that stays takes each
    value from the first row that knows it. Rows keep their order within an identity.
    """
    if rises(rows.identity):
        return _untouched(rows)
    order = order_of(rows.identity)
    ordered = rows if order is None else rows.take(order)
    is_first = changes(ordered.identity)
    length = len(ordered)
    if bool(is_first.all()):
        return _untouched(ordered)
    firsts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    columns: dict[str, NDArray[Any]] = {}
    differs = np.zeros(length, dtype=np.bool_)
    for column in ordered.schema.columns:
        values = ordered.columns[column.name]
        known = column.known(values)
        positions = np.where(known, np.arange(length), length)
        chosen = np.minimum.reduceat(positions, firsts)
        chosen = np.where(chosen == length, firsts, chosen)
        columns[column.name] = values[chosen]
        differs |= known & (values != values[chosen][group])
    kept = Rows(ordered.schema, columns, ordered.origin[firsts], ordered.line[firsts])
    bad_groups, seconds = np.unique(group[differs], return_index=True)
    conflicts = np.stack([firsts[bad_groups], np.flatnonzero(differs)[seconds]], axis=1).astype(np.int64)
    return Merged(kept, length - len(firsts), ordered, conflicts, np.isin(group, bad_groups))


def _untouched(rows: Rows) -> Merged:
    return Merged(rows, 0, rows, np.empty((0, 2), dtype=np.int64), np.zeros(len(rows), dtype=np.bool_))
