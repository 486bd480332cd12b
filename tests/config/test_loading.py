"""Layers of config, and what text on the command line means."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.config.configs import BacktestConfig
from backtester.config.loading import assignment, dotted_layer, load_backtest_config, merged, toml_value
from backtester.core.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("7.5", 7.5),
        ("true", True),
        ('"20"', "20"),
        ("BTCUSDT", "BTCUSDT"),
        ("[1, 2]", [1, 2]),
        ("2024-01-31T", "2024-01-31T"),
        ("", ""),
        ("a = b", "a = b"),
    ],
)
def test_a_value_is_toml_if_it_can_be_and_text_else(text: str, value: Any) -> None:
    assert toml_value(text) == value


def test_an_assignment_splits_at_its_first_equals_sign() -> None:
    assert assignment(" a = b=c ", "-p") == ("a", "b=c")


def test_dotted_keys_make_tables_and_quotes_keep_colons(tmp_path: Path) -> None:
    assert dotted_layer(["fees.taker_bps=3", 'instruments."spot:X.Y".tick_size=0.1', "fees.maker_bps=1"]) == {
        "fees": {"taker_bps": 3, "maker_bps": 1},
        "instruments": {"spot:X.Y": {"tick_size": 0.1}},
    }


def test_the_later_layer_wins_key_by_key() -> None:
    assert merged({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"y": 3}, "b": {"z": 1}}) == {
        "a": {"x": 1, "y": 3},
        "b": {"z": 1},
    }


def test_floats_in_toml_mean_their_decimal_text(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[fees]\ntaker_bps = 7.5\nmaker_bps = 0.1\n[account]\ninitial_cash = 0.3\n")
    config = load_backtest_config(tmp_path / "c.toml")
    assert (config.fees.taker_bps, config.fees.maker_bps) == (Decimal("7.5"), Decimal("0.1"))
    assert config.account.initial_cash == Decimal("0.3")


def test_tomls_own_dates_and_times_are_times(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[run]\nstart = 2024-01-31\nend = "2024-02-01T12:00:00+02:00"\n')
    config = load_backtest_config(tmp_path / "c.toml")
    assert (config.run.start, config.run.end) == ("2024-01-31", "2024-02-01T10:00:00Z")


def test_the_default_file_is_read_where_it_is(tmp_path: Path) -> None:
    assert load_backtest_config(None).run.seed == BacktestConfig().run.seed
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "backtest.toml").write_text("[run]\nseed = 77\n")
    assert load_backtest_config(None).run.seed == 77


def test_futures_is_another_name_of_um() -> None:
    assert BacktestConfig.model_validate({"run": {"market": "futures"}}).run.market == "um"


def test_the_shipped_config_says_the_defaults() -> None:
    assert load_backtest_config(ROOT / "configs" / "backtest.toml") == BacktestConfig()


@pytest.mark.parametrize("key", ["fees.taker_bps=0.00001", "account.initial_cash=0.000000001"])
def test_more_decimals_than_can_be_kept_are_refused(key: str) -> None:
    with pytest.raises(UsageError, match=key.partition("=")[0]):
        load_backtest_config(None, dotted_layer([key]))


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"unknown key 'run\.sed'; fees\.taker_bps = 'x'") as caught:
        load_backtest_config(None, {"fees": {"taker_bps": "x"}, "run": {"sed": 1}})
    assert "did you mean 'seed'" in caught.value.hint
