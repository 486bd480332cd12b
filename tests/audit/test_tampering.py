"""A log that was changed, cut or torn is found out, and the line is named."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backtester.audit.reader import read_log
from backtester.core.errors import CheckFailed, UsageError
from backtester.engine.replay import replay
from tests.support.market import flat
from tests.support.runs import Ran, run_on, scripted

B = "BTCUSDT"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    trades = scripted({0: lambda s: [s.buy(B, 1)], 3: lambda s: [s.sell(B, 1)], 5: lambda s: [s.buy(B, 2, limit=90)]})
    return run_on(tmp_path_factory.mktemp("run"), [*flat(100, 3), *flat(110, 6)], trades)


@pytest.fixture
def copy(ran: Ran, tmp_path: Path) -> Path:
    return shutil.copytree(ran.path, tmp_path / ran.path.name)


def rewrite(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    log = folder / "audit.jsonl"
    log.write_bytes(b"".join(change(log.read_bytes().splitlines(keepends=True))))


def rechained(lines: list[bytes]) -> list[bytes]:
    """What a careful forger would do: every digest computed anew."""
    digest, result = bytes(16), []
    for line in lines:
        body = line.partition(b',"h":"')[0]
        digest = hashlib.blake2b(digest + body, digest_size=16).digest()
        result.append(body + b',"h":"' + digest.hex().encode() + b'"}\n')
    return result


def test_an_untouched_run_replays(ran: Ran) -> None:
    done = replay(ran.path)
    assert (done.status, done.sealed, done.lines) == ("complete", True, len(ran.lines))
    assert done.digest == ran.result.digest


@pytest.mark.parametrize("number", [1, 5, -1])
def test_a_changed_line_breaks_the_chain_at_that_line(copy: Path, ran: Ran, number: int) -> None:
    at = number if number > 0 else len(ran.lines)

    def change(lines: list[bytes]) -> list[bytes]:
        lines[at - 1] = lines[at - 1].replace(b'"ts":17', b'"ts":16', 1)
        return lines

    rewrite(copy, change)
    with pytest.raises(CheckFailed, match=f"line {at}: the chain is broken"):
        replay(copy)


def test_a_changed_digest_is_found(copy: Path) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        lines[2] = lines[2][:-10] + (b"0" if lines[2][-10:-9] != b"0" else b"1") + lines[2][-9:]
        return lines

    rewrite(copy, change)
    with pytest.raises(CheckFailed, match="line 3: the chain is broken"):
        replay(copy)


def test_a_deleted_line_is_found(copy: Path) -> None:
    rewrite(copy, lambda lines: lines[:3] + lines[4:])
    with pytest.raises(CheckFailed, match="line 4"):
        replay(copy)


def test_two_lines_that_changed_places_are_found(copy: Path) -> None:
    rewrite(copy, lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]])
    with pytest.raises(CheckFailed, match="line 4"):
        replay(copy)


def test_missing_last_lines_are_found_by_the_digest_in_run_json(copy: Path, ran: Ran) -> None:
    rewrite(copy, lambda lines: lines[:-2])
    with pytest.raises(CheckFailed, match=f"the log has {len(ran.lines) - 2} lines .* run.json says {len(ran.lines)}"):
        replay(copy)


def test_an_empty_log_is_not_the_one_of_the_run(copy: Path) -> None:
    rewrite(copy, lambda lines: [])
    with pytest.raises(CheckFailed, match="the log has 0 lines"):
        replay(copy)


def test_a_torn_last_line_of_a_sealed_run_is_damage(copy: Path, ran: Ran) -> None:
    rewrite(copy, lambda lines: [*lines[:-1], lines[-1][:-1]])
    with pytest.raises(CheckFailed, match=f"line {len(ran.lines)}: the log ends in the middle of a line"):
        replay(copy)


def test_a_torn_last_line_of_a_killed_run_is_left_out(copy: Path, ran: Ran) -> None:
    (copy / "run.json").unlink()
    rewrite(copy, lambda lines: [*lines[:-1], lines[-1][:40]])
    done = replay(copy)
    assert (done.sealed, done.status, done.lines) == (False, "not sealed", len(ran.lines) - 1)
    assert done.digest == ran.lines[-2]["h"]


@pytest.mark.parametrize("garbage", [b"\n", b"{}\n", b"not json\n", b'{"seq":1}\n', b"\xff\xfe\n"])
def test_what_is_no_log_line_is_named(copy: Path, garbage: bytes) -> None:
    rewrite(copy, lambda lines: [*lines[:2], garbage, *lines[2:]])
    with pytest.raises(CheckFailed, match="line 3"):
        replay(copy)


def test_a_forged_chain_does_not_match_run_json(copy: Path) -> None:
    rewrite(copy, lambda lines: rechained([line.replace(b'"qty":"1.000"', b'"qty":"2.000"') for line in lines]))
    with pytest.raises(CheckFailed):
        replay(copy)


def forged(copy: Path, old: bytes, new: bytes) -> None:
    """Change the log, chain it anew, and put the new digest into run.json too."""

    def change(lines: list[bytes]) -> list[bytes]:
        assert any(old in line for line in lines)
        return rechained([line.replace(old, new) for line in lines])

    rewrite(copy, change)
    details = json.loads((copy / "run.json").read_bytes())
    last = (copy / "audit.jsonl").read_bytes().splitlines()[-1]
    details["log"]["digest"] = json.loads(last)["h"]
    (copy / "run.json").write_text(json.dumps(details))


def test_a_snapshot_that_its_events_do_not_make_is_a_divergence(copy: Path) -> None:
    forged(copy, b'"equity":"10010.00000000"', b'"equity":"10011.00000000"')
    with pytest.raises(CheckFailed, match=r"replay diverged: .*line \d+: equity is 10011"):
        replay(copy)


def test_a_fill_that_the_snapshots_do_not_know_is_a_divergence(copy: Path) -> None:
    forged(copy, b'"fee":"0.00000000"', b'"fee":"0.00000001"')
    with pytest.raises(CheckFailed, match="replay diverged"):
        replay(copy)


def test_a_changed_end_balance_is_a_divergence(copy: Path) -> None:
    details = json.loads((copy / "run.json").read_bytes())
    details["final"]["cash"]["spot:USDT"] = "10011.00000000"
    (copy / "run.json").write_text(json.dumps(details))
    with pytest.raises(CheckFailed, match="USDT 10011"):
        replay(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"log": {}}', '{"status": "complete"}'])
def test_a_run_json_that_cannot_be_read_is_named(copy: Path, content: str) -> None:
    (copy / "run.json").write_text(content)
    with pytest.raises(UsageError, match=r"run\.json"):
        replay(copy)


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        list(read_log(tmp_path / "audit.jsonl"))
