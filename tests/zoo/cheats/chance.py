"""What no run can repeat: clocks, chance, addresses, the order of sets, threads."""

import concurrent.futures
import datetime
import os
import random
import secrets
import threading
import time
import uuid

import numpy as np
from moves import Mover

from backtester.strategy import Candle


class WallClock(Mover):
    def up(self, candle: Candle) -> bool:
        return int(time.time() * 1e6) % 2 == 0


class FromTime(Mover):
    def up(self, candle: Candle) -> bool:
        from time import time_ns as now

        return now() % 3 == 0


class Today(Mover):
    def up(self, candle: Candle) -> bool:
        return datetime.datetime.now(datetime.UTC).year > 2000 and candle.close > candle.open


class Stopwatch(Mover):
    def up(self, candle: Candle) -> bool:
        began = time.perf_counter()
        return time.perf_counter() - began < 1 and candle.close > candle.open


class Sleeper(Mover):
    slept = False

    def up(self, candle: Candle) -> bool:
        if not self.slept:
            time.sleep(0.001)
        self.slept = True
        return candle.close > candle.open


class MachineZone(Mover):
    def up(self, candle: Candle) -> bool:
        return time.localtime(candle.open_time / 1e6).tm_min % 3 == 0


class GlobalRandom(Mover):
    def up(self, candle: Candle) -> bool:
        return random.random() < 0.5


class GlobalChoice(Mover):
    def up(self, candle: Candle) -> bool:
        return random.choice([True, False])


class SeededGlobalRandom(Mover):
    """Repeatable as long as nobody else draws."""

    def on_start(self):
        random.seed(5)

    def up(self, candle: Candle) -> bool:
        return random.randrange(3) == 0


class NumpyGlobalRandom(Mover):
    def up(self, candle: Candle) -> bool:
        return np.random.rand() < 0.5


class SeededNumpyGlobalRandom(Mover):
    def on_start(self):
        np.random.seed(3)

    def up(self, candle: Candle) -> bool:
        return np.random.rand() < 0.5


class FreshGenerator(Mover):
    def on_start(self):
        self.luck = np.random.default_rng()

    def up(self, candle: Candle) -> bool:
        return self.luck.random() < 0.5


class UnseededRandom(Mover):
    def on_start(self):
        self.luck = random.Random()

    def up(self, candle: Candle) -> bool:
        return self.luck.random() < 0.5


class Uuid(Mover):
    def up(self, candle: Candle) -> bool:
        return uuid.uuid4().int % 2 == 0


class Secrets(Mover):
    def up(self, candle: Candle) -> bool:
        return secrets.randbelow(2) == 0


class Entropy(Mover):
    def up(self, candle: Candle) -> bool:
        return os.urandom(1)[0] < 128


class SetOrder(Mover):
    """Trades what comes first out of a set of names."""

    def up(self, candle: Candle) -> bool:
        names = {f"{i.symbol}{n}" for i in self.instruments for n in range(16)}
        return next(iter(names)).startswith(candle.symbol) is (candle.close > candle.open)


class SetOfTags(Mover):
    def on_candle(self, candle: Candle):
        tags = {"entry", "exit", "scale", "hedge", "trail", "stop"}
        if not self.position(candle.instrument).is_flat or self.open_orders(candle.instrument):
            return None
        return [self.buy(candle.instrument, quote=50, tag="-".join(tags))]


class HashOfAName(Mover):
    def up(self, candle: Candle) -> bool:
        return hash(f"{candle.symbol}{candle.open_time}") % 2 == 0


class Address(Mover):
    def up(self, candle: Candle) -> bool:
        return id(candle) // 16 % 3 == 0


class ProcessNumber(Mover):
    def up(self, candle: Candle) -> bool:
        return os.getpid() % 2 == 0 and candle.close > candle.open


class Thread(Mover):
    counted = 0

    def on_start(self):
        threading.Thread(target=self.count, daemon=True).start()

    def count(self):
        for _ in range(10_000):
            self.counted += 1

    def up(self, candle: Candle) -> bool:
        return self.counted % 2 == 0


class Pool(Mover):
    def up(self, candle: Candle) -> bool:
        if not hasattr(self, "found"):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                self.found = pool.submit(min, 1, 2).result()
        return candle.close > candle.open
