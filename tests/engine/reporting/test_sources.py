"""What a report reads of a run."""

import json
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backtester.core.errors import StorageError, UsageError
from backtester.core.time import HOUR, MINUTE
from backtester.data.lake import Lake
from backtester.engine.reporting.candles import price_series
from backtester.engine.reporting.events import read_events
from backtester.engine.reporting.levels import stops_and_targets
from backtester.engine.reporting.sources import read_sources
from backtester.engine.reporting.tables import read_table
from tests.support.dealing import EVIL, dealt
from tests.support.lakes import wandering
from tests.support.market import time_of, write_candles
from tests.support.runs import Ran


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return dealt(tmp_path_factory.mktemp("dealt"))


def test_a_table_is_read_as_numbers_times_and_texts(tmp_path: Path) -> None:
    big = Decimal("170141183460469231.00000001")  # beyond what 64 bits hold at this scale
    columns = {
        "ts": pa.array([1, 2, 3], pa.timestamp("us", tz="UTC")),
        "money": pa.array([Decimal("1.5"), None, Decimal("-2.25")], pa.decimal128(38, 8)),
        "huge": pa.array([big, big, -big], pa.decimal128(38, 8)),
        "ratio": pa.array([0.5, None, -1.0]),
        "tag": pa.array(["a", None, "c"]),
        "left_out": pa.array([1, 2, 3]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=2)
    table = read_table(tmp_path / "t.parquet", ("ts", "money", "huge", "ratio", "tag"))
    assert table is not None
    assert table.rows == 3
    assert table.times("ts").tolist() == [1, 2, 3]
    np.testing.assert_array_equal(table.numbers("money"), [1.5, np.nan, -2.25])
    np.testing.assert_allclose(table.numbers("huge"), [float(big), float(big), -float(big)])
    np.testing.assert_array_equal(table.numbers("ratio"), [0.5, np.nan, -1.0])
    assert table.texts("tag") == ["a", "", "c"]
    assert "left_out" not in table


def test_a_table_that_is_not_there_is_none_and_a_broken_one_an_error(tmp_path: Path) -> None:
    assert read_table(tmp_path / "none.parquet") is None
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    with pytest.raises(StorageError, match="cannot be read"):
        read_table(tmp_path / "broken.parquet")


def test_notes_are_found_as_the_log_has_them(ran: Ran) -> None:
    notes = ran.events("notes")
    found = read_events(ran.path / "audit.jsonl")
    assert found.notes == notes
    assert found.counts["notes"] == len(notes) == 630
    assert [n for n in found.notes if n["text"] == EVIL]


def test_refusals_are_counted_by_reason(tmp_path: Path) -> None:
    poor = dealt(tmp_path, account={"initial_cash": 150})
    reasons = [reason for _, reason, _ in poor.refusals]
    found = read_events(poor.path / "audit.jsonl").refusals
    assert dict(found) == {reason: reasons.count(reason) for reason in reasons}


def test_a_text_that_looks_like_a_line_of_the_log_counts_for_nothing(tmp_path: Path) -> None:
    line = {
        "seq": 1,
        "tick": 1,
        "topic": "notes",
        "event": {"ts": 1, "text": '"topic":"risk_alert","event":{}', "values": {}},
    }
    log = tmp_path / "audit.jsonl"
    log.write_text(json.dumps(line, separators=(",", ":")) + "\n" + '{"seq":2,"tick":2,"topic":"risk_al')
    found = read_events(log)
    assert len(found.notes) == 1
    assert found.risk == []


def test_each_trade_has_the_stop_and_the_target_that_its_entry_was_sent_with(ran: Ran) -> None:
    trades, fills, orders = (read_table(ran.path / f"{name}.parquet") for name in ("trades", "fills", "orders"))
    assert trades is not None
    stops, targets = stops_and_targets(trades, fills, orders)
    rows = wandering(600, 3)
    assert trades.rows > 10
    for row, entry in enumerate(trades.times("entry_time").tolist()):
        decided = rows[(entry - time_of(0)) // MINUTE - 1]
        assert decided is not None
        assert (stops[row], targets[row]) == (round(decided[3] * 0.99, 2), round(decided[3] * 1.01, 2))


def test_candles_get_longer_until_they_all_fit(tmp_path: Path) -> None:
    for number, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        write_candles(tmp_path, wandering(600, number), symbol=symbol)
    names, start, end = ["spot:BTCUSDT", "spot:ETHUSDT"], time_of(0), time_of(600)
    every = price_series(Lake(tmp_path), names, "1m", start, end)
    assert [(s.instrument, s.timeframe, len(s.candles or ())) for s in every] == [(n, "1m", 600) for n in names]
    fewer = price_series(Lake(tmp_path), names, "1m", start, end, most=100)
    assert [(s.timeframe, len(s.candles or ())) for s in fewer] == [("15m", 40)] * 2
    whole, folded = every[0].candles, fewer[0].candles
    assert whole is not None
    assert folded is not None
    assert folded.high[3] == whole.high[45:60].max()
    assert (folded.open[3], folded.close[3]) == (whole.open[45], whole.close[59])


def test_what_has_no_candles_says_why(tmp_path: Path) -> None:
    write_candles(tmp_path, wandering(60, 1))
    start, end = time_of(0), time_of(60)
    assert "not there" in price_series(None, ["spot:BTCUSDT"], "1m", start, end)[0].why
    assert "BNBUSDT" in price_series(Lake(tmp_path), ["spot:BNBUSDT"], "1m", start, end)[0].why
    late = price_series(Lake(tmp_path), ["spot:BTCUSDT"], "1m", end + HOUR, end + HOUR + MINUTE)[0]
    assert late.candles is None
    assert late.why


def test_a_certificate_of_another_run_is_a_fault_and_no_proof(ran: Ran, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(ran.path, folder)
    (folder / "certificate.json").write_text('{"verdict": "proven"}')
    run = read_sources(folder)
    assert run.certificate is None
    assert "not a certificate" in run.certificate_fault


def test_a_run_that_was_never_sealed_has_nothing_to_report(ran: Ran, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(ran.path, folder)
    (folder / "run.json").unlink()
    with pytest.raises(UsageError, match="never sealed"):
        read_sources(folder)
