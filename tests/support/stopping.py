"""A strategy that can be stopped in the middle, and how to wait until it is there."""

import subprocess
import time
from pathlib import Path

CANDLES = 8_000
WAIT_S = 60

# Trades all the time; after 1500 candles it says that it got there, and from then on goes slowly where asked to.
SLOW = """
import os, pathlib, time
from backtester.strategy.base import Strategy

class Slow(Strategy):
    def on_start(self):
        self.seen = 0
        self.slow = "SLOWLY" in os.environ

    def on_candle(self, candle):
        self.seen += 1
        if self.seen == 1500 and self.slow:
            pathlib.Path(os.environ["SLOWLY"]).touch()
        if self.seen > 1500 and self.slow:
            time.sleep(0.0005)
        side = self.buy if self.position(candle.symbol).is_flat else self.sell
        return [side(candle.symbol, 1)]
"""


def wait_for(flag: Path, process: "subprocess.Popen[str]") -> None:
    """Wait until the strategy of a process made its flag."""
    deadline = time.monotonic() + WAIT_S
    while not flag.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
