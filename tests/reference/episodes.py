"""Many small episodes, each one order with its exits: how another engine's fills are compared with ours, one by one.

An episode begins flat at the close of a candle with one entry, with or without a stop and a target; some candles later
what is left is cancelled and closed at the market. No episode knows of another, so one difference stays one.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from backtester.core.time import MINUTE, format_time
from backtester.strategy.base import Strategy
from tests.support.runs import config_of, prepared_run, run_prepared

EVERY, LASTS = 12, 9  # candles from one episode to the next, and till its end
CASH = 10_000_000


class Bar(NamedTuple):
    """A candle, its prices in whole ticks."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: float


class Market(NamedTuple):
    """Some candles of one instrument in a lake. One tick is 10^-decimals."""

    lake: Path
    market: str
    symbol: str
    decimals: int
    bars: list[Bar]

    @classmethod
    def of(cls, lake: Path, market: str, symbol: str, decimals: int, count: int) -> "Market":
        """Read the first candles of a lake."""
        bars: list[Bar] = []
        for path in sorted((lake / market / "klines" / symbol / "1m").rglob("*.parquet")):
            table = pq.ParquetFile(path).read()
            prices = [[round(p * 10**decimals) for p in table[name].to_pylist()] for name in Bar._fields[1:5]]
            bars += map(Bar, table["open_time"].to_pylist(), *prices, table["volume"].to_pylist())
        return cls(lake, market, symbol, decimals, bars[:count])


class Episode(NamedTuple):
    """One order. sign: +1 buys. price: of a limit or stop entry. stop, target: its exits. Prices in ticks, 0: none."""

    sign: int
    kind: str
    price: int
    stop: int
    target: int


class Filled(NamedTuple):
    """What executed: the number of the candle, +1 for a purchase, the price in ticks."""

    bar: int
    sign: int
    price: int


Plan = dict[int, Episode]  # by the number of the candle at whose close it begins


def planned(market: Market, seed: int, *, shorts: bool) -> Plan:
    """Random episodes, their prices within a few candles of the close that they see."""
    rng = random.Random(seed)
    span = max(4, round(2 * median(bar.high - bar.low for bar in market.bars)))
    plan: Plan = {}
    for begins in range(2, len(market.bars) - EVERY, EVERY):
        sign = rng.choice([1, -1]) if shorts else 1
        kind = rng.choice(["market", "limit", "stop"])
        close, away = market.bars[begins].close, rng.randint(1, span)
        price = {"market": 0, "limit": close - sign * away, "stop": close + sign * away}[kind]
        far = [rng.randint(1, 2 * span) if rng.random() < 0.8 else 0 for _ in range(2)]
        entry = price or close
        exits = [entry + side * sign * n if n else 0 for side, n in zip((-1, 1), far, strict=True)]
        plan[begins] = Episode(sign, kind, price, *exits)
    return plan


def ours(folder: Path, market: Market, plan: Plan, **execution: Any) -> dict[int, list[Filled]]:
    """What our engine fills of each episode."""
    scale = 10**market.decimals

    class Plays(Strategy):
        def on_start(self) -> None:
            self.seen = -1

        def on_candle(self, candle: Any) -> Any:
            self.seen += 1
            if self.seen - LASTS in plan:
                return self.close(market.symbol)
            if self.seen not in plan:
                return None
            episode = plan[self.seen]
            options: dict[str, Any] = {episode.kind: episode.price / scale} if episode.price else {}
            options |= {"stop_loss": episode.stop / scale} if episode.stop else {}
            options |= {"take_profits": episode.target / scale} if episode.target else {}
            return [(self.buy if episode.sign > 0 else self.sell)(market.symbol, 1, **options)]

    tick = f"{1 / scale:.{market.decimals}f}"
    config = config_of(
        market.lake,
        [market.symbol],
        run={"market": market.market, "end": format_time(market.bars[-1].time + MINUTE)},
        account={"initial_cash": CASH},
        execution=execution,
        instruments={f"{market.market}:{market.symbol}": {"tick_size": tick, "lot_size": "1", "min_qty": "1"}},
    )
    ran = run_prepared(folder, prepared_run(Plays, config))
    assert ran.refusals == []
    number = {bar.time: n for n, bar in enumerate(market.bars)}
    fills = [
        Filled(
            number[int(event["cause_id"].rpartition("/")[2])],
            1 if event["side"] == "buy" else -1,
            round(float(event["price"]) * scale),
        )
        for event in ran.events("fills")
    ]
    return by_episode(plan, fills)


def by_episode(plan: Plan, fills: Sequence[Filled]) -> dict[int, list[Filled]]:
    """Fills by the episode in which they happened."""
    return {begins: [f for f in fills if begins < f.bar <= begins + EVERY] for begins in plan}


def named_difference(market: Market, episode: Episode, our: list[Filled], their: list[Filled]) -> str:
    """Return the assumption that makes the first difference between two ways in which an episode went.

    "same" when there is none, "" when no assumption of docs/fills.md explains it.
    """
    if our == their:
        return "same"
    at = next(n for n in range(max(len(our), len(their))) if our[n : n + 1] != their[n : n + 1])
    mine, other = next(iter(our[at:]), None), next(iter(their[at:]), None)
    first = min((fill for fill in (mine, other) if fill is not None), key=lambda fill: fill.bar)
    bar = market.bars[first.bar]
    if mine is None or (other is not None and other.bar < mine.bar):  # only they fill in this candle
        best = bar.low if first.sign > 0 else bar.high
        if bar.volume == 0:
            return "no trades in the candle"
        return "touched" if first.price == best and first.price in (episode.price, episode.target) else ""
    if other is None or mine.bar < other.bar:  # only we do
        return "exit in the candle of its entry" if at == 1 and mine.bar == our[0].bar else ""
    if mine.price in (episode.price, episode.target) and other.price == bar.open:
        better = (mine.price - other.price) * mine.sign > 0  # for the trader: limits, never stops
        return "a gap fills at the limit" if better else ""
    return "the open comes first" if mine.price == bar.open != other.price else ""
