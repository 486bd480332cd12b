"""What was compiled follows the rules that it was made of, in whichever file they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backtester.core.numbers import mul_div
from backtester.search.kernel.compiling import called_by, compiled, rules_of
from backtester.search.kernel.loop import run_account
from backtester.search.kernel.wide import mul_div_wide
from backtester.sim.sizing import fee_of, lots_within
from tests.support.cli import ROOT

pytest.importorskip("numba")

ASK = "from backtester.search.kernel.compiling import compiled; from backtester.sim.sizing import cost_of; "
ASK += "print(compiled(cost_of)(3, 1000, 100_000, 0))"


def test_the_loop_is_made_of_the_rules_themselves() -> None:
    names = {f"{rule.__module__}.{rule.__name__}" for rule in rules_of(run_account)}  # type: ignore[arg-type]
    assert {
        "backtester.sim.sizing.fee_of",
        "backtester.sim.sizing.lots_for_budget",
        "backtester.sim.sim_models.worse_price",
        "backtester.sim.funding.linear_payment",
        "backtester.core.folds.position_step",
        "backtester.search.kernel.wide.mul_div_wide",
    } <= names
    assert "backtester.core.numbers.mul_div" not in names


def test_a_product_is_the_one_of_128_bits_where_rules_are_compiled() -> None:
    assert called_by(fee_of)["mul_div"] is mul_div_wide  # type: ignore[arg-type]
    huge = 9 * 10**18
    assert compiled(fee_of)(huge, 100_000) == fee_of(huge, 100_000) == mul_div(huge, 100_000, 10**8, 1)
    assert compiled(lots_within)(10**15, 10**9, 10**8, 7, 100_000) == lots_within(10**15, 10**9, 10**8, 7, 100_000)


def asked(tree: Path, cache: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(tree), "BT_KERNEL_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True, cwd=tree
    )
    return done.stdout.strip()


def test_a_rule_that_changes_in_another_file_is_compiled_anew(tmp_path: Path) -> None:
    tree, cache = tmp_path / "tree", tmp_path / "cache"
    shutil.copytree(ROOT / "backtester", tree / "backtester", ignore=shutil.ignore_patterns("__pycache__"))
    assert asked(tree, cache) == "3003"  # 3 × 1000 and 0.1 %
    made = set(cache.rglob("*.nbc"))
    assert asked(tree, cache) == "3003"
    assert set(cache.rglob("*.nbc")) == made, "the second process compiled again"
    numbers = tree / "backtester" / "core" / "numbers.py"  # not the file of the function that is asked
    numbers.write_text(numbers.read_text().replace("RATE_SCALE: Final = 10**8", "RATE_SCALE: Final = 10**7"))
    assert asked(tree, cache) == "3030"
