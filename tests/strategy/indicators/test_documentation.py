"""docs/indicators.md has every indicator, with its class, outputs, parameters and the warm-up that it really has."""

import doctest
import re
from pathlib import Path

import pytest

from backtester.strategy import indicators
from backtester.strategy.indicators.registry import INDICATORS
from tests.strategy.indicators.markets import CASES, IDS, made

_PAGE = Path(__file__).parents[3] / "docs" / "indicators.md"


def _rows() -> dict[str, list[str]]:
    lines = [line for line in _PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| `\w+` `\w+` \|", line)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].split("`")[1]: row for row in cells}


def test_the_table_has_every_indicator_once() -> None:
    assert sorted(_rows()) == sorted(INDICATORS)
    assert {len(row) for row in _rows().values()} == {7}


@pytest.mark.parametrize("name", INDICATORS)
def test_a_row_names_class_outputs_parameters_and_defaults(name: str) -> None:
    (called, _, outputs, parameters, *_), cls = _rows()[name], INDICATORS[name].cls
    assert getattr(indicators, called.split("`")[3]) is cls
    assert tuple(re.findall(r"`(\w+)`", outputs)) == cls.outputs
    said = dict(re.findall(r"`(\w+)`(?: \(([\w.]+))?", parameters))
    known = {
        key: "" if field.is_required() or field.default is None else str(field.default).removesuffix(".0")
        for key, field in INDICATORS[name].params.model_fields.items()
    }
    assert said == known


@pytest.mark.parametrize(("name", "params"), CASES, ids=IDS)
def test_the_warm_up_of_the_table_is_the_derived_one(name: str, params: dict[str, object]) -> None:
    indicator = made(name, params)
    formula = _rows()[name][4].strip("`")
    assert eval(formula, {"max": max}, indicator.parameters) == indicator.warmup


def test_the_example_says_what_it_prints() -> None:
    (block,) = re.findall(r"^```pycon\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    example = doctest.DocTestParser().get_doctest(block, {}, "indicators", str(_PAGE), 0)
    assert len(example.examples) == 4
    assert doctest.DocTestRunner().run(example).failed == 0
