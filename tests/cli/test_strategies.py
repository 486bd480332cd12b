"""`bt strategies`: what there is, what can be said of one, and what a broken package does to the list."""

from pathlib import Path

import pytest

from backtester.strategy.params import parameters_of
from backtester.strategy.registry import BUILT_IN, find_strategy
from tests.docs.pages import ROOT
from tests.support.cli import bt

PLUGIN = '''from pathlib import Path
from typing import Annotated, Optional

from backtester.strategy import Strategy, StrategyParams, param
from backtester.strategy.composed import composed


class OtherParams(StrategyParams):
    pace: Annotated[Optional[int], param("of it all", unit="candles", ge=3)] = None


class Other(Strategy):
    """Does nothing, slowly."""

    Params = OtherParams


Made = composed(Path(__file__).with_name("made.toml"))
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with three strategies, of which one cannot be imported."""
    site = tmp_path / "site"
    info = site / "others-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "others_plugin.py").write_text(PLUGIN)
    (site / "made.toml").write_text((ROOT / "configs/composed/sma_cross.toml").read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[backtester.strategies]\nother = others_plugin:Other\nmade = others_plugin:Made\n"
        "broken = no_such_plugin:X\nwrong = others_plugin:Path\n"
    )
    monkeypatch.syspath_prepend(str(site))


def test_the_list_names_every_strategy_in_one_line() -> None:
    rows = bt("strategies", "--json").json["strategies"]
    assert [row["name"] for row in rows] == sorted(BUILT_IN)
    shipped = [row for row in rows if row["target"].startswith("backtester.")]  # tests put a strategy of theirs there
    assert len(shipped) >= 11
    assert [row for row in shipped if not row["about"] or row["error"] or row["origin"] != "built in"] == []
    shown = bt("strategies").out
    assert all(name in shown for name in BUILT_IN)


def test_strategies_of_packages_are_listed_and_a_broken_one_with_its_error(installed: None) -> None:
    rows = {row["name"]: row for row in bt("strategies", "--json").json["strategies"]}
    assert (rows["other"]["about"], rows["other"]["origin"]) == ("Does nothing, slowly.", "others")
    assert rows["made"]["about"].startswith("Hold while the fast mean")
    assert "no_such_plugin" in rows["broken"]["error"]
    assert "others_plugin:Path is not a Strategy" in rows["wrong"]["error"]
    said = bt("strategies")
    assert said.code == 0
    assert "broken: " in said.out


def test_a_broken_one_that_is_asked_for_is_one_message(installed: None) -> None:
    said = bt("strategies", "broken")
    assert said.code == 1
    assert "strategy 'broken' cannot be imported from no_such_plugin:X: ModuleNotFoundError" in said.message


def test_a_composed_one_of_a_package_is_composed(installed: None) -> None:
    shown = bt("strategies", "made", "--json").json
    assert (shown["kind"], shown["warmup_candles"]) == ("composed", 200)


def test_one_is_shown_with_its_parameters_feeds_warm_up_and_exits() -> None:
    shown = bt("strategies", "structure_mtf", "--timeframe", "5m", "--json").json
    assert shown["feeds"] == ["30m"]
    assert shown["warmup_candles"] > 6 * 7
    assert shown["exits"]["ladder"] == [[1.0, 1 / 3], [2.0, 1 / 3]]
    assert shown["kind"] == "signal"
    text = bt("strategies", "structure_mtf", "--timeframe", "5m").out
    assert "feeds: its candles, 30m" in text
    assert "one_trade_per_tag = True" in text


def test_bounds_units_and_defaults_are_for_machines(installed: None) -> None:
    shown = {p["name"]: p for p in bt("strategies", "sma_extended", "--json").json["params"]}
    assert shown["stop_loss_pct"]["bounds"] == {"gt": 0, "lt": 100}
    assert (shown["stop_loss_pct"]["default"], shown["stop_loss_pct"]["unit"]) == ("3", "percent")
    assert shown["equity_pct"]["optional"]
    [pace] = bt("strategies", "other", "--json").json["params"]
    assert (pace["type"], pace["bounds"], pace["optional"], pace["default"]) == ("int", {"ge": 3}, True, None)
    [tape] = [p for p in bt("strategies", "grid_maker", "--json").json["params"] if p["name"] == "tape"]
    assert tape["choices"] == ["aggTrades", "trades"]


def test_a_file_is_shown_as_well(tmp_path: Path) -> None:
    Path("mine.py").write_text(
        "from backtester.strategy import Strategy\n\n\nclass Mine(Strategy):\n    def on_candle(self, candle): ...\n"
    )
    said = bt("strategies", "mine.py:Mine")
    assert said.code == 0
    assert "It has no docstring." in said.out
    assert "hooks: on_candle" in said.out
    shown = bt("strategies", ROOT / "configs/composed/trend_following.toml", "--json").json
    assert shown["kind"] == "composed"
    assert shown["exits"] == {"max_candles": 200}
    assert {p["name"]: p["unit"] for p in shown["params"]}["fast"] == "candles"


def test_what_cannot_be_known_with_the_defaults_is_said() -> None:
    shown = bt("strategies", "structure_mtf", "--timeframe", "1h", "--json").json
    assert "shorter timeframe" in shown["error"]
    assert shown["params"]
    assert bt("strategies", "sma_cros").code == 2
    assert "did you mean 'sma_cross'" in bt("strategies", "sma_cros").message


def test_parts_are_listed() -> None:
    rows = {(row["kind"], row["name"]): row for row in bt("strategies", "--parts", "--json").json["parts"]}
    assert rows["rule", "crosses_above"]["takes"] == "a, b"
    assert rows["indicator", "ema"]["takes"] == "inputs (close), window"
    assert all(row["about"] for row in rows.values())


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_parameter_of_a_shipped_strategy_says_what_it_is(name: str) -> None:
    for one in parameters_of(find_strategy(name).cls.Params):
        assert one.description, one
        if one.type in ("int", "float", "Decimal"):
            assert one.unit, one
            assert one.bounds, one
