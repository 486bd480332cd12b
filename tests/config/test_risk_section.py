"""`[risk]` and its file: what is refused, and which file wins."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from backtester.config.loading import dotted_layer, load_backtest_config, risk_layers
from backtester.config.risk_section import RiskSection
from tests.support.cli import bt

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "risk.toml"


def loaded(config: Path | None = None, risk: Path | None = None, *options: str) -> RiskSection:
    below, over = risk_layers(risk)
    return load_backtest_config(config, over, dotted_layer(options), below=below).risk


def test_the_shipped_file_shows_every_key_with_its_default() -> None:
    text = SHIPPED.read_text()
    assert RiskSection.model_validate(tomllib.loads(text)) == RiskSection()
    lines = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
    shown = tomllib.loads("\n".join(line for line in lines if line.startswith("[") or " = " in line))
    del shown["blackouts"]
    assert shown.keys() == RiskSection.model_fields.keys() - {"blackouts"}
    assert RiskSection.model_validate(shown) == RiskSection()
    defaults = RiskSection().model_dump()
    assert all(shown[name].keys() == defaults[name].keys() for name in shown if isinstance(shown[name], dict))


def test_the_default_file_lies_below_the_config_and_a_named_one_above_it_and_set_above_all(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "risk.toml").write_text(
        "max_open_orders = 1\nmax_leverage = 1\n[drawdown]\nlimit_pct = 1\n"
    )
    config, risk = tmp_path / "c.toml", tmp_path / "r.toml"
    config.write_text("[risk]\nmax_leverage = 2\ndrawdown = { action = 'flatten' }\n")
    risk.write_text("max_leverage = 3\n")
    found = loaded(config)
    assert (found.max_open_orders, found.max_leverage) == (1, 2)
    assert (found.drawdown.limit_pct, found.drawdown.action) == (1, "flatten")
    assert (loaded(config, risk).max_leverage, loaded(config, risk).max_open_orders) == (3, 0)
    assert loaded(config, risk, "risk.max_leverage=4").max_leverage == 4


def test_amounts_are_money_or_multiples_of_equity() -> None:
    found = RiskSection.model_validate({"max_order_notional": 5000, "max_gross_exposure": "1.5x", "max_leverage": 2})
    assert (found.max_order_notional, found.max_gross_exposure) == ("5000", "1.5x")


@pytest.mark.parametrize(
    "blackouts",
    [
        [{"daily": "08:00-10:00"}, {"daily": "10:00-08:00"}],
        [{"daily": "23:00-01:00", "weekdays": ["sun"]}, {"daily": "01:00-02:00", "weekdays": ["mon"]}],
        [{"start": "2024-01-01", "end": "2024-01-02"}, {"start": "2024-01-02", "end": "2024-01-03"}],
        [{"start": "2024-01-01", "end": "2024-01-02"}, {"weekdays": ["mon"]}],
    ],
)
def test_windows_may_touch(blackouts: Any) -> None:
    assert len(RiskSection.model_validate({"blackouts": blackouts}).blackouts) == 2


@pytest.mark.parametrize(
    "blackouts",
    [
        [{"daily": "08:00-10:00"}, {"daily": "09:59-11:00", "weekdays": ["wed"]}],
        [{"daily": "23:00-01:00", "weekdays": ["sun"]}, {"daily": "00:59-02:00", "weekdays": ["mon"]}],
        [{"start": "2024-01-01", "end": "2024-01-03"}, {"start": "2024-01-02", "end": "2024-01-04"}],
        [{"weekdays": ["mon"]}, {"weekdays": ["mon"]}],
    ],
)
def test_windows_may_not_overlap(blackouts: Any) -> None:
    with pytest.raises(ValidationError, match="two blackouts overlap"):
        RiskSection.model_validate({"blackouts": blackouts})


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("max_order_notion = 1", ["unknown key 'max_order_notion'", "did you mean 'max_order_notional'"]),
        ("max_order_notional = -5", ["max_order_notional = -5", "not an amount", "1.5x"]),
        ('max_gross_exposure = "2 x"', ["max_gross_exposure", "not an amount"]),
        ("max_open_orders = -1", ["max_open_orders = -1", "greater than or equal to 0"]),
        ("price_collar_pct = 101", ["price_collar_pct = 101", "100"]),
        ("[drawdown]\nlimit_pct = -1", ["drawdown.limit_pct = -1"]),
        ("[drawdown]\nlimit_pct = 5\naction = 'panic'", ["drawdown.action = 'panic'", "'flatten'"]),
        ("[daily_loss]\nlimit_pct = 5\ncool_down = 'soon'", ["daily_loss.cool_down = 'soon'", "24h", "midnight"]),
        ("[daily_loss]\nrecover_pct = 5", ["unknown key 'daily_loss.recover_pct'", "limit_pct"]),
        (
            "[[blackouts]]\nstart = 2024-01-02\nend = 2024-01-01",
            ["ends at 2024-01-01", "not after its start 2024-01-02"],
        ),
        ("[[blackouts]]\nstart = 2024-01-02", ["start and end"]),
        ("[[blackouts]]\ndaily = '25:00-26:00'", ["'25:00-26:00'", "HH:MM-HH:MM"]),
        ("[[blackouts]]\ndaily = '08:00-08:00'", ["two different times"]),
        ("[[blackouts]]\nweekdays = ['monday']", ["'monday'", "'mon'"]),
    ],
)
def test_a_mistake_in_the_file_is_one_message_that_names_it(tmp_path: Path, content: str, says: list[str]) -> None:
    (tmp_path / "mine.toml").write_text(content)
    said = bt("run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "--risk", "mine.toml")
    assert said.code == 2, said.err
    for text in ["mine.toml", *says]:
        assert text in said.message
    assert said.out == ""


@pytest.mark.parametrize(
    ("control", "says"),
    [
        ('at = "2024-01-01"\naction = "explode"', ["control.0.action = 'explode'", "'kill'"]),
        ('action = "kill"', ["'control.0.at' is missing"]),
        ('at = "noon"\naction = "kill"', ["control.0.at = 'noon'"]),
        ('at = "2024-01-01"\naction = "kill"\nwhy = "x"', ["unknown key 'control.0.why'", "reason"]),
    ],
)
def test_a_mistake_in_a_command_is_one_message(tmp_path: Path, control: str, says: list[str]) -> None:
    (tmp_path / "c.toml").write_text(f"[[control]]\n{control}\n")
    said = bt("run", "--config", "c.toml", "--strategy", "sma_cross", "--symbols", "BTCUSDT")
    assert said.code == 2, said.err
    for text in ["c.toml", *says]:
        assert text in said.message
