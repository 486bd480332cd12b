"""Tapes drawn by hand: trades as (second, price, quantity, who took), quotes as (second, bid, size, ask, size)."""

import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from backtester.core.time import MINUTE, SECOND
from backtester.engine.prepare import PreparedRun
from backtester.strategy.base import Strategy
from tests.support.lakes import write_rows
from tests.support.market import Row, time_of, write_candles
from tests.support.runs import Ran, config_of, merged, prepared_run, run_prepared

BUYS, SELLS = "buys", "sells"  # who took

Print = tuple[float, float, float, str]
Shown = tuple[float, float, float, float, float]


class Executed(NamedTuple):
    """One fill: the second of the tape, and what was traded."""

    second: float
    side: str
    price: Decimal
    qty: Decimal
    liquidity: str


def executed(second: float, side: str, price: str | int, qty: str | int, liquidity: str) -> Executed:
    """The fill that a test expects."""
    return Executed(second, side, Decimal(price), Decimal(qty), liquidity)


def candles_of(trades: Sequence[Print], minutes: int) -> list[Row | None]:
    """The candles that these trades make; a minute without trades stands still."""
    rows: list[Row | None] = []
    last = trades[0][1]
    for minute in range(minutes):
        prices = [price for second, price, *_ in trades if minute * 60 <= second < minute * 60 + 60]
        volume = sum(qty for second, _, qty, _ in trades if minute * 60 <= second < minute * 60 + 60)
        prices = prices or [last]
        last = prices[-1]
        rows.append((prices[0], max(prices), min(prices), last, volume))
    return rows


def write_tape(
    lake: Path,
    trades: Sequence[Print],
    quotes: Sequence[Shown] = (),
    *,
    minutes: int,
    market: str = "um",
    symbol: str = "BTCUSDT",
    kind: str = "trades",
) -> None:
    """Write trades, quotes, and the candles that the trades make."""
    write_candles(lake, candles_of(trades, minutes), symbol=symbol, market=market)
    numbers = list(range(1, len(trades) + 1))
    ids = {"trade_id": numbers, "agg_trade_id": numbers, "first_trade_id": numbers, "last_trade_id": numbers}
    columns: dict[str, list[Any]] = {
        "time": [at(second) for second, *_ in trades],
        "price": [price for _, price, _, _ in trades],
        "quantity": [qty for _, _, qty, _ in trades],
        "is_buyer_maker": [who == SELLS for *_, who in trades],
        "quote_quantity": [price * qty for _, price, qty, _ in trades],
        **ids,
    }
    write_rows(lake, kind, symbol, columns, market=market)
    if quotes:
        names = ("bid_price", "bid_quantity", "ask_price", "ask_quantity")
        shown: dict[str, list[Any]] = {name: [row[n + 1] for row in quotes] for n, name in enumerate(names)}
        shown |= {"time": [at(row[0]) for row in quotes], "update_id": list(range(1, len(quotes) + 1))}
        write_rows(lake, "bookTicker", symbol, shown, market=market)


def at(second: float) -> int:
    """The time of a second of the tape."""
    return time_of(0) + round(second * SECOND)


def prepared_on_tape(lake: Path, strategy: type[Strategy], feeds: Sequence[str], **sections: Any) -> PreparedRun:
    """A run over a tape of um:BTCUSDT whose trades execute."""
    whole = {"participation": 0}  # of each trade, unless a test says otherwise
    base = {"run": {"market": "um"}, "data": {"feeds": list(feeds)}, "execution": whole}
    return prepared_run(strategy, config_of(lake, ["BTCUSDT"], **merged(base, sections)))


def run_on_tape(
    folder: Path,
    trades: Sequence[Print],
    strategy: type[Strategy],
    *,
    quotes: Sequence[Shown] = (),
    minutes: int = 5,
    **sections: Any,
) -> Ran:
    """Write a tape, run a strategy over it, and read the run back."""
    market = sections.get("run", {}).get("market", "um")
    write_tape(folder / "lake", trades, quotes, minutes=minutes, market=market)
    feeds = ["trades", "bookTicker"] if quotes else ["trades"]
    return run_prepared(folder, prepared_on_tape(folder / "lake", strategy, feeds, **sections))


def executions(ran: Ran) -> list[Executed]:
    """What executed, in order."""
    return [
        Executed(
            (event["ts"] - time_of(0)) / SECOND,
            event["side"],
            Decimal(event["price"]),
            Decimal(event["qty"]),
            event["liquidity"],
        )
        for event in ran.events("fills")
    ]


def minutes_of(trades: Sequence[Print]) -> int:
    """How many whole minutes hold all the trades."""
    return int(trades[-1][0] * SECOND) // MINUTE + 1


def wandering_tape(seed: int, minutes: int, a_minute: int) -> tuple[list[Print], list[Shown]]:
    """A tape that wanders by cents, with many trades of one instant, and quotes around it that change with it."""
    rng = random.Random(seed)
    seconds = sorted(rng.randint(0, minutes * 600 - 1) / 10 for _ in range(minutes * a_minute))
    mid, trades, quotes = 10_000, [], []
    for number, second in enumerate([0.0, *seconds]):
        mid += rng.choice([-3, -1, 0, 0, 1, 3])
        buys = rng.random() < 0.5
        trades.append((second, (mid + (1 if buys else -1)) / 100, rng.randint(1, 30) / 10, BUYS if buys else SELLS))
        if number % 3 == 0:
            sizes = rng.randint(1, 40) / 10, rng.randint(1, 40) / 10
            quotes.append((second, (mid - 1) / 100, sizes[0], (mid + 1) / 100, sizes[1]))
    return trades, quotes
