"""Looking things up in a log: what bisection and blocks find is what reading all of it finds."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists

from backtester.audit import seeking
from backtester.audit.seeking import LogFile
from backtester.core.errors import CheckFailed, UsageError


def write_log(path: Path, ticks: list[int]) -> Path:
    """Lines of very different lengths, some longer than what is read at a time when looking for their beginning."""
    chance = random.Random(len(ticks))
    with path.open("w", encoding="utf-8") as file:
        for seq, tick in enumerate(ticks, 1):
            event = {"ts": tick, "order_id": seq % 7, "pad": "x" * chance.choice([0, 5, 300, 9_000])}
            file.write(
                json.dumps(
                    {"seq": seq, "tick": tick, "topic": "notes", "event": event, "h": "0"}, separators=(",", ":")
                )
            )
            file.write("\n")
    return path


@given(steps=lists(integers(min_value=0, max_value=3), min_size=1, max_size=60))
def test_every_line_is_found_by_its_number_and_by_its_tick(
    steps: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ticks = [sum(steps[: n + 1]) for n in range(len(steps))]
    log = LogFile(write_log(tmp_path_factory.mktemp("log") / "audit.jsonl", ticks))
    for seq, tick in enumerate(ticks, 1):
        line = log.line(seq)
        assert line is not None
        assert (line.seq, line.tick) == (seq, tick)
    assert log.line(0) is None
    assert log.line(len(ticks) + 1) is None
    last = log.last()
    assert last is not None
    assert last.seq == len(ticks)
    for tick in range(-1, ticks[-1] + 2):
        found = [line.seq for line in log.lines(log.at(tick))]
        assert found == [seq for seq, at in enumerate(ticks, 1) if at >= tick]
        before = log.before(log.at(tick))
        assert (before and before.seq) == max((seq for seq, at in enumerate(ticks, 1) if at < tick), default=None)


def test_what_lines_mention_is_found_across_the_blocks_in_which_the_log_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogFile(write_log(tmp_path / "audit.jsonl", list(range(300))))
    monkeypatch.setattr(seeking, "_BLOCK_BYTES", 1_000)
    found = [line.seq for line in log.mentioning([b'"order_id":3,', b'"order_id":5,'])]
    assert found == [seq for seq in range(1, 301) if seq % 7 in (3, 5)]
    assert [line.seq for line in log.mentioning([b'"order_id":3,'], log.at(290))] == [297]


def test_a_last_line_that_was_cut_is_not_there(tmp_path: Path) -> None:
    path = write_log(tmp_path / "audit.jsonl", [1, 2, 3])
    path.write_bytes(path.read_bytes()[:-5])
    log = LogFile(path)
    last = log.last()
    assert last is not None
    assert last.seq == 2
    assert log.line(3) is None
    assert [line.seq for line in log.lines()] == [1, 2]
    assert [line.seq for line in log.mentioning([b"order_id"])] == [1, 2]


def test_an_empty_log_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").touch()
    log = LogFile(tmp_path / "audit.jsonl")
    assert (log.last(), log.line(1), list(log.lines(log.at(0)))) == (None, None, [])


def test_what_is_no_log_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        LogFile(tmp_path / "audit.jsonl")
    (tmp_path / "audit.jsonl").write_text("one\ntwo\nthree\n")
    with pytest.raises(CheckFailed, match="not a log line"):
        LogFile(tmp_path / "audit.jsonl").line(2)
