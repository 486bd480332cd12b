"""From one run to the next: what was learnt in the first is known from the beginning of the second."""

import math
from typing import ClassVar

from moves import Mover

from backtester.strategy import Candle

SEEN: dict[tuple[str, int], float] = {}


class Global(Mover):
    def up(self, candle: Candle) -> bool:
        SEEN[candle.instrument, candle.open_time] = candle.close
        return SEEN.get((candle.instrument, candle.open_time + 60_000_000), candle.open) > candle.close


class ClassAttribute(Mover):
    """Goes on counting where the last run ended."""

    counted: ClassVar[list[float]] = []

    def up(self, candle: Candle) -> bool:
        self.counted.append(candle.close)
        return len(self.counted) % 7 < 3


class DefaultArgument(Mover):
    def up(self, candle: Candle, seen: list[float] = []) -> bool:  # noqa: B006 - that is the point
        seen.append(candle.close)
        return len(seen) % 7 < 3


class AnotherModule(Mover):
    def up(self, candle: Candle) -> bool:
        math.highest = max(getattr(math, "highest", 0.0), candle.high)
        return candle.close < math.highest * 0.995
