"""`bt.run`: the same run as from the command line, wherever it is called."""

import asyncio
import gc
import os
import signal
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import backtester as bt
from backtester.api.config_of import When
from backtester.core.errors import DataError, Interrupted, StrategyError, UsageError
from backtester.strategy.sma_cross import SmaCross
from tests.support.cli import bt as command

PARAMS = {"fast": 3, "slow": 9}


def test_the_same_words_make_the_same_log_as_on_the_command_line(lake: Path, made: bt.Run) -> None:
    said = command(
        "run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "ETHUSDT", "-p", "fast=3", "-p", "slow=9",
        "--data", lake, "--no-report", "--no-plots", "--json",
    )  # fmt: skip
    assert said.json["digest"] == made.digest
    assert said.json["metrics"]["final_equity"]["value"] == str(made.metrics.final_equity)


def test_it_runs_inside_a_running_event_loop_with_the_same_log(lake: Path, made: bt.Run) -> None:
    async def cell() -> bt.Run:
        await asyncio.sleep(0)
        return bt.run("sma_cross", "BTCUSDT ETHUSDT", params=PARAMS, data=lake)

    assert asyncio.run(cell()).digest == made.digest


async def test_a_run_in_a_loop_can_be_verified_there(made: bt.Run) -> None:
    made.verify()


class Interrupts(bt.Strategy):
    """Asks the process to stop at its tenth candle, as Ctrl-C does."""

    def __init__(self, params: bt.StrategyParams) -> None:
        super().__init__(params)
        self.seen = 0

    def on_candle(self, candle: bt.Candle) -> None:
        self.seen += 1
        if self.seen == 10:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # the thread that handles signals may have to wait for a core


@pytest.mark.parametrize("in_loop", [False, True])
def test_an_interrupt_seals_what_was_done_and_says_where(long_lake: Path, in_loop: bool) -> None:
    async def cell() -> None:
        bt.run(Interrupts, "BTCUSDT", data=long_lake)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        asyncio.run(cell()) if in_loop else bt.run(Interrupts, "BTCUSDT", data=long_lake)
    assert "bt.load_run(" in caught.value.__notes__[0]
    assert bt.load_run().status == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_strategy_may_be_a_class_or_its_name(lake: Path, made: bt.Run) -> None:
    again = bt.run(SmaCross, ["ETHUSDT", "spot:BTCUSDT"], params=PARAMS, data=str(lake))
    assert (again.digest, again.strategy) == (made.digest, "sma_cross")


def test_a_strategy_file_is_found_beside_its_config(tmp_path: Path, lake: Path, made: bt.Run) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "mine.py").write_text(
        "from backtester.strategy.sma_cross import SmaCross\n\nclass Mine(SmaCross):\n    pass\n"
    )
    (there / "my.toml").write_text(
        '[run]\nsymbols = ["BTCUSDT", "ETHUSDT"]\n[strategy]\nname = "mine.py:Mine"\nparams = {fast = 3, slow = 9}\n'
    )
    assert bt.run(config=there / "my.toml", data=lake).digest == made.digest


def test_config_sections_may_be_given_as_keywords_or_together(lake: Path) -> None:
    keywords = bt.run("sma_cross", "BTCUSDT", data=lake, fees={"taker_bps": 2.5}, account={"initial_cash": 500})
    together = bt.run(
        config={
            "run": {"symbols": ["BTCUSDT"]},
            "strategy": {"name": "sma_cross"},
            "data": {"dir": str(lake)},
            "fees": {"taker_bps": 2.5},
            "account": {"initial_cash": 500},
        }
    )
    assert keywords.digest == together.digest
    assert keywords.metrics.initial_equity == Decimal(500)
    assert keywords.config["fees"]["taker_bps"] == "2.5"


def test_keywords_win_over_the_config(lake: Path) -> None:
    run = bt.run(
        "buy_and_hold", "ETHUSDT", seed=3, config={"run": {"symbols": ["BTCUSDT"], "seed": 1}}, data={"dir": str(lake)}
    )
    assert (run.config["run"]["symbols"], run.config["run"]["seed"]) == (["spot:ETHUSDT"], 3)
    assert run.strategy == "buy_and_hold"


@pytest.mark.parametrize(
    "start",
    ["2024-01-01T02:00:00Z", datetime(2024, 1, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, 2)],  # noqa: DTZ001
)
def test_times_may_be_text_or_datetimes(lake: Path, start: When) -> None:
    run = bt.run("buy_and_hold", "BTCUSDT", start=start, end=datetime(2024, 1, 1, 5, tzinfo=UTC), data=lake)
    assert (run.config["run"]["start"], run.config["run"]["end"]) == ("2024-01-01T02:00:00Z", "2024-01-01T05:00:00Z")


