"""Honest strategies that use much of Python: what looks suspicious need not be."""

import copy
import enum
import functools
import hashlib
import heapq
import itertools
import json
import logging
import math
import random
import statistics
import uuid
from collections import Counter, namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import polars as pl
from moves import Mover

from backtester.strategy import Candle

LOG = logging.getLogger("honest")
WEEKEND = frozenset({5, 6})


class OwnChance(Mover):
    """The run's generator is what it may draw from."""

    def up(self, candle: Candle) -> bool:
        return self.rng.random() < 0.3


class SeededGenerator(Mover):
    def on_start(self):
        self.luck, self.more = random.Random(7), np.random.default_rng(7)

    def up(self, candle: Candle) -> bool:
        return self.luck.random() + self.more.random() < 0.8


class SortedSet(Mover):
    def up(self, candle: Candle) -> bool:
        names = {i.symbol for i in self.instruments}
        return sorted(names)[0] == candle.symbol and candle.close > candle.open


class SetMembership(Mover):
    def up(self, candle: Candle) -> bool:
        return candle.open_time // 60_000_000 % 7 in {1, 2, 4} and candle.symbol in {"BTCUSDT", "ETHUSDT"}


class Weekdays(Mover):
    """A session filter by the candle's own time."""

    def up(self, candle: Candle) -> bool:
        time = datetime.fromtimestamp(candle.open_time / 1e6, tz=UTC)
        return time.weekday() not in WEEKEND and time.minute % 20 < 9


class Prints(Mover):
    def up(self, candle: Candle) -> bool:
        if candle.close > candle.open:
            print("green", candle.symbol)
        return candle.close > candle.open


class Logs(Mover):
    def up(self, candle: Candle) -> bool:
        LOG.warning("close %s", candle.close)
        return candle.close > candle.open


class Notes(Mover):
    def up(self, candle: Candle) -> bool:
        self.note("seen", close=candle.close)
        return candle.close > candle.open


class ImportsLate(Mover):
    def up(self, candle: Candle) -> bool:
        import fractions
        import xml.dom.minidom

        assert xml.dom.minidom
        return fractions.Fraction(candle.close) > fractions.Fraction(candle.open)


class Generator(Mover):
    def on_candle(self, candle: Candle):
        yield from super().on_candle(candle) or ()

    def up(self, candle: Candle) -> bool:
        return candle.close > candle.open


class Vectors(Mover):
    @property
    def warmup_candles(self):
        return 30

    def on_start(self):
        self.rows: dict[str, list[float]] = {}

    def up(self, candle: Candle) -> bool:
        rows = self.rows.setdefault(candle.instrument, [])
        rows.append(candle.close)
        window = np.array(rows[-30:])
        return bool((candle.close - window.mean()) <= window.std())


class Frames(Mover):
    """A frame of what it has seen itself."""

    @property
    def warmup_candles(self):
        return 12

    def on_start(self):
        self.rows: dict[str, list[float]] = {}

    def up(self, candle: Candle) -> bool:
        rows = self.rows.setdefault(candle.instrument, [])
        rows.append(candle.close)
        mean = pl.DataFrame({"close": rows[-12:]}).select(pl.col("close").mean()).item()
        return candle.close > mean


@dataclass(frozen=True)
class Key:
    name: str
    minute: int


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Structures(Mover):
    """Hashes are good for finding things again."""

    def on_start(self):
        self.seen: dict[Key, Colour] = {}
        self.counts: Counter[Colour] = Counter()
        self.pairs = namedtuple("Pairs", "open close")

    def up(self, candle: Candle) -> bool:
        colour = Colour.GREEN if candle.close > candle.open else Colour.RED
        self.seen[Key(candle.instrument, candle.open_time // 60_000_000)] = colour
        self.counts[colour] += 1
        pair = self.pairs(candle.open, candle.close)
        before = self.seen.get(Key(candle.instrument, candle.open_time // 60_000_000 - 1))
        return before is Colour.RED and copy.deepcopy(pair).close > 0


class HashOfNumbers(Mover):
    def up(self, candle: Candle) -> bool:
        return hash(candle.open_time // 60_000_000) % 3 == 0


class Digests(Mover):
    """Chance that can be repeated: a digest of the time."""

    def up(self, candle: Candle) -> bool:
        name = uuid.uuid5(uuid.NAMESPACE_URL, f"{candle.instrument}/{candle.open_time}")
        return hashlib.sha256(name.bytes).digest()[0] < 90


@functools.lru_cache(maxsize=64)
def weight(n: int) -> float:
    return math.exp(-n / 5)


class Cached(Mover):
    def on_start(self):
        self.heaps: dict[str, list[float]] = {}

    def up(self, candle: Candle) -> bool:
        heap = self.heaps.setdefault(candle.instrument, [])
        heapq.heappush(heap, candle.close - candle.open)
        lowest = heapq.nsmallest(3, heap)
        return sum(w * weight(n) for n, w in enumerate(itertools.islice(lowest, 3))) > -0.5


class Statistics(Mover):
    @property
    def warmup_candles(self):
        return 9

    def on_start(self):
        self.rows: dict[str, list[float]] = {}

    def up(self, candle: Candle) -> bool:
        rows = [*self.rows.get(candle.instrument, [])[-8:], candle.close]
        self.rows[candle.instrument] = rows
        text = json.dumps({"median": statistics.median(rows)}, sort_keys=True)
        return candle.close >= json.loads(text)["median"]


class Tries(Mover):
    def up(self, candle: Candle) -> bool:
        try:
            return 1 / (candle.close - candle.open) > 0
        except ZeroDivisionError:
            return False


class Equity(Mover):
    def up(self, candle: Candle) -> bool:
        return self.equity >= 9_999 and self.cash > 1 and candle.close < candle.open
