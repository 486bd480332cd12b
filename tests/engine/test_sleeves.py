"""What `[[strategies]]` may say, how money is shared out, and what such a run leaves in its folder."""

import json
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.config.configs import BacktestConfig
from backtester.config.loading import load_backtest_config
from backtester.core.errors import UsageError
from backtester.engine.prepare import prepare
from backtester.engine.replay import verify
from backtester.engine.sleeves import split_units
from tests.support.lakes import wandering
from tests.support.market import flat, write_candles
from tests.support.runs import config_of, run_prepared, scripted
from tests.support.sleeves import Part, held, run_several, several, traded
from tests.support.venue import UM_BRACKETS, put_rules

B, E = "BTCUSDT", "ETHUSDT"
ENTRY = {"name": "sma_cross", "share": "0.5", "params": {}}


def refusal(tmp_path: Path, entries: list[dict[str, Any]], **sections: Any) -> UsageError:
    """What is said of a config with these entries over a lake with one symbol."""
    write_candles(tmp_path / "lake", flat(100, 5))
    content = config_of(tmp_path / "lake", [B], **sections).model_dump() | {"strategies": entries}
    content["strategy"] = sections.get("strategy", {})
    with pytest.raises(UsageError) as caught:
        prepare(load_backtest_config(None, content))
    return caught.value


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "sections", "said"),
    [
        ([ENTRY, ENTRY], {}, "two of [[strategies]] have the id sma_cross: give each an id of its own"),
        ([ENTRY | {"share": "0.7"}, ENTRY | {"id": "b"}], {}, "the shares of [[strategies]] are 0.7 + 0.5 = 1.2"),
        ([ENTRY | {"share": 0}], {}, "strategies.0.share = 0: input should be greater than 0"),
        ([{"name": "sma_cross"}], {}, "'strategies.0.share' is missing"),
        ([ENTRY | {"id": "No"}], {}, "the id 'No' must be of a-z, 0-9, _ and -"),
        ([ENTRY | {"id": "long"}], {}, "be none of long, short"),
        ([ENTRY | {"symbol": B}], {}, "unknown key 'strategies.0.symbol'"),
        ([ENTRY], {"strategy": {"name": "sma_cross"}}, "[strategy] names sma_cross and [[strategies]] sma_cross"),
        ([ENTRY | {"name": "sma_crosss"}], {}, "strategy 'sma_crosss' is not known"),
        ([ENTRY | {"params": {"fast": 0}}], {}, "parameters of sma_cross: fast = 0"),
        ([ENTRY], {"run": {"symbols": []}}, "strategy sma_cross names no symbols, and [run] has none"),
        ([ENTRY | {"symbols": ["option:BTCUSDT"]}], {}, "[[strategies]] do not trade options yet"),
        ([ENTRY], {"futures": {"position_mode": "hedge"}}, "futures.position_mode = 'hedge' do not go together"),
        ([ENTRY], {"account": {"wallets": {"spot@who:USDT": 1}}}, "account.wallets names 'spot@who:USDT'"),
    ],
)  # fmt: skip
def test_what_cannot_run_together_is_refused_with_the_reason(
    tmp_path: Path, entries: list[dict[str, Any]], sections: Any, said: str
) -> None:
    assert said in refusal(tmp_path, entries, **sections).message


def test_what_is_said_of_one_strategy_is_refused_where_there_are_several(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 5))
    config = several(tmp_path / "lake", [Part("a", "sma_cross", "1", params={})], [B])
    with pytest.raises(UsageError, match=r"-p fast=\.\.\. is of one strategy, and the config has a"):
        prepare(config, params_options={"fast": 3})
    named = config.model_copy(update={"strategy": config.strategy.model_copy(update={"name": "ema_regime"})})
    with pytest.raises(UsageError, match=r"--strategy ema_regime, and the config has \[\[strategies\]\] a"):
        prepare(named)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 5))
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(
            f"from backtester.strategy.base import Strategy\n\n\nclass {folder.title()}(Strategy):\n    pass\n"
        )
    entries = [
        {"name": str(tmp_path / folder / f"own.py:{folder.title()}"), "share": "0.5"} for folder in ("here", "there")
    ]
    said = refusal(tmp_path, entries).message
    assert said.startswith("two strategies are in files of one name: ")
    assert "here/own.py" in said


def test_an_id_comes_from_the_name_where_none_is_given() -> None:
    names = {"sma_cross": "sma_cross", "mine/My File.py:Cross": "cross", "book/slow.toml": "slow"}
    for name, found in names.items():
        config = BacktestConfig.model_validate({"strategies": [{"name": name, "share": 1}]})
        assert config.strategies[0].id == found


# --- money -------------------------------------------------------------------------------------------------------


@given(
    units=st.integers(0, 10**18),
    shares=st.lists(st.integers(1, 10**8), min_size=1, max_size=8).filter(lambda one: sum(one) <= 10**8),
)
def test_shares_split_an_amount_exactly_and_nobody_is_a_whole_unit_from_its_share(
    units: int, shares: list[int]
) -> None:
    parts = split_units(units, [Decimal(share).scaleb(-8) for share in shares])
    assert sum(parts) == units * sum(shares) // 10**8
    assert all(abs(part - Fraction(units * share, 10**8)) < 1 for part, share in zip(parts, shares, strict=True))


def test_the_largest_remainders_get_the_units_that_are_left_and_of_equal_ones_the_first() -> None:
    third = Decimal("0.33333333")
    assert split_units(10, [Decimal("0.25"), Decimal("0.25"), Decimal("0.5")]) == [3, 2, 5]
    assert split_units(10, [Decimal("0.24"), Decimal("0.26"), Decimal("0.5")]) == [2, 3, 5]
    assert split_units(10**8, [third, third, third]) == [33333333] * 3


