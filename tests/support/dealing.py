"""A strategy for reports: it buys with a stop and a target every so often, notes two means, and writes nasty words."""

from collections import deque
from pathlib import Path
from typing import Any

from backtester.strategy.base import Intents, Strategy
from tests.support.lakes import wandering
from tests.support.runs import Ran, run_on

EVIL = "</script><script>document.title='owned'</script><!-- <b>bold</b> -->"


class Dealing(Strategy):
    """Buys every 20th candle when flat, with a stop 1 % below and a target 1 % above."""

    def on_start(self) -> None:
        self.seen = 0
        self.closes: deque[float] = deque(maxlen=10)

    def on_candle(self, candle: Any) -> Intents:
        self.seen += 1
        self.closes.append(candle.close)
        self.note("means", fast=sum(self.closes) / len(self.closes))
        if self.seen % 20 == 10:
            self.note(EVIL, why=EVIL)
        if self.seen % 20 or not self.position("BTCUSDT").is_flat:
            return None
        close = candle.close
        tag = EVIL if self.seen % 40 else "calm"
        return [
            self.buy(
                "BTCUSDT", 1, stop_loss=round(close * 0.99, 2), take_profits=[(round(close * 1.01, 2), 1)], tag=tag
            )
        ]


def dealt(folder: Path, candles: int = 600, seed: int = 3, **sections: Any) -> Ran:
    """Run it over candles that wander."""
    return run_on(folder, wandering(candles, seed), Dealing, **sections)
