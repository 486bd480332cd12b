"""Into the engine: by private attributes, the garbage collector, frames, and by replacing its functions."""

import gc
import inspect
import sys

import msgspec
from moves import Mover

from backtester.core.bus import Bus
from backtester.sim.sim_models import FeeModel
from backtester.strategy import Candle


class NextCandleFromGarbage(Mover):
    """Finds the feed among all objects there are."""

    def on_start(self):
        gc.unfreeze()
        self.feeds_found = {f.instrument: f for f in gc.get_objects() if type(f).__name__ == "CandleFeed"}

    def up(self, candle: Candle) -> bool:
        window = self.feeds_found[candle.instrument]._window
        after = window.close[window.open_time > candle.open_time]
        return len(after) > 0 and after[0] > candle.close


class Referrers(Mover):
    def up(self, candle: Candle) -> bool:
        lists = [r for r in gc.get_referrers(candle) if isinstance(r, list) and candle in r]
        return any(r.index(candle) + 1 < len(r) and r[r.index(candle) + 1].close > candle.close for r in lists)


class Frames(Mover):
    def up(self, candle: Candle) -> bool:
        frame = sys._getframe()
        while frame and "events" not in frame.f_locals:
            frame = frame.f_back
        events = frame.f_locals["events"] if frame else []
        later = [e for e in events if e.ts > candle.ts and e.instrument == candle.instrument]
        return bool(later) and later[0].close > candle.close


class Stack(Mover):
    def up(self, candle: Candle) -> bool:
        return len(inspect.stack(context=0)) % 2 == 0


class ReadsTheView(Mover):
    def up(self, candle: Candle) -> bool:
        return self._view.board.now % 120_000_000 == 0


class ReadsBelowAPosition(Mover):
    def up(self, candle: Candle) -> bool:
        return self.position(candle.instrument)._board.price_units[candle.instrument] % 2 == 0


class PrintsMoney(Mover):
    """Writes into its own view of the account."""

    def up(self, candle: Candle) -> bool:
        for account in self._view.ledger.assets.values():
            account.cash_units += 10**8
        return self.equity > 10_050


class ReplacesTheBus(Mover):
    def on_start(self):
        publish = Bus.publish
        Bus.publish = lambda bus, topic, event: publish(bus, topic, event) if topic else None

    def up(self, candle: Candle) -> bool:
        return candle.close > candle.open


class PaysNoFees(Mover):
    def on_start(self):
        FeeModel.fee_units = lambda *_: 0

    def up(self, candle: Candle) -> bool:
        return candle.close > candle.open


class WritesIntoACandle(Mover):
    def up(self, candle: Candle) -> bool:
        msgspec.structs.force_setattr(candle, "close", candle.high)
        return candle.close > candle.open


class TakesOffTheWatch(Mover):
    def up(self, candle: Candle) -> bool:
        sys.setprofile(None)
        return candle.close > candle.open