def test_a_date_is_its_midnight_in_utc(lake: Path) -> None:
    run = bt.run("buy_and_hold", "BTCUSDT", start=date(2024, 1, 1), data=lake)
    assert run.config["run"]["start"] == "2024-01-01"


def test_limits_are_a_dict_or_a_file(tmp_path: Path, lake: Path, made: bt.Run) -> None:
    (tmp_path / "tight.toml").write_text("max_orders_per_minute = 1\n")
    runs = [
        bt.run("sma_cross", "BTCUSDT ETHUSDT", params=PARAMS, data=lake, risk=risk)
        for risk in ({"max_orders_per_minute": 1}, tmp_path / "tight.toml")
    ]
    assert runs[0].digest == runs[1].digest
    assert runs[0].config["risk"]["max_orders_per_minute"] == 1


def test_several_strategies_share_an_account(lake: Path) -> None:
    run = bt.run(
        data=lake,
        config={"run": {"symbols": ["BTCUSDT"]}},
        strategies=[{"id": "a", "name": "sma_cross", "share": 0.5}, {"id": "b", "name": "buy_and_hold", "share": 0.5}],
    )
    assert set(run.fills["strategy"]) == {"a", "b"}


def test_a_temporary_run_goes_with_its_object(lake: Path) -> None:
    run = bt.run("buy_and_hold", "BTCUSDT", data=lake, keep=False)
    path, fills = run.path, run.fills
    assert path.is_dir()
    del run
    gc.collect()
    assert not path.exists()
    assert len(fills)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ({"fes": {"taker_bps": 1}}, "bt.run has no 'fes'", "did you mean 'fees'?"),
        ({"strategy": "sma_cros"}, "strategy 'sma_cros' is not known", "did you mean 'sma_cross'?"),
        ({"strategy": 5}, "strategy is 5: neither a name nor a Strategy class", "bt.Strategy"),
        ({"params": {"fsat": 3}}, "unknown key 'fsat'", "did you mean 'fast'?"),
        ({"fees": {"taker": 3}}, "unknown key 'fees.taker'", "taker_bps"),
        ({"symbols": ()}, "no symbols were named", "symbols"),
        ({"start": "yesterday"}, "not a time", ""),
        ({"config": "nowhere.toml"}, "nowhere.toml does not exist", ""),
    ],
)
def test_a_mistake_is_one_message_with_a_hint(lake: Path, words: dict[str, object], message: str, hint: str) -> None:
    asked: dict[str, object] = {"strategy": "sma_cross", "symbols": "BTCUSDT", "data": lake, **words}
    with pytest.raises(UsageError) as caught:
        bt.run(**asked)  # type: ignore[arg-type]
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert [note for note in getattr(caught.value, "__notes__", ()) if hint in note] or not hint


def test_missing_data_say_what_to_do(lake: Path) -> None:
    with pytest.raises(DataError) as caught:
        bt.run("sma_cross", "XRPUSDT", data=lake)
    assert "bt data import" in caught.value.__notes__[0]


class Boom(bt.Strategy):
    """Raises at its fifth candle."""

    def on_candle(self, candle: bt.Candle) -> None:
        self.count = getattr(self, "count", 0) + 1
        if self.count == 5:
            raise ValueError("boom")


def test_a_strategy_that_raises_leaves_a_sealed_run_that_can_be_loaded(lake: Path) -> None:
    with pytest.raises(StrategyError, match="boom") as caught:
        bt.run(Boom, "BTCUSDT", data=lake)
    run = bt.load_run()
    assert run.status == "failed"
    assert f"bt.load_run({str(run.path)!r})" in caught.value.__notes__[0]


def test_every_section_of_the_config_has_a_keyword() -> None:
    from backtester.api.config_of import Sections
    from backtester.config.configs import BacktestConfig

    others = {"run", "strategy", "data", "risk"}
    assert set(Sections.__annotations__) == set(BacktestConfig.model_fields) - others


def test_importing_the_package_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, backtester as bt; dir(bt); print(sorted({'polars', 'numpy', 'pydantic'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented() -> None:
    for name in bt.__all__:
        assert getattr(bt, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        bt.rnu  # type: ignore[attr-defined]  # noqa: B018
