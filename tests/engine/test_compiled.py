"""Compiled recurrences give the bits that interpreted ones give."""

from collections.abc import Iterator
from typing import Any

import pytest

from backtester.engine import compiled
from backtester.strategy.indicators.recurrence import Recurrence, register_compiler
from backtester.strategy.indicators.registry import INDICATORS
from tests.strategy.indicators.markets import CASES, KINDS, assert_same_bits, made, market, read, stepped


@pytest.fixture
def numba() -> Iterator[None]:
    pytest.importorskip("numba")
    assert compiled.compile_indicators()
    yield
    register_compiler(None)


@pytest.mark.parametrize(
    ("name", "params"), [case for case in CASES if issubclass(INDICATORS[case[0]].cls, Recurrence)]
)
def test_compiling_changes_no_bit(numba: None, name: str, params: dict[str, Any]) -> None:
    indicator = made(name, params)
    for kind in KINDS:
        for rows in (0, 1, indicator.warmup - 1, 3000):
            columns = market(kind, 1, rows)
            assert_same_bits(indicator.columns(*read(indicator, columns)), stepped(indicator, columns))


def test_without_numba_columns_are_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda name: None)
    assert not compiled.compile_indicators()
    columns, ema = market("walk", 1, 50), made("ema", {"window": 5})
    assert_same_bits(ema.columns(columns["close"]), stepped(ema, columns))
