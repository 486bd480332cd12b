"""Lakes that many tests share: a made-up market, and real files."""

import random
from pathlib import Path

from tests.support.market import Row, write_candles


def wandering(candles: int, seed: int, *, price: int = 10_000, step: int = 40, quiet: float = 0.0) -> list[Row | None]:
    """A random walk in cents with wicks; a share of its candles is quiet (no volume)."""
    rng = random.Random(seed)
    rows: list[Row | None] = []
    close = price
    for _ in range(candles):
        open_ = max(10 * step, close + rng.randint(-step // 4, step // 4))
        close = max(10 * step, open_ + rng.randint(-step, step))
        high = max(open_, close) + rng.randint(0, step)
        low = min(open_, close) - rng.randint(0, step)
        volume = 0.0 if rng.random() < quiet else float(rng.randint(1, 500))
        if volume == 0.0:
            high = low = close = open_
        rows.append((open_ / 100, high / 100, low / 100, close / 100, volume))
    return rows


def two_coins(lake: Path, candles: int, seed: int = 1, *, market: str = "spot", quiet: float = 0.03) -> None:
    """Write BTCUSDT and ETHUSDT, which wander about."""
    for number, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        rows = wandering(candles, seed * 100 + number, price=10_000 // (number + 1), quiet=quiet)
        write_candles(lake, rows, symbol=symbol, market=market)
