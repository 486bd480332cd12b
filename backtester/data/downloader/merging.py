"""One row per key: identical rows become one, different ones are a conflict."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.data.downloader.rows import Rows


@dataclass(frozen=True, slots=True)
class Merged:
    """rows: sorted by key; duplicates: how many rows were dropped because an equal one stays.

    conflicts: index pairs into `ordered`, first two differing rows of each key that has them, shape (k, 2). While there
    are conflicts, `rows` is not to be used.
    """

    rows: Rows
    duplicates: int
    ordered: Rows
    conflicts: NDArray[np.int64]


def is_sorted(keys: NDArray[np.int64]) -> bool:
    """Say whether keys never fall."""
    return bool(np.all(keys[1:] >= keys[:-1]))


def merge_rows(rows: Rows) -> Merged:
    """Sort rows by key and keep one of each key.

    Rows of one key are the same when every column is equal or unknown on one side; the row that stays takes each value
    from the first row that knows it. Rows keep their order within a key.
    """
    ordered = rows if is_sorted(rows.key) else rows.take(np.argsort(rows.key, kind="stable"))
    keys = ordered.key
    none = np.empty((0, 2), dtype=np.int64)
    if len(keys) < 2 or bool(np.all(keys[1:] > keys[:-1])):
        return Merged(ordered, 0, ordered, none)
    is_first = np.concatenate([[True], keys[1:] != keys[:-1]])
    firsts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    columns: dict[str, NDArray[Any]] = {}
    differs = np.zeros(len(keys), dtype=np.bool_)
    for column in ordered.schema.columns:
        values = ordered.columns[column.name]
        known = column.known(values)
        positions = np.where(known, np.arange(len(keys)), len(keys))
        chosen = np.minimum.reduceat(positions, firsts)
        chosen = np.where(chosen == len(keys), firsts, chosen)
        columns[column.name] = values[chosen]
        differs |= known & (values != values[chosen][group])
    kept = Rows(ordered.schema, columns, ordered.origin[firsts], ordered.line[firsts])
    bad_groups, seconds = np.unique(group[differs], return_index=True)
    conflicts = np.stack([firsts[bad_groups], np.flatnonzero(differs)[seconds]], axis=1).astype(np.int64)
    return Merged(kept, len(keys) - len(firsts), ordered, conflicts if len(conflicts) else none)
