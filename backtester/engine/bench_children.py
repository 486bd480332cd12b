"""A measurement in a process of its own, so that memory and warmth are its own."""

import json
import resource
import subprocess
import sys
from statistics import median
from typing import Any

from backtester.core.errors import EngineError

Figures = dict[str, Any]


def child(module: str, *arguments: str) -> Figures:
    """Run a module of this package with arguments, and return the one JSON object that it prints.

    Raises:
        EngineError: it failed; its last line says why.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"bench {' '.join(arguments)} failed: {done.stderr.strip().splitlines()[-1:]}")
    figures: Figures = json.loads(done.stdout)
    return figures


def medians(runs: list[Figures]) -> Figures:
    """Return the figures of the first run, with the median over all runs in place of each float."""
    result = dict(runs[0])
    for key, value in runs[0].items():
        if isinstance(value, float):
            result[key] = round(median(run[key] for run in runs), 4)
    return result


def peak_mib() -> float:
    """Return the most memory that this process has had so far, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)
