"""Rows that did not enter the lake, put aside with the reason."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from backtester.data.downloader.problems import Problem
from backtester.data.downloader.rows import Series
from backtester.data.downloader.unpacking import lines_of
from backtester.data.durable import make_folder, storing

STORE_NAME: Final = ".archives"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A line of an archive that did not enter the lake, and the rule that it broke."""

    line: int
    rule: str
    text: str


def refused_rows(problems: Sequence[Problem], chunks: Iterable[bytes]) -> tuple[RefusedRow, ...]:
    """Return the refused lines of a CSV in chunks, which is read for their text only when there are any."""
    if not problems:
        return ()
    lines = np.unique(np.concatenate([problem.lines for problem in problems]))
    texts = dict(zip(lines.tolist(), lines_of(chunks, lines), strict=True))
    found = [
        RefusedRow(line, problem.name, texts[line].decode("utf-8", errors="replace").rstrip("\r"))
        for problem in problems
        for line in problem.lines.tolist()
    ]
    return tuple(sorted(found, key=lambda row: row.line))


def quarantine(series: Series, name: str, refused: Sequence[RefusedRow], root: Path) -> Path:
    """Write the refused rows of a file beside the archives of the lake at `root`, and return where they are.

    Raises:
        StorageError: the disk refuses.
    """
    folder = root / STORE_NAME / "quarantine"
    path = folder / f"{'-'.join((series.market, series.kind, name))}.refused.csv"
    with storing(path):
        make_folder(folder)
        with path.open("w", encoding="utf-8", newline="") as target:
            out = csv.writer(target, lineterminator="\n")
            out.writerow(("line", "rule", "row"))
            out.writerows((row.line, row.rule, row.text) for row in refused)
    return path
