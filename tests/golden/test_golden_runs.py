"""Whole runs whose digest and figures are committed. Who changes one explains it in that commit.

After a change that is meant: `python -m tests.golden.regenerate`, from the root of the checkout.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.golden.golden_runs import (
    REAL_RUNS,
    REMEMBERED,
    REMEMBERED_REAL,
    RUNS,
    measured,
    real_lake,
    sample_lake,
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_lake(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_golden_run_is_what_it_was(name: str, lake: Path) -> None:
    compare(measured(name, lake), json.loads(REMEMBERED.read_text())[name])


@pytest.fixture(scope="module")
def month(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_lake(real_data, tmp_path_factory.mktemp("real"))


@pytest.mark.parametrize("name", sorted(REAL_RUNS))
def test_a_golden_run_on_real_candles_is_what_it_was(name: str, month: Path) -> None:
    compare(measured(name, month), json.loads(REMEMBERED_REAL.read_text())[name])


def compare(now: dict[str, Any], remembered: dict[str, Any]) -> None:
    figures = {key: value for key, value in now.items() if key not in ("digest", "tables", "lines")}
    assert figures == {key: remembered[key] for key in figures}  # first what people understand
    assert now == remembered
