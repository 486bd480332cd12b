"""What is told of orders on markets drawn by hand: the rule, the prices, the reason, in words."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backtester.core.events import CancelIntent, Reason
from backtester.core.instruments import InstrumentId
from backtester.engine.explain.explaining import explain
from backtester.engine.explain.reasons import WORDS, reason_words
from backtester.engine.explain.run_files import RunFiles
from backtester.engine.explain.told import Told, plain_lines
from backtester.engine.run_texts import write_csv
from tests.support.chains import Quote, run_chain
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_on, run_prepared, scripted
from tests.support.venue import UM_BRACKETS, put_rules

B, ETH, NAME = "BTCUSDT", "ETHUSDT", InstrumentId("spot:BTCUSDT")
CALL = "BTC-240102-30000-C"


def run(folder: Path, rows: Rows, script: Mapping[int, Any], **sections: Any) -> Ran:
    return run_on(folder, rows, scripted(script), **sections)


def levered(folder: Path, rows: Rows, script: Mapping[int, Any], **sections: Any) -> Ran:
    write_candles(folder / "lake", rows, symbol=ETH, market="um")
    put_rules(folder / "lake", UM_BRACKETS, date="2023-01-01")
    base: dict[str, Any] = {
        "run": {"market": "um"}, "account": {"initial_cash": 1000}, "futures": {"leverage": 10},
    }  # fmt: skip
    return run_prepared(folder, prepared_run(scripted(script), config_of(folder / "lake", [ETH], **(base | sections))))


def text(ran: Ran, asked: str) -> str:
    """All that is told, one thing a line."""
    told = explain(RunFiles(ran.path), asked)
    return "\n".join(line for one in told.walk() for line in (one.title, *one.details))


def title(ran: Ran, asked: str) -> str:
    return explain(RunFiles(ran.path), asked).title


def test_a_market_order_is_told_from_its_candle_and_its_notes_to_slippage_and_fee(tmp_path: Path) -> None:
    def decide(s: Any) -> Any:
        s.note("the mean crossed", fast=101.5, slow=99)
        return [s.buy(B, "0.0129", tag="in")]

    rows = [(100, 103, 99, 102), (102, 105, 101, 104), (104, 104, 104, 104)]
    ran = run(tmp_path, rows, {0: decide}, slippage={"bps": 10}, fees={"maker_bps": 0, "taker_bps": 20})
    said = text(ran, "order:1")
    for words in (
        "order 1: buy 0.012 spot:BTCUSDT at the market [in]: filled at 102.11",
        "the 1m candle of spot:BTCUSDT that closed at 2024-01-01T00:01:00Z",
        "open 100, high 103, low 99, close 102, volume 1000",
        "wanted to buy 0.0129 spot:BTCUSDT [in]",
        'note "the mean crossed": fast=101.5, slow=99',
        "quantity 0.0129 rounded to 0.012",
        "it took the open of spot:BTCUSDT at 2024-01-01T00:01:00Z, 102: the first price after it was accepted",
        "slippage: 0.11 a unit (10.78 bps) against us: 102 → 102.11 (slippage.bps 10, rounded against us)",
        "fee: 0.00245064 USDT = 20.00 bps (taker) of 1.22532 USDT, rounded up",
        "it belongs to no closed trade: what it opened is open at the end",
    ):
        assert words in said


def test_an_intent_without_a_note_of_its_own_shows_the_last_about_its_instrument(tmp_path: Path) -> None:
    def decide(s: Any) -> Any:
        s.note("target", instrument=NAME, reason="rising")
        s.note("target", instrument="spot:OTHER", reason="falling")

    ran = run(tmp_path, flat(100, 9), {0: decide, 4: lambda s: [s.buy(B, 1, limit=90)]})
    said = text(ran, "order:1")
    assert 'nothing noted now; the last before, 2024-01-01T00:01:00Z: note "target": instrument=spot:BTCUSDT' in said
    assert "falling" not in said
    alone = run(tmp_path / "alone", flat(100, 4), {0: lambda s: [s.buy(B, 1)]})
    assert "the strategy noted nothing of this decision" in text(alone, "order:1")


def test_a_resting_limit_says_how_far_the_candle_went_through_it(tmp_path: Path) -> None:
    rows = [*flat(100, 2), (100, 101, 97, 100), *flat(100, 2)]
    said = text(run(tmp_path, rows, {0: lambda s: [s.buy(B, 1, limit=98)]}), "order:1")
    assert "it rested at its limit 98, and the candle traded through it (its low 97 is below it)" in said
    assert "assumed path through the candle: pessimistic" in said
    assert "slippage: a maker pays none" in said


@pytest.mark.parametrize(
    ("candle", "words"),
    [
        ((100, 101, 94, 95), "the candle reached its stop 96 (low 94, high 101): it executed there, at 96"),
        ((93, 94, 92, 93), "the candle opened beyond its stop 96: it executed at that open, 93"),
    ],
)
def test_a_stop_says_whether_it_was_reached_or_jumped_over(tmp_path: Path, candle: Any, words: str) -> None:
    rows = [*flat(100, 3), candle, *flat(95, 2)]
    script = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop=96)]}
    said = text(run(tmp_path, rows, script), "order:2")
    assert words in said
    assert "order 2 triggered" in said
    assert "trade 1: long 1 spot:BTCUSDT" in said


def test_exits_name_their_entry_and_what_ended_them(tmp_path: Path) -> None:
    rows = [*flat(100, 2), (100, 106, 100, 105), *flat(105, 2)]
    ran = run(tmp_path, rows, {0: lambda s: [s.buy(B, 1, stop_loss=95, take_profits=[(105, 1)], tag="in")]})
    entry, stop, target = (text(ran, f"order:{number}") for number in (1, 2, 3))
    assert "its exits (stop 95, target 105 for 100 %) wait as orders 2, 3 for its fill" in entry
    assert "order 3, sell 1 limit 105: filled" in entry
    assert "order 2, sell 1 stop 95: cancelled: another order of its group" in entry
    assert "it is an exit of order 1: buy 1 spot:BTCUSDT at the market [in]" in stop
    assert "just before: order 3 sold 1 spot:BTCUSDT at 105 USDT" in stop
    assert title(ran, "order:3").endswith("[in.target]: filled at 105")
    assert "it is an exit of order 1" in target


def test_exits_of_an_entry_that_never_filled_say_so(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: lambda s: [s.buy(B, 1, limit=90, stop_loss=80)]})
    said = explain(RunFiles(ran.path), "order:2")
    assert said.title == "order 2: an exit of order 1 that never came to life"
    assert said.details == ["order 1: still working at the end of the log"]


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda s: [s.buy(B, "0.0001")], "risk refused it: its quantity 0 is below the venue's smallest, 0.001"),
        (lambda s: [s.buy(B, 1000)], "risk refused it: it needed 100000 USDT, and 10000 were free"),
        (lambda s: [s.sell(B, 1)], "risk refused it: it would have sold what is not held (held 0)"),
        (
            lambda s: [CancelIntent(ts=s.now, instrument=NAME, order_id=77)],
            "risk refused order 77: order 77 was not open",
        ),
    ],
)
def test_what_risk_refused_is_told_at_its_time_with_its_numbers(tmp_path: Path, act: Any, words: str) -> None:
    ran = run(tmp_path, flat(100, 3), {0: act})
    assert words in text(ran, "time:2024-01-01T00:01")
    [refused] = [line["seq"] for line in ran.lines if line["topic"] == "orders_rejected"]
    said = text(ran, f"event:{refused}")
    assert words in said
    assert "the 1m candle of spot:BTCUSDT that closed at 2024-01-01T00:01:00Z" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 90, "time_in_force": "ioc"}, "expired: it had to fill at once and could not"),
        ({"limit": 101, "post_only": True}, "refused by execution: post-only, but its limit 101 would have taken at"),
        ({"stop": 90}, "refused by execution: its stop 90 was already through the market when it arrived"),
        ({"limit": 90}, "still working at the end of the log"),
    ],
)
def test_an_order_that_did_not_fill_says_why(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    ran = run(tmp_path, flat(100, 5), {0: lambda s: [s.buy(B, 1, **options)]})
    assert words in title(ran, "order:1")


def test_a_replaced_order_names_what_took_its_place(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy(B, 1, limit=90)], 1: lambda s: [s.replace(o, limit=95) for o in s.open_orders(B)]}
    ran = run(tmp_path, flat(100, 4), script)
    assert title(ran, "order:1").endswith("cancelled: a changed order took its place")
    assert "risk let it through as order 2: buy 1 spot:BTCUSDT at a limit (limit 95)" in text(ran, "order:1")
    assert "wanted order 1 changed: limit price 95" in text(ran, "order:2")


def test_parts_of_a_twap_lead_to_the_whole_and_back(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 8), {0: lambda s: [s.buy(B, 4, twap="4m", slices=4, tag="all")]})
    whole, part = text(ran, "order:1"), text(ran, "order:3")
    assert "its parts filled 4 of 4" in whole
    assert "order 3, buy 1 market: filled" in whole
    assert "it is a part of order 1: buy 4 spot:BTCUSDT in slices over time (TWAP) [all]" in part
    assert "a timer that was set for 2024-01-01T00:02:00Z" in part


def test_a_liquidation_says_what_the_position_had_to_keep(tmp_path: Path) -> None:
    ran = levered(tmp_path, [*flat(100, 3), (100, 100, 80, 85), *flat(85, 2)], {0: lambda s: [s.buy(ETH, 40)]})
    said = text(ran, "order:-1")
    assert "the exchange itself orders (liquidation, order -1): sell 40 um:ETHUSDT at the market [liquidation]" in said
    assert "why: the position in um:ETHUSDT is liquidated: price=90.58" in said
    assert "the exchange closed it itself (liquidation) at 90.58" in said


def test_margin_changes_and_breakers_are_told_as_causes(tmp_path: Path) -> None:
    script = {0: lambda s: [s.set_leverage(ETH, 5)], 1: lambda s: [s.buy(ETH, 9)]}
    drawdown = {"limit_pct": 5, "action": "flatten"}
    rows = [*flat(100, 4), *flat(88, 3)]
    ran = levered(tmp_path, rows, script, risk={"allow_short": True, "drawdown": drawdown})
    assert "wanted another margin of um:ETHUSDT: leverage 5" in text(ran, "time:2024-01-01T00:01")
    assert "um:ETHUSDT is secured with leverage 5" in text(ran, "time:2024-01-01T00:01")
    [closing] = [e["order_id"] for e in ran.events("orders_sanitized") if e["side"] == "sell"]
    assert "breaker drawdown tripped (flatten): " in text(ran, f"order:{closing}")


def test_a_command_of_an_operator_is_told_as_a_cause(tmp_path: Path) -> None:
    control = [{"at": "2024-01-01T00:03:00Z", "action": "flatten", "reason": "enough", "who": "ann"}]
    ran = run_on(tmp_path, flat(100, 6), scripted({0: lambda s: [s.buy(B, 1)]}), **{"control": control})  # type: ignore[arg-type]
    assert "command flatten by ann: enough" in text(ran, "order:2")


def test_a_transfer_is_told_to_its_arrival(tmp_path: Path) -> None:
    for market in ("spot", "um"):
        write_candles(tmp_path / "lake", flat(100, 4), market=market)
    wallets = {"wallets": {"spot:USDT": 1000, "um:USDT": 1000}}
    config = config_of(tmp_path / "lake", ["spot:BTCUSDT", "um:BTCUSDT"], account=wallets)
    script = scripted({0: lambda s: [s.transfer("USDT", 250, "spot", "um", tag="mine")]}, first="spot:BTCUSDT")
    ran = run_prepared(tmp_path, prepared_run(script, config))
    assert title(ran, "order:1").endswith("250 USDT from the spot wallet to the um wallet: arrived")
    assert "transfer: -250 USDT in the spot wallet" in text(ran, "order:1")


def test_an_option_met_a_quote(tmp_path: Path) -> None:
    quotes = [Quote(hour, CALL, 90, 100) for hour in range(4)]
    fees = {"maker_bps": 3, "taker_bps": 3}
    ran = run_chain(tmp_path, quotes, {1: lambda s: [s.buy(f"option:{CALL}", 1, limit=100)]}, fees=fees)
    said = text(ran, "order:1")
    assert "it met the best quote" in said
    assert "options are charged by their underlying" in said


def test_a_trade_is_asked_for_by_its_entry_time_too(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy(B, 1)], 2: lambda s: s.close(B)}
    ran = run(tmp_path, flat(100, 6), script)
    assert title(ran, "trade:spot:BTCUSDT@2024-01-01T00:01") == title(ran, "trade:1")


def test_a_candle_that_is_gone_or_changed_is_said_so(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: lambda s: [s.buy(B, 1)]})
    write_candles(tmp_path / "lake", [*flat(100), *flat(200, 3)], replace=True)
    assert "open 200, high 200, low 200, close 200, volume 1000 (the lake has changed since the run)" in text(
        ran, "order:1"
    )
    told = explain(RunFiles(ran.path, tmp_path / "nowhere"), "order:1")
    assert "its candle cannot be shown: spot:BTCUSDT is not in" in "\n".join(d for t in told.walk() for d in t.details)


def test_every_reason_has_words_and_unknown_ones_are_shown_as_they_are() -> None:
    assert set(WORDS) == set(Reason)
    assert len(set(WORDS.values())) == len(WORDS)
    assert reason_words("from_the_future", {"n": "1.500"}) == "from_the_future (n 1.5)"
    assert reason_words("insufficient_balance", {"required": "5.10", "free": "0", "asset": "BTC", "from": "um"}) == (
        "it needed 5.1 BTC, and 0 were free (from um)"
    )
    assert reason_words("below_min_qty", {}) == WORDS[Reason.BELOW_MIN_QTY]


def test_an_object_for_machines_has_all_that_is_told(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: lambda s: [s.buy(B, 1)]})
    told: Told = explain(RunFiles(ran.path), "order:1")
    found = told.as_object()
    assert found["title"] == told.title
    topics = [part.get("topic") for part in found["parts"]]
    assert topics == [None, "orders_intent", "orders_sanitized", "orders_update", "fills", None]
    assert found["parts"][4]["event"] == ran.events("fills")[0]


def in_parts(folder: Path, *, qty: int = 9) -> Ran:
    """An order that is filled over several candles, because little is traded in each."""
    return run(folder, flat(100, 16), {0: lambda s: [s.buy(B, qty)]}, execution={"participation": "0.002"})


def test_only_the_first_part_took_the_first_price_after_the_order_was_accepted(tmp_path: Path) -> None:
    ran = in_parts(tmp_path)
    assert len(ran.events("fills")) > 2
    said = text(ran, "order:1")
    assert said.count("the first price after it was accepted") == 1
    assert said.count("what was left had waited for more to be traded") == len(ran.events("fills")) - 1
    lines = [line["seq"] for line in ran.lines if line["topic"] == "fills"]
    assert "the first price after it was accepted" in text(ran, f"event:{lines[0]}")
    assert "what was left had waited for more to be traded" in text(ran, f"event:{lines[1]}")


def test_an_order_with_more_lines_than_are_told_is_counted_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = in_parts(tmp_path)
    whole = text(ran, "order:1")
    monkeypatch.setattr("backtester.engine.explain.orders._MOST_LINES", 4)
    cut = text(ran, "order:1")
    fills = len(ran.events("fills"))
    assert title(ran, "order:1").endswith("filled at 100")
    assert f"what it came to: {fills} fills" in cut
    fees = next(line for line in whole.splitlines() if line.startswith("what it came to"))
    assert fees in cut
    assert "only its first 4 lines are told, and all of them are counted" in cut
    assert "lines are told" not in whole


def test_the_headline_has_the_last_size_of_an_order(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        flat(100, 16),
        {0: lambda s: [s.buy(B, 9, stop_loss=50)]},
        execution={"participation": "0.002"},
    )
    assert title(ran, "order:2").startswith("order 2: sell 9 spot:BTCUSDT at a stop")


def test_an_order_belongs_to_the_trades_that_its_fills_made_and_to_no_neighbour(tmp_path: Path) -> None:
    def turn(s: Any) -> Any:
        return [*s.close(ETH), s.sell(ETH, 2, tag="next")]

    ran = levered(
        tmp_path,
        flat(100, 8),
        {0: lambda s: [s.buy(ETH, 1)], 2: turn, 4: lambda s: s.close(ETH), 5: lambda s: [s.buy(ETH, 3)]},
        risk={"allow_short": True},
    )
    trades = [number for number in (1, 2) if number <= len(ran.table("trades"))]
    assert trades == [1, 2]
    assert ran.table("trades")[0]["exit_time"] == ran.table("trades")[1]["entry_time"]
    of = {number: text(ran, f"order:{number}") for number in range(1, 6)}
    belongs = {n: [t for t in trades if f"\ntrade {t}: " in said] for n, said in of.items()}
    assert belongs == {1: [1], 2: [1], 3: [2], 4: [2], 5: []}
    assert "what it opened is open at the end" in of[5]


def test_an_order_through_zero_made_two_trades_and_a_liquidation_one(tmp_path: Path) -> None:
    turned = levered(
        tmp_path / "turned",
        flat(100, 8),
        {0: lambda s: [s.buy(ETH, 1)], 2: lambda s: [s.sell(ETH, 3)]},
        risk={"allow_short": True},
    )
    said = text(turned, "order:2")
    assert "\ntrade 1: long 1 um:ETHUSDT" in said
    assert "it is in one more trade, which is open at the end" in said
    fall = [*flat(100, 3), (100, 100, 80, 85), *flat(85, 2)]
    script = {0: lambda s: [s.buy(ETH, 1)], 1: lambda s: s.close(ETH), 2: lambda s: [s.buy(ETH, 40)]}
    ran = levered(tmp_path / "liquidated", fall, script)
    liquidated = text(ran, "order:-1")
    assert "\ntrade 2: long 40 um:ETHUSDT" in liquidated
    assert "\ntrade 1: " not in liquidated


def test_tags_and_notes_steer_no_terminal_and_no_spreadsheet(tmp_path: Path) -> None:
    def decide(s: Any) -> Any:
        s.note("\x1b[31mred", why="\x07")
        return [s.buy(B, 1, tag="=cmd\x1b[0m")]

    ran = run(tmp_path, flat(100, 6), {0: decide, 2: lambda s: s.close(B)})
    said = "\n".join(plain_lines(explain(RunFiles(ran.path), "order:1")))
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\\x1b[31mred" in said
    trades, _ = write_csv(ran.path)
    [row] = csv.DictReader(trades.open(encoding="utf-8"))
    assert row["entry_tag"] == "'=cmd\ufffd[0m"
    assert "'" not in row["fees"] + row["net_pnl"]
