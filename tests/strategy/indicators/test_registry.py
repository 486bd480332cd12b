"""Indicators by name, with what a config or a list needs to know of their parameters."""

import pytest

from backtester.core.errors import UsageError
from backtester.strategy.indicators.means import Sma
from backtester.strategy.indicators.registry import INDICATORS, make_indicator


@pytest.mark.parametrize("name", INDICATORS)
def test_each_says_what_it_is_reads_and_takes(name: str) -> None:
    found = INDICATORS[name]
    assert found.cls.name == name
    assert found.about.endswith((".", ":", ","))
    assert found.cls.outputs
    assert set(found.cls.inputs) <= {"high", "low", "close", "volume", "open_time"}
    for parameter in found.params.model_json_schema()["properties"].values():
        assert parameter["description"]


def test_parameters_have_bounds_and_defaults_for_who_lists_them() -> None:
    window = INDICATORS["bollinger"].params.model_json_schema()["properties"]["window"]
    assert window["default"] == 20
    assert (window["minimum"], window["maximum"]) == (2, 100_000)
    assert INDICATORS["sma"].params.model_fields["window"].is_required()


def test_one_is_made_by_name_and_knows_its_parameters() -> None:
    sma = make_indicator("sma", window=20)
    assert isinstance(sma, Sma)
    assert sma.parameters == {"window": 20, "decimals": None}


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="'bolinger' is not known") as refused:
        make_indicator("bolinger")
    assert "'bollinger'" in str(refused.value.hint)


@pytest.mark.parametrize("params", [{"window": 1}, {"window": 20, "ddof": 2}, {"window": "many"}, {"multiple": 0}])
def test_parameters_out_of_bounds_are_refused_by_name(params: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=list(params)[-1]):
        make_indicator("bollinger", **params)


def test_an_unknown_or_missing_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        make_indicator("ema", length=20)
    with pytest.raises(ValueError, match="window"):
        make_indicator("ema")