def test_a_share_lies_in_the_wallet_of_a_market_that_its_strategy_trades(tmp_path: Path) -> None:
    for market in ("spot", "um"):
        write_candles(tmp_path / "lake", flat(100, 5), market=market)
    put_rules(tmp_path / "lake", UM_BRACKETS, date="2023-01-01")
    spot, um = [f"spot:{B}"], [f"um:{B}"]
    parts = [
        Part("a", scripted({}), "0.5", spot),
        Part("b", scripted({}), "0.25", um),
        Part("c", scripted({}), "0.1", spot + um),
    ]
    prepared = prepare(several(tmp_path / "lake", parts, spot))
    assert {name: str(amount.normalize()) for name, amount in prepared.config.account.wallets.items()} == {
        "spot:USDT": "1.5E+3",
        "spot@a:USDT": "5E+3",
        "spot@c:USDT": "1E+3",
        "um@b:USDT": "2.5E+3",
    }
    said = {"wallets": {"spot:USDT": 1000, "um:USDT": 2000}}
    split = prepare(several(tmp_path / "lake", parts, spot, account=said)).config.account.wallets
    assert {name: f"{amount:.0f}" for name, amount in split.items()} == {
        "spot:USDT": "400", "spot@a:USDT": "500", "spot@c:USDT": "100",
        "um:USDT": "1300", "um@b:USDT": "500", "um@c:USDT": "200",
    }  # fmt: skip
    own = {"wallets": {"spot@a:USDT": 7, "um:USDT": 9}}
    assert prepare(several(tmp_path / "lake", parts, spot, account=own)).config.account.wallets == {
        "spot@a:USDT": 7,
        "um:USDT": 9,
    }
    with pytest.raises(UsageError, match=r"account.wallets names 'um@a:USDT', and a trades spot"):
        prepare(several(tmp_path / "lake", parts, spot, account={"wallets": {"um@a:USDT": 1}}))


# --- the run -----------------------------------------------------------------------------------------------------


def test_one_strategy_with_all_of_the_money_does_what_it_does_without_an_entry(tmp_path: Path) -> None:
    for number, symbol in enumerate((B, E)):
        write_candles(tmp_path / "lake", wandering(400, number + 3), symbol=symbol)
    params = {"fast": 5, "slow": 20}
    entry = run_several(tmp_path, tmp_path / "lake", [Part("only", "sma_cross", "1", params=params)], [B, E])
    config = config_of(tmp_path / "lake", [B, E], strategy={"name": "sma_cross", "params": params})
    plain = run_prepared(tmp_path, prepare(config))
    assert len(traded(plain)) > 20
    assert traded(entry, "only") == traded(plain)
    assert held(entry, "only") == held(plain)
    columns = ("ts", "equity", "cash", "unrealised", "exposure")
    curve = [[row[column] for column in columns] for row in plain.table("equity")]
    assert [[row[column] for column in columns] for row in entry.table("equity")] == curve
    assert {row["strategy"] for row in plain.table("fills")} == {"sma_cross"}
    assert "strategies" not in plain.details
    assert not (plain.path / "strategies.parquet").exists()


def test_the_config_of_the_folder_spells_out_every_strategy_and_repeats_the_run(tmp_path: Path) -> None:
    for number, symbol in enumerate((B, E)):
        write_candles(tmp_path / "lake", wandering(300, number + 1), symbol=symbol)
    parts = [
        Part("quick", "sma_cross", "0.3", [E], "", {"fast": 3, "slow": 9}),
        Part("slow", "sma_cross", "0.3", (), "15m", {"fast": 2, "slow": 4}),
    ]
    ran = run_several(tmp_path, tmp_path / "lake", parts, [B])
    written = tomllib.loads((ran.path / "config.toml").read_text())
    assert "strategy" not in written
    assert written["strategies"] == [
        {
            "id": "quick", "name": "sma_cross", "symbols": ["spot:ETHUSDT"], "timeframe": "1m", "share": "0.3",
            "params": {"fast": 3, "slow": 9},
        },
        {
            "id": "slow", "name": "sma_cross", "symbols": ["spot:BTCUSDT"], "timeframe": "15m", "share": "0.3",
            "params": {"fast": 2, "slow": 4},
        },
    ]  # fmt: skip
    assert {row["strategy"] for row in ran.table("fills")} == {"quick", "slow"}
    assert "meet each other first" in ran.details["assumptions"]["strategies"]
    again = run_prepared(tmp_path, prepare(load_backtest_config(ran.path / "config.toml")))
    assert again.result.digest == ran.result.digest
    verify(ran.path)


def test_strategies_in_files_of_one_s_own_are_kept_with_the_run(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 5))
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(
            "from backtester.strategy.base import Strategy\n\n\n"
            f"class {name.title()}(Strategy):\n"
            '    """Buys once."""\n\n'
            "    def on_candle(self, candle):\n"
            f"        return [self.buy(candle.symbol, {len(name)})] if self.position(candle.symbol).is_flat else None\n"
        )
    parts = [
        {"name": str(tmp_path / f"{name}.py:{name.title()}"), "share": "0.4", "symbols": [B]} for name in ("one", "two")
    ]
    config = config_of(tmp_path / "lake", [B]).model_dump() | {"strategy": {}, "strategies": parts}
    ran = run_prepared(tmp_path, prepare(BacktestConfig.model_validate(config)))
    assert sorted(file.name for file in (ran.path / "source").iterdir()) == ["one.py", "two.py"]
    origin = json.loads((ran.path / "run.json").read_text())["strategy"]
    assert sorted(origin["parts"]) == ["one", "two"]
    assert sorted(origin["modules"]) == ["one.py", "two.py"]
    verify(ran.path)
