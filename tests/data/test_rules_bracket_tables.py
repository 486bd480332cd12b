"""Leverage tables of the lake, as the exchange's rules take them."""

import copy
from pathlib import Path

import pytest

from backtester.core.errors import DataError
from backtester.core.time import parse_time
from backtester.data.rules.bracket_tables import bracket_tables
from backtester.data.rules.importing import file_sources, import_rules
from backtester.data.rules.lake_rules import LakeRules
from backtester.sim.brackets import Bracket, maintenance_margin, max_leverage
from tests.support.venue import CM_BRACKETS, UM_BRACKETS, put_rules

UNIT = 10**8


def test_tables_have_the_dates_of_their_answers(tmp_path: Path) -> None:
    stricter = copy.deepcopy(UM_BRACKETS)
    stricter[0]["brackets"][1]["initialLeverage"] = 20
    put_rules(tmp_path, UM_BRACKETS, date="2024-01-01")
    put_rules(tmp_path, stricter, date="2025-01-01")
    tables = bracket_tables(LakeRules(tmp_path), "um:ETHUSDT")
    assert tables is not None
    assert tables.at(parse_time("2024-06-01")) == (
        Bracket(0, 10_000 * UNIT, 75, 650_000, 0),
        Bracket(10_000 * UNIT, 50_000 * UNIT, 50, 1_000_000, 35 * UNIT),
    )
    leverages = [max_leverage(tables.at(parse_time(day)), 20_000 * UNIT) for day in ("2024-12-31", "2025-01-01")]
    assert leverages == [50, 20]


def test_tables_of_coin_margined_contracts_are_in_coin(tmp_path: Path) -> None:
    put_rules(tmp_path, CM_BRACKETS, date="2024-01-01")
    tables = bracket_tables(LakeRules(tmp_path), "cm:BTCUSD_PERP")
    assert tables is not None
    assert maintenance_margin(tables.at(0), 2 * UNIT) == 800_000  # 0.4 % of 2 BTC


def test_what_the_lake_does_not_know_is_none(tmp_path: Path) -> None:
    put_rules(tmp_path, UM_BRACKETS, date="2024-01-01")
    assert bracket_tables(LakeRules(tmp_path), "um:BTCUSDT") is None


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("cum", 36.0, "the deduction of bracket 2 does not follow"),
        ("maintMarginRatio", 0.0001, "the rate of bracket 2"),
        ("cum", 35.000000001, "more than 8 decimals"),
    ],
)
def test_a_table_that_is_not_sound_is_refused_by_name(tmp_path: Path, key: str, value: float, why: str) -> None:
    broken = copy.deepcopy(UM_BRACKETS)
    broken[0]["brackets"][1][key] = value
    put_rules(tmp_path, broken, date="2024-01-01")
    with pytest.raises(DataError, match=why) as raised:
        bracket_tables(LakeRules(tmp_path), "um:ETHUSDT")
    assert "um:ETHUSDT in answer-0.json" in raised.value.message
    assert "bt data rules import" in raised.value.hint


def test_every_real_table_can_be_used(tmp_path: Path, real_data: Path) -> None:
    path = real_data / "leverageBracket" / "um_brackets_2026-03.json.gz"
    import_rules(file_sources([path]), tmp_path, date=parse_time("2026-03-18"))
    lake = LakeRules(tmp_path)
    symbols = lake.market("um").symbols
    tables = {symbol: bracket_tables(lake, f"um:{symbol}") for symbol in symbols}
    assert len(tables) > 600
    assert None not in tables.values()
    bitcoin = tables["BTCUSDT"]
    assert bitcoin is not None
    assert bitcoin.at(0)[0].maintenance_rate == 400_000
    assert max_leverage(bitcoin.at(0), 10_000 * UNIT) >= 100
