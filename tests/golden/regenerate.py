"""Remember the golden runs as they are now: `python -m tests.golden.regenerate`, from the root of the checkout.

Do this only when a run was meant to change, and say in the commit what changed and why. It prints every figure that
moved.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.golden.golden_runs import (
    REAL_RUNS,
    REMEMBERED,
    REMEMBERED_REAL,
    RUNS,
    measured,
    real_lake,
    sample_lake,
)


def moved(name: str, before: Any, after: Any) -> list[str]:
    """Return in words what differs between two measurements."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [line for key in keys for line in moved(f"{name}.{key}", before.get(key), after.get(key))]
    return [] if before == after else [f"{name}: {before} → {after}"]


def remember(file: Path, names: Iterable[str], lake: Path) -> None:
    """Measure runs on a lake and write what is remembered."""
    before = json.loads(file.read_text()) if file.exists() else {}
    after = {name: measured(name, lake) for name in names}
    print("\n".join(moved(file.stem, before, after)) or f"{file.stem}: nothing moved")
    file.write_text(json.dumps(after, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Remember the runs on the sample, and those on real candles where BACKTESTER_REAL_DATA says where they are."""
    real = os.environ.get("BACKTESTER_REAL_DATA")
    real_data = None if real is None else Path(real).resolve()
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # no config of the checkout takes part
        remember(REMEMBERED, RUNS, sample_lake(Path(folder) / "lake"))
        if real_data is not None:
            remember(REMEMBERED_REAL, REAL_RUNS, real_lake(real_data, Path(folder) / "real"))
        os.chdir("/")


if __name__ == "__main__":
    main()
