"""Whole runs whose digest and figures are committed. Who changes one explains it in that commit.

After a change that is meant: `python -m tests.golden.regenerate`, from the root of the checkout.
"""

import json
from pathlib import Path

import pytest

from tests.golden.golden_runs import REMEMBERED, RUNS, measured, sample_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_lake(tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_golden_run_is_what_it_was(name: str, lake: Path) -> None:
    remembered = json.loads(REMEMBERED.read_text())[name]
    now = measured(name, lake)
    figures = {key: value for key, value in now.items() if key not in ("digest", "tables", "lines")}
    assert figures == {key: remembered[key] for key in figures}  # first what people understand
    assert now == remembered
