"""Option chains: rows drawn by hand, and weeks made up by Black-76 on an index that wanders."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backtester.core.instruments import option_name
from backtester.core.market import OptionChain
from backtester.core.time import DAY, HOUR, utc
from backtester.pricing.black import black76_greeks, black76_price
from backtester.strategy.base import Intents, Strategy
from tests.support.lakes import write_rows
from tests.support.market import Row, time_of
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

CHAIN = "option:BTCUSDT"
NAN = float("nan")
YEAR = 365 * DAY


@dataclass(frozen=True)
class Quote:
    """One contract in the row of one hour, which is known when the hour is over. index: what open interest implies."""

    hour: int
    contract: str
    bid: float = 0.0
    ask: float = 0.0
    bid_qty: float = 1.0
    ask_qty: float = 1.0
    mark: float = NAN
    mark_iv: float = NAN
    delta: float = NAN
    index: float = 30_000.0


def write_chain(lake: Path, quotes: Iterable[Quote], symbol: str = "BTCUSDT") -> None:
    """Write rows of a chain, hours counted from the start of the market."""
    columns: dict[str, list[Any]] = {}

    def put(**values: Any) -> None:
        for name, value in values.items():
            columns.setdefault(name, []).append(value)

    for quote in quotes:
        name = option_name(quote.contract)
        assert name is not None
        put(
            time=time_of(60 * quote.hour),
            expiry=name.expiry,
            strike=float(name.strike),
            is_call=name.is_call,
            **dict.fromkeys(("open", "high", "low", "close", "volume"), 0.0),
            bid_price=quote.bid,
            ask_price=quote.ask,
            bid_quantity=quote.bid_qty,
            ask_quantity=quote.ask_qty,
            mark_price=quote.mark,
            mark_iv=quote.mark_iv,
            delta=quote.delta,
            open_interest=2.0 if quote.index else 0.0,
            open_interest_value=2.0 * quote.index,
        )
    write_rows(lake, "EOHSummary", symbol, columns, market="option")


def wandering_index(hours: int, seed: int, start: float = 30_000.0, step: float = 150.0) -> list[float]:
    """Return an index at the end of each hour."""
    rng, path, price = random.Random(seed), [], start
    for _ in range(hours):
        price = max(1_000.0, price + rng.uniform(-step, step))
        path.append(round(price, 2))
    return path


def candles_of(index: Sequence[float], start: float = 30_000.0) -> list[Row | None]:
    """Return hourly candles that close where the index is."""
    opens = [start, *index[:-1]]
    return [(a, max(a, b), min(a, b), b) for a, b in zip(opens, index, strict=True)]


def black_quotes(
    index: Sequence[float],
    seed: int = 1,
    *,
    volatility: float = 0.5,
    strikes: Sequence[int] = tuple(range(26_000, 34_500, 500)),
    gaps: float = 0.1,
    first_hour: int = 0,
) -> list[Quote]:
    """Return a chain with two weekly expiries at a time, priced by Black-76; a share of sides shows nothing."""
    rng = random.Random(seed)
    quotes = []
    for hour, forward in enumerate(index):
        now = time_of(60 * (hour + 1))
        friday = now - (now - DAY - 8 * HOUR) % (7 * DAY)
        for expiry in (friday + 7 * DAY, friday + 14 * DAY):
            for strike in strikes:
                for is_call in (False, True):
                    years = (expiry - now) / YEAR
                    mark = float(np.asarray(black76_price(forward, strike, years, volatility, is_call)))
                    delta = float(np.asarray(black76_greeks(forward, strike, years, volatility, is_call).delta))
                    bid, ask = (mark * 0.97) // 5 * 5, mark * 1.03 // 5 * 5 + 5
                    shown = [0.0 if rng.random() < gaps else round(rng.uniform(0.05, 3), 2) for _ in range(2)]
                    contract = f"BTC-{utc(expiry):%y%m%d}-{strike}-{'C' if is_call else 'P'}"
                    quotes.append(
                        Quote(
                            first_hour + hour,
                            contract,
                            bid,
                            ask,
                            *shown,
                            max(0.01, round(mark, 4)),
                            volatility,
                            delta,
                            forward,
                        )
                    )
    return quotes


class AtHours(Strategy):
    """Does what a test says when rows become known: hours are counted from the start of the market."""

    script: Mapping[int, Any] = {}
    heard: list[tuple[int, str, str, str]]

    def on_start(self) -> None:
        type(self).heard = []

    def on_chain(self, chain: OptionChain) -> Intents:
        act = self.script.get((self.now - time_of(0)) // HOUR)
        return act(self) if act is not None else None

    def on_order_update(self, update: Any) -> None:
        status = getattr(update, "status", "rejected")
        self.heard.append(((self.now - time_of(0)) // HOUR, update.instrument, str(status), update.reason.value))


def at_hours(script: Mapping[int, Any]) -> type[AtHours]:
    """A strategy that acts when the rows of these hours are known: {2: lambda s: [s.buy(C, 1, limit=100)]}."""
    return type("AtHours", (AtHours,), {"script": script})


def run_chain(
    folder: Path,
    quotes: Iterable[Quote],
    script: Mapping[int, Any] | type[Strategy],
    *,
    symbols: Sequence[str] = (CHAIN,),
    **sections: Any,
) -> Ran:
    """Write a chain to the lake of a folder, run a script on it, and read the run back."""
    write_chain(folder / "lake", quotes)
    strategy = at_hours(script) if isinstance(script, Mapping) else script
    return run_prepared(folder, prepared_run(strategy, config_of(folder / "lake", list(symbols), **sections)))


def fills_of(ran: Ran) -> list[tuple[int, str, str, str, str, str]]:
    """Return (hour, contract, side, quantity, price, fee) of each fill; numbers without padding zeros."""

    def short(text: str) -> str:
        return text.rstrip("0").rstrip(".") if "." in text else text

    return [
        (
            (event["ts"] - time_of(0)) // HOUR,
            event["instrument"].partition(":")[2],
            event["side"],
            *(short(event[name]) for name in ("qty", "price", "fee")),
        )
        for event in ran.events("fills")
    ]
