"""What a person at a terminal sees of a run, and what a pipe gets: nothing that moves, nothing coloured."""

import os
import pty
import re
import struct
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.support.cli import ROOT, bt

PLAIN = ("--no-report", "--no-plots")
RUN = ("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "-p", "fast=3", "-p", "slow=7")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_a_terminal(columns: int, cwd: Path, *arguments: object) -> str:
    """Run `bt` on a terminal of so many columns; return all that it wrote there, with its escapes."""
    pid, terminal = pty.fork()
    if pid == 0:
        ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        os.chdir(cwd)
        os.environ.update(TERM="xterm-256color", PYTHONPATH=str(ROOT), COLUMNS=str(columns))
        os.execv(sys.executable, [sys.executable, "-m", "backtester", *map(str, arguments)])
    written = b""
    while True:
        try:
            read = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        written += read
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, written.decode()
    return written.decode()


@pytest.mark.parametrize(("columns", "speed"), [(100, "candles/s  equity"), (80, "/s  "), (160, "candles/s  equity")])
def test_a_terminal_shows_a_live_line_and_a_screen_that_fit(
    columns: int, speed: str, long_lake: Path, tmp_path: Path
) -> None:
    written = on_a_terminal(columns, tmp_path, *RUN, *PLAIN, "--data", long_lake)
    assert "\x1b[" in written
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", _ESCAPES.sub("", written))]
    copied = ("run ", "try ", "log ")  # paths and digests stay whole: the terminal may break them
    assert [line for line in lines if len(line) > min(columns, 160) and not line.startswith(copied)] == []
    said = [line for line in lines if not line.startswith(copied) and not re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d", line)]
    assert [line for line in said if len(line) > min(columns, 100)] == []
    live = [line for line in lines if speed in line and "USDT" in line]
    assert live, f"no live line was drawn: {written[:1500]!r}"
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d ", live[-1])
    assert re.search(r"trades [\d,]+|[\d,]+ trades", live[-1])
    for label in ("result", "how sure", "trades", "costs", "hangs on", "hurt", "assumes", "warning", "look-ahead"):
        assert [line for line in lines if line.startswith(label)], label


def test_a_pipe_gets_plain_lines_of_100_columns_and_no_progress(long_lake: Path) -> None:
    said = bt(*RUN, *PLAIN, "--data", long_lake)
    assert said.err == ""
    assert "\x1b" not in said.out
    assert "candles/s" not in said.out
    lines = said.out.splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith(("run ", "try "))] == []
    assert lines[0].startswith("sma_cross on BTCUSDT (spot, 1m)")


def test_the_screen_of_a_run_is_its_report_txt_and_what_show_prints(long_lake: Path) -> None:
    first = bt(*RUN, "--data", long_lake, "--no-plots", "--set", "report.html=false", "--json", reports=True).json
    text = Path(first["path"], "report.txt").read_text()
    shown = bt("runs", "show", "latest").out
    assert text.startswith("sma_cross on BTCUSDT")
    same = shown.partition("\nlog ")[0]
    assert same in text
    assert "hurt" in same
