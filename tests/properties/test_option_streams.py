"""Random orders on made-up chains: money adds up, the log makes the same account, the past does not see the future."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import integers

from backtester.core.instruments import option_name
from backtester.core.market import OptionChain
from backtester.core.time import HOUR, format_time
from backtester.engine.replay import replay, verify
from backtester.strategy.base import Strategy
from tests.support.chains import CHAIN, Quote, black_quotes, candles_of, wandering_index, write_chain
from tests.support.market import time_of, write_candles
from tests.support.profiles import examples
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

HOURS = 130  # from a Monday to the Saturday after an expiry
SOME = settings(max_examples=examples(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Gambler(Strategy):
    """Wants anything: both sides, all conditions, combinations, cancels; decided by the run's own randomness."""

    def on_chain(self, chain: OptionChain) -> Any:
        return list(self._wants())

    def _wants(self) -> Iterator[Any]:
        view, rng = self.chain("BTCUSDT"), self.rng
        if not view.quotes or rng.random() < 0.3:
            return
        for order in [o for q in view.quotes for o in self.open_orders(view.instrument(q))]:
            if rng.random() < 0.2:
                yield self.cancel(order)
        picked = [rng.choice(view.quotes) for _ in range(rng.randint(1, 4))]
        legs = []
        for quote in picked:
            name = view.instrument(quote)
            side = self.buy if rng.random() < 0.5 else self.sell
            reference = quote.ask or quote.mark if side == self.buy else quote.bid or quote.mark
            price = max(0.01, round(reference * rng.uniform(0.8, 1.3), 2))
            qty = Decimal(rng.randint(1, 400)) / 100
            when = rng.choice(["gtc", "gtc", "ioc", "fok"])
            if rng.random() < 0.2:
                legs.append(side(name, qty, limit=price))
            else:
                post = when == "gtc" and rng.random() < 0.2
                yield side(name, qty, limit=price, time_in_force=when, post_only=post)
        if len({leg.instrument for leg in legs}) > 1:
            yield self.combo(legs)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four lakes with a chain and the candles of its underlying."""
    folder = tmp_path_factory.mktemp("lakes")
    for seed in range(4):
        write_chain(folder / str(seed), quotes_of(seed))
        write_candles(folder / str(seed), candles_of(wandering_index(HOURS, seed, step=400)), timeframe="1h")
    return folder


def quotes_of(seed: int) -> list[Quote]:
    return black_quotes(wandering_index(HOURS, seed, step=400), seed, strikes=range(26_000, 35_000, 1_000))


def run(folder: Path, lake: Path, seed: int, hours: int = HOURS, cash: int = 20_000) -> Ran:
    config = config_of(
        lake,
        [CHAIN],
        run={"seed": seed, "end": format_time(time_of(60 * hours))},
        account={"initial_cash": cash},
        options={"allow_short": True},
        fees={"maker_bps": 3, "taker_bps": 3},
    )
    return run_prepared(folder, prepared_run(Gambler, config))


@SOME
@given(seed=integers(0, 3), luck=integers(0, 10**6), cash=integers(2_000, 60_000))
def test_money_adds_up_and_the_log_alone_makes_the_same_account(
    tmp_path_factory: pytest.TempPathFactory, lakes: Path, seed: int, luck: int, cash: int
) -> None:
    ran = run(tmp_path_factory.mktemp("run"), lakes / str(seed), luck, cash=cash)
    assert ran.result.status == "complete"  # a run whose money does not add up fails
    replay(ran.path)
    equity = ran.table("equity")
    assert all(row["cash"] >= 0 for row in equity)
    ends = [event["order_id"] for event in ran.events("orders_update") if event["status"] in ("cancelled", "expired")]
    refused = [event for event in ran.events("orders_rejected") if event["reason"] != "unknown_order"]
    ends += [event["order_id"] for event in refused if event["order_id"] is not None]
    ends += [event["order_id"] for event in ran.events("fills") if Decimal(event["leaves"]) == 0]
    assert len(ends) == len(set(ends))  # at most one end each
    ids = [event["order_id"] for event in ran.events("orders_sanitized") if "kind" in event]
    assert set(ids) == {e for e in ends if e > 0} | set(ran.details["final"]["open_orders"])  # and one that is not open


@SOME
@given(seed=integers(0, 3), luck=integers(0, 10**6))
def test_the_equity_of_every_hour_is_the_money_and_what_the_rows_say_of_what_is_held(
    tmp_path_factory: pytest.TempPathFactory, lakes: Path, seed: int, luck: int
) -> None:
    ran = run(tmp_path_factory.mktemp("run"), lakes / str(seed), luck)
    marks = {(q.hour, q.contract): Decimal(str(q.mark)) for q in quotes_of(seed)}
    cash, held, changes = Decimal(0), dict[str, Decimal](), 0
    events = [line["event"] for line in ran.lines if line["topic"] in ("fills", "cashflows")]
    last = {row["ts"]: row["equity"] for row in ran.table("equity")}  # of an instant the row after all that happened
    for hour in range(1, HOURS + 1):
        while changes < len(events) and events[changes]["ts"] <= time_of(60 * hour):
            event = events[changes]
            changes += 1
            if "amount" in event:
                cash += Decimal(event["amount"])
                continue
            qty = Decimal(event["qty"]) * (1 if event["side"] == "buy" else -1)
            contract = event["instrument"].partition(":")[2]
            held[contract] = held.get(contract, Decimal(0)) + qty
            cash -= qty * Decimal(event["price"]) + Decimal(event["fee"])
        worth = sum(qty * marks[hour - 1, contract] for contract, qty in held.items() if qty)
        assert last[time_of(60 * hour)] == pytest.approx(cash + worth, abs=Decimal("0.000001"))


@SOME
@given(seed=integers(0, 3), luck=integers(0, 10**6))
def test_every_fill_is_at_what_its_row_showed_and_never_more_of_it_and_none_after_expiry(
    tmp_path_factory: pytest.TempPathFactory, lakes: Path, seed: int, luck: int
) -> None:
    ran = run(tmp_path_factory.mktemp("run"), lakes / str(seed), luck)
    shown = {(q.hour, q.contract): q for q in quotes_of(seed)}
    taken: dict[tuple[Quote, str], Decimal] = {}
    liquidity = 0
    for event in ran.events("fills"):
        contract, hour = event["instrument"].partition(":")[2], (event["ts"] - time_of(0)) // HOUR
        name = option_name(contract)
        assert name is not None
        if event["tag"] in ("exercise", "expired"):
            assert event["ts"] == name.expiry
            continue
        assert event["ts"] < name.expiry
        if event["tag"] == "liquidation":
            continue
        quote = shown[hour - 1, contract]
        price, size = (quote.ask, quote.ask_qty) if event["side"] == "buy" else (quote.bid, quote.bid_qty)
        better = (Decimal(event["price"]) - Decimal(str(price))) * (1 if event["side"] == "buy" else -1)
        assert better >= 0  # a post-only order pays its own limit, which is worse
        assert better == 0 or event["liquidity"] == "maker"
        liquidity += 1
        key = (quote, event["side"])
        taken[key] = taken.get(key, Decimal(0)) + Decimal(event["qty"])
        assert taken[key] <= Decimal(str(size))
    assert liquidity or not ran.events("orders_sanitized")


@SOME
@given(seed=integers(0, 3), luck=integers(0, 10**6), cut=integers(2, HOURS - 1))
def test_the_log_of_the_first_rows_is_a_prefix_of_the_log_of_all(
    tmp_path_factory: pytest.TempPathFactory, lakes: Path, seed: int, luck: int, cut: int
) -> None:
    part = run(tmp_path_factory.mktemp("part"), lakes / str(seed), luck, hours=cut)
    whole = run(tmp_path_factory.mktemp("whole"), lakes / str(seed), luck)
    assert part.raw_lines == whole.raw_lines[: len(part.raw_lines)]


def test_such_a_run_repeats_itself_byte_for_byte(tmp_path: Path, lakes: Path) -> None:
    ran = run(tmp_path, lakes / "0", 4)
    assert {event["tag"] for event in ran.events("fills")} >= {"exercise", "expired", "liquidation"}
    verify(ran.path)
