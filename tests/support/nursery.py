"""Processes of their own for checks, forked from one that has the engine loaded: new to a strategy, and there at once.

One waits for each hash seed. `tests/cli/test_check.py` starts them from nothing, as users do.
"""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from backtester.engine.check import child, clean

# Not in a file of its own: what is in a file of the tests would be taken for the strategy's own code.
_NURSE = """
import importlib, json, os, sys, traceback
import pyarrow.pandas_compat  # which a run would import
from backtester.engine.check import child, clean
for line in sys.stdin:
    asked = json.loads(line)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            null, errors = os.open(os.devnull, os.O_RDWR), os.open(asked["errors"], os.O_CREAT | os.O_WRONLY)
            for at, to in ((0, null), (1, null), (2, errors)):
                os.dup2(to, at)
            os.chdir(asked["cwd"])
            sys.argv = [asked["module"], asked["request"]]
            importlib.import_module(asked["module"]).main()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Nursery:
    """Stands in for `subprocess` in `backtester.engine.check.spawning`."""

    DEVNULL = subprocess.DEVNULL
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self) -> None:
        self._nurses: dict[str, subprocess.Popen[str]] = {}

    def run(self, command: list[str], *, env: dict[str, str], timeout: float, **_: Any) -> Any:
        """Do what a new `python -m MODULE REQUEST` would."""
        assert command[:2] == [sys.executable, "-m"]
        assert command[2] in (child.__name__, clean.__name__)
        seed = env["PYTHONHASHSEED"]
        if seed not in self._nurses:
            self._nurses[seed] = subprocess.Popen(
                [sys.executable, "-c", _NURSE],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        nurse, errors = self._nurses[seed], Path(command[3]).with_suffix(".errors")
        assert nurse.stdin is not None
        assert nurse.stdout is not None
        nurse.stdin.write(
            json.dumps({"module": command[2], "request": command[3], "cwd": os.getcwd(), "errors": str(errors)}) + "\n"
        )  # noqa: PTH109
        nurse.stdin.flush()
        if not select.select([nurse.stdout], [], [], timeout)[0]:
            self._end(seed)
            raise subprocess.TimeoutExpired(command, timeout)
        code = int(nurse.stdout.readline())
        said = errors.read_text(encoding="utf-8") if errors.is_file() else ""
        return subprocess.CompletedProcess(command, code, "", said)

    def close(self) -> None:
        """End them."""
        for seed in list(self._nurses):
            self._end(seed)

    def _end(self, seed: str) -> None:
        nurse = self._nurses.pop(seed)
        os.killpg(nurse.pid, signal.SIGKILL)
        nurse.communicate()
