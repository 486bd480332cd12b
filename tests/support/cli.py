"""`bt` in this process: what it prints and the code it ends with; and in one of its own, for signals."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from backtester.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        content: dict[str, Any] = json.loads(self.out)
        return content

    @property
    def message(self) -> str:
        """The one error, with its hint, on one line."""
        assert self.err.count("error:") == 1, self.err
        assert "Traceback" not in self.err
        return " ".join(self.err.split())


def bt(*arguments: object, reports: bool = False) -> Said:
    """Run a command as `bt` would; reports: let `bt run` write the page and the pictures, which takes seconds."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with (
        mock.patch.object(sys, "argv", ["bt", *map(str, arguments if reports else _without_reports(arguments))]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    return Said(code or 0, out.getvalue(), err.getvalue())


def start_bt(*arguments: object, cwd: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start `bt` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "backtester", *map(str, _without_reports(arguments))],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _without_reports(arguments: tuple[object, ...]) -> tuple[object, ...]:
    return (*arguments, "--no-report", "--no-plots") if arguments[:1] == ("run",) else arguments
