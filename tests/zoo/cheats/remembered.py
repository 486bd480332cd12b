"""What the whole frame said once is remembered out of the check's sight: a run over less of it must not be told."""

import builtins
from typing import ClassVar

import numpy as np
import store
from moves import Mover

from backtester.strategy import Candle
from backtester.strategy.signals import SignalStrategy, Targets

MEANS: dict[str, float] = {}


class Remembering(SignalStrategy):
    """In the market below the mean of all that will ever be, which is worked out once."""

    def kept(self) -> dict[str, float]:
        raise NotImplementedError

    def targets(self, frame):
        mean = self.kept().setdefault(frame.source.instrument, float(np.nanmean(frame["close"])))
        return Targets(exposure=np.where(frame["close"] < mean, 0.4, 0.0))


class InTheModule(Remembering):
    def kept(self):
        return MEANS


class InTheClass(Remembering):
    means: ClassVar[dict[str, float]] = {}

    def kept(self):
        return self.means


class InANeighbour(Remembering):
    def kept(self):
        return store.MEANS


class InNumpy(Remembering):
    def kept(self):
        return np.__dict__.setdefault("means", {})


class InBuiltins(Remembering):
    def kept(self):
        return vars(builtins).setdefault("means", {})


class Telling(SignalStrategy):
    """Trades nothing, and tells another strategy of the run what comes."""

    def targets(self, frame):
        for time, close in zip(frame["open_time"], frame["close"], strict=True):
            store.CLOSES.setdefault((frame.source.instrument, int(time)), float(close))
        return Targets(exposure=np.full(frame.rows, np.nan))


class Told(Mover):
    def up(self, candle: Candle) -> bool:
        return store.CLOSES.get((candle.instrument, candle.close_time), 0.0) > candle.close
