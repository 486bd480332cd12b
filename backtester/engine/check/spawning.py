"""New Python processes for a check: the same code, another hash seed, a request in a file, and a report beside it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from backtester.core.errors import Interrupted, StrategyError
from backtester.engine.provenance import PACKAGE_ROOT

_PATIENCE_S, _PATIENCE = 120.0, 30.0
_TAIL = 400
REPORT: Final = "report"


class ChildFailed(StrategyError):
    """A run in a process of its own did not come to an end."""


def patience_s(seconds: float) -> float:
    """Return how long something may take in another process that took so many seconds in this one."""
    return _PATIENCE_S + _PATIENCE * seconds


def ask_apart(module: str, request: msgspec.Struct, folder: Path, *, hash_seed: int, timeout_s: float) -> bytes:
    """Run `python -m MODULE FILE` in a new process, with a request in the file; return the report that it wrote.

    Args:
        folder: takes the request, and the report beside it.
        hash_seed: its PYTHONHASHSEED.

    Raises:
        ChildFailed: it was killed, or took too long.
        Interrupted: the user stopped it.
    """
    path, report = folder / "request.json", folder / REPORT
    path.write_bytes(msgspec.json.encode(request))
    searched = [str(PACKAGE_ROOT.parent), *(p for p in sys.path if p)]
    environment: dict[str, Any] = os.environ | {
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": os.pathsep.join(searched),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, str(path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except KeyboardInterrupt:
        raise Interrupted("the check was interrupted: it proves nothing") from None
    except subprocess.TimeoutExpired:
        raise ChildFailed(
            f"run again in a process of its own, the strategy had not ended after {timeout_s:.0f} s",
            hint="something in it waits: a sleep, a lock, a thread, an answer from elsewhere",
        ) from None
    if not report.is_file():
        raise ChildFailed(
            f"run again in a process of its own, the run ended with code {done.returncode} and without a result: "
            f"{done.stderr[-_TAIL:].strip()}",
            hint="a strategy must not end its process",
        )
    return report.read_bytes()
