"""The rules of one file, of which the rows come in blocks: what is refused, dropped and noted, and where."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.time import timeframe_us
from backtester.data.downloader.parsing import Parsed
from backtester.data.downloader.problems import EXAMPLES, Problem, joined_found
from backtester.data.downloader.row_rules import check_times, check_values, rounded
from backtester.data.downloader.rows import Rows
from backtester.data.downloader.rules import JUMP, dropped
from backtester.data.schemas import KLINES

_FEW: Final = 3  # spacings, or rows, from which a file's kind may be doubted

Repaired = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Repairs:
    """What the user allows to be repaired.

    drop_bad: leave out rows that break a rule. price_decimals: round prices to so many decimals, 0..12; None rounds
    nothing.
    """

    drop_bad: bool = False
    price_decimals: int | None = None


@dataclass(slots=True)
class FileChecks:
    """The rules that rows keep by themselves or as a file, in the order of the file.

    name: the file, for messages. timeframe: empty for kinds without one. dates: the range [start, end) in which the
    file's name says its rows lie. read: rows so far, good and bad; bad: those that were refused.
    """

    name: str
    timeframe: str
    allowed: Repairs
    dates: tuple[int, int] | None = None
    read: int = 0
    bad: int = 0
    _found: list[list[Problem]] = field(default_factory=list)
    _owed: list[Problem] = field(default_factory=list)
    _latest: int | None = None
    _highest: int | None = None
    _index_prices: bool = True

    def take(self, parsed: Parsed) -> tuple[Rows, Repaired]:
        """Return the good rows of the next block, in file order, and the times of what was repaired.

        Raises:
            DataError: a price needs more decimals than the lake keeps.
        """
        rows, problems = parsed.rows, parsed.problems
        rows, changed = rounded(self.name, rows, problems, self.allowed.price_decimals)
        check_values(rows, problems)
        check_times(rows, problems, self.timeframe, self.dates)
        self.read += len(rows) + problems.lost
        self.bad += problems.count
        if problems.found:
            self._found.append(problems.found)
        repaired: Repaired = {}
        if changed is not None and (changed := changed & ~problems.bad).any():
            repaired["prices_rounded"] = rows.key[changed]
        if problems.bad.any():
            rows = rows.take(~problems.bad)
        self._note_dropped(problems.found, rows, repaired)
        if len(rows):
            self._note_falls(rows.key, repaired)
            if rows.schema.kind == KLINES.kind and self._index_prices:
                self._index_prices = not rows.columns["volume"].any() and bool((rows.columns["trades"] > 0).all())
        return rows, repaired

    @property
    def found(self) -> list[Problem]:
        """What was refused so far, by rule."""
        return joined_found(self._found)

    def finish(self, kind: str) -> None:
        """Judge the file as a whole.

        Raises:
            DataError: rows break a rule and may not be dropped, none is good, or these are no klines.
        """
        good = self.read - self.bad
        if (self.bad and not self.allowed.drop_bad) or not good:
            raise self._refusal()
        if kind == KLINES.kind and self._index_prices and good >= _FEW:
            raise DataError(
                f"{self.name}: every volume is zero while every row counts trades: these look like mark or index "
                "prices",
                hint="import klines; mark and index prices are another kind",
            )

    def _refusal(self) -> DataError:
        if not self.read:
            return DataError(f"{self.name} holds no rows", hint="leave it out")
        found = self.found
        listed = "; ".join(str(problem) for problem in found[:EXAMPLES])
        more = f"; and {len(found) - EXAMPLES} more kinds" if len(found) > EXAMPLES else ""
        return DataError(
            f"{self.name}: {self.bad} of {self.read} rows are bad: {listed}{more}",
            hint="mend the file, or leave the bad rows out and have that recorded: --drop-bad",
        )

    def _note_dropped(self, found: list[Problem], rows: Rows, repaired: Repaired) -> None:
        """Enter rows that are left out in the ledger: all together, and by rule.

        Their own times may be wrong, so each counts at that of the last good row before it, or else of the first.
        """
        owed = [*self._owed, *found]
        times, lines = rows.key, rows.line
        if self._latest is not None:
            times, lines = np.concatenate([[self._latest], times]), np.concatenate([[0], lines])
        self._owed = [] if len(times) else owed
        if not len(times):
            return
        self._latest = int(times[-1])
        for problem in owed:
            near = times[np.maximum(np.searchsorted(lines, problem.lines) - 1, 0)]
            for name in ("bad_rows_dropped", dropped(problem.name)):
                repaired[name] = np.concatenate([repaired[name], near]) if name in repaired else near

    def _note_falls(self, key: NDArray[np.int64], repaired: Repaired) -> None:
        before = key if self._highest is None else np.concatenate([[self._highest], key])
        if (before[1:] < before[:-1]).any():
            highest = np.maximum.accumulate(before)
            repaired["rows_sorted"] = before[before < highest]
            self._highest = int(highest[-1])
        else:
            self._highest = int(before[-1])


@dataclass(slots=True)
class SortedChecks:
    """What can be said of a file's rows once they are sorted and unique; they may come in parts."""

    name: str
    timeframe: str
    _last_time: int | None = None
    _last_close: float = 0.0
    _spacings: int = 0
    _closest: int = 0
    _fits: bool = False

    def take(self, rows: Rows) -> Repaired:
        """Take the next rows, at least one, and return the times of candles whose close is absurdly far from the one
        before; they are kept.
        """
        key = rows.key if self._last_time is None else np.concatenate([[self._last_time], rows.key])
        self._last_time = int(key[-1])
        if self.timeframe and len(key) > 1:
            distances = np.diff(key)
            self._closest = min(self._closest or int(distances.min()), int(distances.min()))
            self._spacings += len(distances)
            self._fits = self._fits or bool((distances == timeframe_us(self.timeframe)).any())
        if rows.schema.kind != KLINES.kind:
            return {}
        closes = rows.columns["close"]
        close = closes if len(key) == len(closes) else np.concatenate([[self._last_close], closes])
        self._last_close = float(close[-1])
        jumps = (close[1:] > close[:-1] * JUMP) | (close[1:] * JUMP < close[:-1])
        return {"jumps_flagged": key[1:][jumps]} if jumps.any() else {}

    def finish(self) -> None:
        """Judge the distances between rows.

        Raises:
            DataError: no two rows are a timeframe apart.
        """
        if self._spacings >= _FEW and not self._fits:
            raise DataError(
                f"{self.name}: no two rows are {self.timeframe} apart, the closest are {self._closest / 1e6:g} s apart",
                hint="say the right one with --timeframe",
            )
