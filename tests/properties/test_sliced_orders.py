"""TWAP and iceberg orders under random markets, cancels, refusals and quiet candles: what the log must always say."""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from backtester.algos.schedule import shown_qty, slice_qty
from backtester.core.time import format_time
from backtester.engine.replay import replay
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.market import time_of
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

CANDLES = 400
ENDS = ("cancelled", "expired", "filled")
SIZING = {"model": "volatility_target", "target_percent": 500, "measure": "atr", "window": 9, "max_percent": 20}


@given(
    qty=integers(1, 10**9),
    slices=integers(2, 200),
    lot=integers(1, 10**5),
    luck=integers(0, 2**64 - 1),
)
def test_slices_sum_to_the_whole_whatever_some_of_them_miss(qty: int, slices: int, lot: int, luck: int) -> None:
    qty -= qty % lot
    filled = 0
    for number in range(slices):
        size = slice_qty(qty, slices, number, filled, lot)
        assert size % lot == 0
        assert 0 <= size <= qty - filled
        missed = number < slices - 1 and luck >> (number % 64) & 1
        filled += 0 if missed else size
    assert filled == qty


@given(qty=integers(1, 10**6), display=integers(1, 10**6))
def test_what_an_iceberg_shows_sums_to_the_whole(qty: int, display: int) -> None:
    filled = parts = 0
    while filled < qty and parts < 1000:
        part = shown_qty(qty, display, filled)
        assert 0 < part <= display
        filled, parts = filled + part, parts + 1
    assert filled == qty or parts == 1000


def run_of(folder: Path, lake: Path, seed: int, market: str, end: int = CANDLES) -> Ran:
    run = {"market": market, "seed": seed, "end": format_time(time_of(end))}
    costs: dict[str, Any] = {"fees": {"maker_bps": 2, "taker_bps": 5}, "slippage": {"bps": 1}}
    config = config_of(lake, ["BTCUSDT", "ETHUSDT"], run=run, sizing=SIZING, **costs)
    return run_prepared(folder, prepared_run(Erratic, config, busy=0.4))


@pytest.fixture(scope="module", params=["spot", "um"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[Ran]]:
    folder = tmp_path_factory.mktemp(request.param)
    two_coins(folder / "lake", CANDLES, seed=3, market=request.param, quiet=0.1)
    return (
        folder / "lake",
        request.param,
        [run_of(folder / str(seed), folder / "lake", seed, request.param) for seed in range(4)],
    )


def parents(ran: Ran) -> dict[int, dict[str, Any]]:
    return {e["order_id"]: e for e in ran.events("orders_changed") if e["kind"] in ("twap", "iceberg")}


def test_every_sliced_order_ends_at_most_once_and_only_the_end_of_the_run_leaves_one_open(
    made: tuple[Path, str, list[Ran]],
) -> None:
    seen = defaultdict(int)
    for ran in made[2]:
        rows = {row["order_id"]: row for row in ran.table("orders")}
        for order_id in parents(ran):
            ended = [(status, reason) for id_, status, reason in ran.updates if id_ == order_id and status in ENDS]
            assert len(ended) <= 1
            assert rows[order_id]["status"] == (ended[0][0] if ended else "working")
            seen[rows[order_id]["status"]] += 1
    assert {"filled", "expired", "cancelled"} <= seen.keys()


def test_the_parts_of_a_sliced_order_stay_within_it(made: tuple[Path, str, list[Ran]]) -> None:
    checked = 0
    for ran in made[2]:
        wholes = parents(ran)
        whole_of = {e["order_id"]: e["algo_id"] for e in ran.events("orders_sanitized") if e.get("algo_id")}
        filled: dict[int, Decimal] = defaultdict(Decimal)
        open_parts: dict[int, dict[int, Decimal]] = defaultdict(dict)
        times: dict[int, list[int]] = defaultdict(list)
        for line in ran.lines:
            event, order_id = line["event"], line["event"].get("order_id")
            if line["topic"] == "orders_intent" and event.get("algo_id"):
                times[event["algo_id"]].append(event["ts"])
            if order_id not in whole_of:
                continue
            shown = open_parts[whole_of[order_id]]
            if line["topic"] == "orders_sanitized" and "qty" in event:
                shown[order_id] = Decimal(event["qty"])
            elif line["topic"] == "fills":
                filled[whole_of[order_id]] += Decimal(event["qty"])
                shown[order_id] -= Decimal(event["qty"])
                if Decimal(event["leaves"]) == 0:
                    del shown[order_id]
            elif line["topic"] == "orders_rejected" or event.get("status") in ENDS:
                shown.pop(order_id, None)
            whole = wholes[whole_of[order_id]]
            if whole["kind"] == "iceberg":
                assert sum(shown.values()) <= Decimal(whole["display"])
        for order_id, whole in wholes.items():
            assert filled[order_id] <= Decimal(whole["qty"])
            ended = [s for id_, s, _ in ran.updates if id_ == order_id and s in ENDS]
            assert (filled[order_id] == Decimal(whole["qty"])) is (ended == ["filled"])
            if whole["kind"] == "twap":
                interval, begins = whole["span"] // whole["slices"], whole["ts"]
                assert [at for at in times[order_id] if (at - begins) % interval] == []
                assert all(begins <= at < begins + whole["span"] for at in times[order_id])
                assert len(times[order_id]) == len(set(times[order_id])) <= whole["slices"]
            checked += 1
    assert checked > 50


def test_a_part_is_cancelled_once_whoever_wants_it(made: tuple[Path, str, list[Ran]]) -> None:
    """The exchange knows every part that it is asked to cancel: slicer and strategy may ask at one instant."""
    cancelled = 0
    for ran in made[2]:
        parts = {e["order_id"] for e in ran.events("orders_sanitized") if e.get("algo_id")}
        cancels = [e["order_id"] for e in ran.events("orders_sanitized") if "qty" not in e and e["order_id"] in parts]
        refused = [e for e in ran.events("orders_rejected") if e["who"] == "execution" and e["order_id"] in parts]
        assert len(cancels) == len(set(cancels))
        assert [e for e in refused if e["reason"] == "unknown_order"] == []
        cancelled += len(cancels)
    assert cancelled > 10


def test_a_log_with_sliced_and_sized_orders_replays_and_has_the_past_as_its_prefix(
    made: tuple[Path, str, list[Ran]], tmp_path: Path
) -> None:
    lake, market, runs = made
    for seed, ran in enumerate(runs):
        assert replay(ran.path).status == "complete"
        assert any("sizing" in e for e in ran.events("orders_sanitized"))
        for cut in (57 + seed, 203 + seed):
            part = run_of(tmp_path / f"{seed}-{cut}", lake, seed, market, cut).raw_lines
            assert part == ran.raw_lines[: len(part)]
