"""Whatever trades and orders come: what always holds of fills on a tape."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from backtester.core.board import Board
from backtester.core.market import Trade
from backtester.core.time import format_time
from backtester.engine.replay import replay
from backtester.strategy.base import Intents
from tests.support.erratic import Erratic
from tests.support.market import time_of
from tests.support.profiles import examples
from tests.support.runs import Ran, run_prepared
from tests.support.tape import BUYS, SELLS, Print, at, prepared_on_tape, wandering_tape, write_tape

MINUTES, A_MINUTE, SEEDS = 40, 60, 4
COSTS: dict[str, Any] = {"fees": {"maker_bps": 2, "taker_bps": 5}, "slippage": {"bps": 1}}
FEEDS = {"trades": ["trades"], "quotes": ["trades", "bookTicker"]}
STYLES: list[dict[str, Any]] = [
    {},
    {"touch_fills": True},
    {"participation": "0.3", "stop_through": "market"},
    {"latency_ms": 700, "latency_jitter_ms": 400},
]
MakeRun = Callable[..., Ran]


class Restless(Erratic):
    """Acts on trades too."""

    def on_trade(self, trade: Trade) -> Intents:
        self.last[trade.instrument] = trade.price
        if self.rng.random() > 0.02:
            return None
        return self._any(trade.instrument, trade.price)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lakes")
    for seed in range(SEEDS):
        for market in ("spot", "um"):
            trades, quotes = wandering_tape(seed, MINUTES, A_MINUTE)
            write_tape(folder / str(seed), trades, quotes, minutes=MINUTES, market=market)
    return folder


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, lakes: Path) -> MakeRun:
    """Run the restless over a tape."""

    def run(seed: int, market: str, feeds: str, style: dict[str, Any], minutes: int = MINUTES) -> Ran:
        section = {"market": market, "seed": seed, "end": format_time(time_of(minutes))}
        named = [f"{market}:BTCUSDT/{kind}" for kind in FEEDS[feeds]]
        prepared = prepared_on_tape(lakes / str(seed), Restless, named, run=section, execution=style, **COSTS)
        return run_prepared(tmp_path_factory.mktemp("run"), prepared)

    return run


runs = {
    "seed": integers(0, SEEDS - 1),
    "market": sampled_from(["spot", "um"]),
    "feeds": sampled_from(sorted(FEEDS)),
    "style": sampled_from(STYLES),
}


def trade_of(event: dict[str, Any], tape: list[Print]) -> tuple[int, Print]:
    number = int(event["cause_id"].rpartition("/trade/")[2])
    return number, tape[number - 1]


@settings(max_examples=examples(40), deadline=None)
@given(**runs)
def test_every_fill_is_what_some_later_trade_or_quote_allows(
    make: MakeRun, seed: int, market: str, feeds: str, style: dict[str, Any]
) -> None:
    ran = make(seed, market, feeds, style)
    tape, quotes = wandering_tape(seed, MINUTES, A_MINUTE)
    told = ran.events("orders_sanitized") + ran.events("orders_changed")
    orders = {e["order_id"]: e for e in told if "limit_price" in e}  # cancels name an order, too
    accepted = {e["order_id"]: e["ts"] for e in ran.events("orders_update") if e["status"] == "accepted"}
    accepted |= {e["order_id"]: e["ts"] for e in ran.events("orders_update") if e["status"] == "triggered"}
    share = Decimal(style.get("participation", 1))
    taken: dict[int, Decimal] = defaultdict(Decimal)
    fills = ran.events("fills")
    for fill in fills:
        number, (second, price, _, who) = trade_of(fill, tape)
        sign = 1 if fill["side"] == "buy" else -1
        assert fill["ts"] == at(second) > accepted[fill["order_id"]]
        reference, limit = Decimal(fill["reference_price"]), Decimal(orders[fill["order_id"]]["limit_price"])
        if limit:
            assert (limit - Decimal(fill["price"])) * sign >= 0
        if fill["liquidity"] == "maker":
            assert reference == Decimal(fill["price"]) == limit
            beyond = (limit - Decimal(str(price))) * sign
            assert beyond > 0 or (beyond == 0 and (who == SELLS) == (sign > 0))
            taken[number] += Decimal(fill["qty"])
            continue
        shown = [quote for quote in quotes if quote[0] < second][-1]
        if feeds == "quotes" and shown[1] <= price <= shown[3]:  # else it is out of date
            offer, most = (shown[3], shown[4]) if sign > 0 else (shown[1], shown[2])
            assert reference == Decimal(str(offer))
            assert Decimal(fill["qty"]) <= Decimal(str(most))
        else:
            assert reference == Decimal(str(price))
            assert who == (BUYS if sign > 0 else SELLS)
            taken[number] += Decimal(fill["qty"])
    assert all(qty <= Decimal(str(tape[number - 1][2])) * share for number, qty in taken.items())
    assert replay(ran.path).lines == len(ran.lines)  # the account of the log adds up to its snapshots


@settings(max_examples=examples(25), deadline=None)
@given(**runs)
def test_a_clock_that_wakes_the_exchange_at_every_trade_gives_the_same_log(
    make: MakeRun, seed: int, market: str, feeds: str, style: dict[str, Any]
) -> None:
    slept = make(seed, market, feeds, style)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Board, "sleep", lambda *_: None)
        awake = make(seed, market, feeds, style)
    assert slept.raw_lines == awake.raw_lines


@settings(max_examples=examples(40), deadline=None)
@given(**runs, cut=integers(1, MINUTES - 1))
def test_the_past_does_not_depend_on_trades_to_come(
    make: MakeRun, seed: int, market: str, feeds: str, style: dict[str, Any], cut: int
) -> None:
    part = make(seed, market, feeds, style, cut).raw_lines
    assert part == make(seed, market, feeds, style).raw_lines[: len(part)]
    assert len(part) >= 2


@pytest.mark.parametrize("feeds", sorted(FEEDS))
def test_the_runs_compared_here_do_trade_in_every_way(make: MakeRun, feeds: str) -> None:
    all_runs = [(seed, market, style) for seed in range(SEEDS) for market in ("spot", "um") for style in STYLES]
    fills = [f for seed, market, style in all_runs for f in make(seed, market, feeds, style).events("fills")]
    assert len(fills) > 100
    assert {fill["liquidity"] for fill in fills} == {"maker", "taker"}
    assert any(Decimal(fill["leaves"]) > 0 for fill in fills)
    assert {"limit", "stop", "trailing_stop", "take_profit", "market"} <= {fill["kind"] for fill in fills}
