"""What all tests share: hypothesis profiles, and the folder of real exchange files when it is there."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.profiles import LONG

# Runs make files, so examples are slow and fixtures outlive them; nothing may depend on how fast a machine is.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile(LONG, settings.get_profile("suite"), derandomize=False, max_examples=2500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real exchange files; tests that need it are skipped where it is not."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "real"
    folder = Path(os.environ.get("BACKTESTER_REAL_DATA", default))
    if not (folder / "SOURCES.md").is_file():
        pytest.skip(f"no real data at {folder}: set BACKTESTER_REAL_DATA")
    return folder.resolve()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the checkout's own configs by accident: each starts in an empty folder."""
    monkeypatch.chdir(tmp_path)
