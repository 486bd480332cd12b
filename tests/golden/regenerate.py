"""Remember the golden runs as they are now: `python -m tests.golden.regenerate`, from the root of the checkout.

Do this only when a run was meant to change, and say in the commit what changed and why. It prints every figure that
moved.
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.golden.golden_runs import REMEMBERED, RUNS, measured, sample_lake


def moved(name: str, before: Any, after: Any) -> list[str]:
    """Return in words what differs between two measurements."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return [line for key in keys for line in moved(f"{name}.{key}", before.get(key), after.get(key))]
    return [] if before == after else [f"{name}: {before} → {after}"]


def main() -> None:
    """Measure every run and write what is remembered."""
    before = json.loads(REMEMBERED.read_text()) if REMEMBERED.exists() else {}
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # no config of the checkout takes part
        lake = sample_lake(Path(folder) / "lake")
        after = {name: measured(name, lake) for name in RUNS}
        os.chdir("/")
    print("\n".join(moved("golden", before, after)) or "nothing moved")
    REMEMBERED.write_text(json.dumps(after, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
