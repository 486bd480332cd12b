"""Every example in the documentation is run as a reader would run it."""

from pathlib import Path

import pytest

from tests.docs.pages import blocks, run_as_reader

PAGES = [
    "README.md",
    "docs/strategies.md",
    "docs/features.md",
    "docs/composed.md",
    "docs/config.md",
    "docs/cli.md",
    "docs/check.md",
    "docs/api.md",
    "docs/tutorial.md",
    "docs/run-folder.md",
    "docs/report.md",
    "docs/explain.md",
    "docs/compare.md",
    "docs/portfolio.md",
    "docs/sweep.md",
]


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_run_from_top_to_bottom(name: str, desk: Path) -> None:
    if name == "docs/run-folder.md":  # its reader has a run
        run_as_reader(blocks("docs/cli.md")[0], desk)
    for block in blocks(name):
        run_as_reader(block, desk)
