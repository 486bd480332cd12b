"""TWAP and iceberg orders whose parts and cancels travel: never more than asked, one end, and nothing after it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, none, one_of, sampled_from

from tests.support.lakes import two_coins
from tests.support.market import flat
from tests.support.profiles import examples
from tests.support.runs import Ran, bought, config_of, prepared_run, run_on, run_prepared, scripted
from tests.support.tape import prepared_on_tape, wandering_tape, write_tape

B = "BTCUSDT"
MINUTES = 40
ENDS = ("cancelled", "expired", "filled")
wishes = {
    "slices": integers(2, 8),
    "minutes": integers(1, 3),
    "iceberg": booleans(),
    "cancel_after": one_of(none(), integers(2, 20)),
    "close": booleans(),
    "jitter": sampled_from([0, 700, 90_000, 300_000]),
}


@pytest.fixture(scope="module", params=["candles", "trades"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "candles":
        two_coins(folder, MINUTES, seed=5, market="um", quiet=0.2)
    else:
        trades, quotes = wandering_tape(1, MINUTES, 12)
        write_tape(folder, trades, quotes, minutes=MINUTES)
    return request.param, folder


def check(ran: Ran, parent: int, qty: Decimal) -> None:
    """Read a log: what filled, and when the whole ended."""
    parts = {e["order_id"] for e in ran.events("orders_sanitized") if e.get("algo_id") == parent}
    open_parts: set[int] = set()
    filled, ended = Decimal(0), []
    for line in ran.lines:
        event, topic = line["event"], line["topic"]
        order_id = event.get("order_id")
        if order_id in parts:
            if topic == "orders_sanitized" and "qty" in event:
                assert not open_parts, "a part was sent while the one before it was open"
                open_parts.add(order_id)
            elif topic == "fills":
                assert not ended, "a part filled after the whole had ended"
                filled += Decimal(event["qty"])
            over = topic == "fills" and Decimal(event["leaves"]) == 0
            over |= topic == "orders_update" and event["status"] in ENDS
            over |= topic == "orders_rejected" and event["reason"] != "unknown_order"
            open_parts -= {order_id} if over else set()
        elif order_id == parent and topic == "orders_update" and event["status"] in ENDS:
            ended.append(event["status"])
    assert filled <= qty
    assert len(ended) <= 1
    assert (filled == qty) is (ended == ["filled"])


@settings(max_examples=examples(25), deadline=None)
@given(latency=sampled_from([0, 60_000, 90_000, 200_000]), **wishes)
def test_parts_that_travel_stay_within_the_whole_which_ends_once_after_them(
    tmp_path_factory: pytest.TempPathFactory,
    lake: tuple[str, Path],
    latency: int,
    slices: int,
    minutes: int,
    iceberg: bool,
    cancel_after: int | None,
    close: bool,
    jitter: int,
) -> None:
    def whole(s: Any) -> Any:
        if iceberg:
            return [s.buy(B, slices, limit=Decimal(repr(s.price)), display=1)]
        return [s.buy(B, slices, twap=f"{slices * minutes}m", slices=slices)]

    def take_back(s: Any) -> Any:
        return s.close(B) if close else s.cancel_all(B)

    script = {1: whole} | ({} if cancel_after is None else {cancel_after: take_back})
    kind, folder = lake
    execution = {"latency_ms": latency or 700, "latency_jitter_ms": jitter}

    class Sends(scripted(script)):  # type: ignore[misc]
        def on_candle(self, candle: Any) -> Any:
            self.price = candle.close
            return super().on_candle(candle)

    if kind == "candles":
        config = config_of(folder, [B], run={"market": "um"}, execution=execution)
        ran = run_prepared(tmp_path_factory.mktemp("run"), prepared_run(Sends, config))
    else:
        named = [f"um:{B}/trades"]
        prepared = prepared_on_tape(folder, Sends, named, run={"market": "um"}, execution=execution)
        ran = run_prepared(tmp_path_factory.mktemp("run"), prepared)
    check(ran, 1, Decimal(slices))


def test_a_twap_whose_cancels_come_too_late_buys_what_was_asked(tmp_path: Path) -> None:
    """Each slice fills after its cancel was sent; the next one counts what came of it."""
    act = scripted({0: lambda s: [s.buy(B, 4, twap="4m", slices=4)]})
    ran = run_on(tmp_path, flat(100, 14), act, execution={"latency_ms": 60_000})
    assert ran.fills == [bought(candle, 100) for candle in (2, 3, 4, 5)]
    assert [(status, reason) for id_, status, reason in ran.updates if id_ == 1] == [("filled", "parts_filled")]


def test_a_taken_back_iceberg_ends_when_its_part_has(tmp_path: Path) -> None:
    """The part fills while its cancel travels: it counts, and nothing follows it."""
    act = {1: lambda s: [s.buy(B, 3, limit=95, display=1)], 3: lambda s: s.cancel_all(B)}
    market = [*flat(100, 4), (100, 100, 90, 100), *flat(100, 5)]
    ran = run_on(tmp_path, market, scripted(act), execution={"latency_ms": 60_000})
    assert ran.fills == [bought(4, 95)]
    assert [(status, reason) for id_, status, reason in ran.updates if id_ == 1] == [("cancelled", "requested")]
    assert max(e["order_id"] for e in ran.events("orders_sanitized")) == 2
