"""The log's format and chain, recomputed from the page that defines them."""

import hashlib
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backtester.core.market import Candle
from backtester.core.topics import ALL_TOPICS
from backtester.strategy.base import Strategy
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.market import flat
from tests.support.runs import Ran, config_of, prepared_run, run_on, run_prepared, scripted

B = "BTCUSDT"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A busy run on both coins, with costs."""
    folder = tmp_path_factory.mktemp("busy")
    two_coins(folder / "lake", 300)
    config = config_of(folder / "lake", ["BTCUSDT", "ETHUSDT"], fees={"maker_bps": -1, "taker_bps": 10})
    return run_prepared(folder, prepared_run(Erratic, config, busy=0.4))


def test_the_chain_is_blake2b_over_the_digest_before_and_the_bytes_before_h(ran: Ran) -> None:
    digest = bytes(16)
    for line in ran.raw_lines:
        body, separator, tail = line.partition(b',"h":"')
        assert separator
        digest = hashlib.blake2b(digest + body, digest_size=16).digest()
        assert tail == digest.hex().encode() + b'"}\n'
    assert ran.details["log"] == {"digest": digest.hex(), "lines": len(ran.raw_lines)}
    assert ran.result.digest == digest.hex()


def test_a_line_has_its_keys_in_order_and_no_spaces(ran: Ran) -> None:
    for number, (raw, line) in enumerate(zip(ran.raw_lines, ran.lines, strict=True), start=1):
        assert list(line) == ["seq", "tick", "topic", "event", "h"]
        assert line["seq"] == line["event"]["event_id"] == number
        assert list(line["event"])[:3] == ["ts", "event_id", "cause_id"]
        assert raw == json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def test_ticks_never_go_back_and_nothing_is_known_before_it_happened(ran: Ran) -> None:
    ticks = [line["tick"] for line in ran.lines]
    assert ticks == sorted(ticks)
    assert all(line["event"]["ts"] <= line["tick"] for line in ran.lines)


def test_every_cause_is_an_earlier_line_or_a_market_record(ran: Ran) -> None:
    record = re.compile(r"^(spot:\w+/(candle/\w+|open)|dues|timerfired|expiry)/\d+$")
    for line in ran.lines:
        cause = line["event"]["cause_id"]
        assert cause is None or (cause < line["seq"] if isinstance(cause, int) else record.match(cause)), cause


PLACES = {
    "fills": {"qty": 3, "price": 2, "reference_price": 2, "fee": 8, "leaves": 3},
    "orders_sanitized": {"qty": 3, "budget": 8, "limit_price": 2, "stop_price": 2, "reserve": 8},
    "cashflows": {"amount": 8},
    "account_snapshot": {"equity": 8},
    "assets": {"cash": 8, "reserved": 8, "realised": 8, "fees": 8, "funding": 8},
    "positions": {"qty": 3, "basis": 8, "mark": 2, "unrealised": 8},
}


def test_decimals_are_plain_text_at_the_scale_of_their_field(ran: Ran) -> None:
    seen = set()

    def check(kind: str, event: dict[str, Any]) -> None:
        for key, places in PLACES[kind].items():
            if key in event:
                assert re.fullmatch(rf"-?\d+\.\d{{{places}}}", event[key]), (kind, key, event[key])
                seen.add((kind, key))

    for line in ran.lines:
        if line["topic"] in PLACES:
            check(line["topic"], line["event"])
        for rows in ("assets", "positions"):
            for row in line["event"].get(rows, []):
                check(rows, row)
    assert seen == {(kind, key) for kind, keys in PLACES.items() for key in keys}


def test_what_a_snapshot_says(ran: Ran) -> None:
    snapshot = max(ran.events("account_snapshot"), key=lambda event: len(event["positions"]))
    assert list(snapshot) == ["ts", "event_id", "cause_id", "currency", "equity", "assets", "positions"]
    assert [row["asset"] for row in snapshot["assets"]] == sorted(row["asset"] for row in snapshot["assets"])
    assert list(snapshot["assets"][0]) == ["wallet", "asset", "cash", "reserved", "realised", "fees", "funding"]
    assert list(snapshot["positions"][0]) == [
        "instrument",
        "qty",
        "basis",
        "mark",
        "mark_time",
        "unrealised",
    ]


def test_only_what_was_decided_is_logged(ran: Ran) -> None:
    logged = {line["topic"] for line in ran.lines}
    assert logged <= {topic.name for topic in ALL_TOPICS if topic.logged}
    assert not logged & {"market", "candles", "opens", "dues", "clock", "timers"}


def test_nothing_in_a_line_depends_on_where_or_when_the_run_was_made(ran: Ran) -> None:
    text = b"".join(ran.raw_lines).decode()
    for forbidden in (ran.result.run_id, str(ran.path), ran.details["context"]["git_sha"] or "?", "inline"):
        assert forbidden not in text


def test_every_loggable_event_can_be_written() -> None:
    from backtester.audit.encoding import event_writer

    for topic in ALL_TOPICS:
        if topic.logged:
            for payload in topic.payloads:
                assert callable(event_writer(payload))


def test_text_that_needs_escaping_stays_json(tmp_path: Path) -> None:
    nasty = 'a "quoted" \\ back{slash} line\nbreak µ 漢 \x01'

    class Notes(Strategy):
        def on_candle(self, candle: Candle) -> Any:
            self.note(nasty, **{"k y": nasty})
            return [self.buy(B, 1, tag=nasty, oco=nasty)]

    run = run_on(tmp_path, flat(100, 3), Notes)
    assert run.events("notes")[0]["text"] == nasty
    assert run.events("notes")[0]["values"] == {"k y": nasty}
    assert run.events("orders_intent")[0]["tag"] == nasty
    assert len(run.raw_lines) == len(run.lines)


def test_an_intent_is_logged_as_it_was_asked_for(tmp_path: Path) -> None:
    def ask(s: Any) -> Any:
        return [s.buy(B, Decimal("1E+1"), limit=Decimal("99.123456789")), s.buy(B, quote=1e-7), s.buy(B, fraction=0.1)]

    intents = run_on(tmp_path, flat(100, 2), scripted({0: ask})).events("orders_intent")
    assert [(i["qty"], i["quote"], i["fraction"], i.get("limit_price")) for i in intents] == [
        ("10", None, None, "99.123456789"),
        (None, "0.0000001", None, None),
        (None, None, "0.1", None),
    ]


def test_an_event_of_every_kind_decodes_as_json(ran: Ran) -> None:
    decoder = msgspec.json.Decoder()
    kinds = {(line["topic"], tuple(line["event"])) for line in map(decoder.decode, ran.raw_lines)}
    assert {topic for topic, _ in kinds} >= {
        "orders_intent",
        "orders_sanitized",
        "orders_rejected",
        "orders_update",
        "fills",
        "cashflows",
        "account_snapshot",
        "notes",
    }
