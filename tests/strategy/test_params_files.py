"""The TOML that a shipped strategy comes with."""

import tomllib

import pytest

from backtester.strategy.registry import BUILT_IN, find_strategy
from tests.docs.pages import ROOT


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_the_file_of_a_shipped_strategy_says_its_defaults(name: str) -> None:
    params = find_strategy(name).cls.Params
    said = tomllib.loads((ROOT / "configs" / f"{name}.toml").read_text(encoding="utf-8"))
    assert params.model_validate(said) == params()
