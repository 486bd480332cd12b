"""What a run leaves behind: every file, every default spelled out, and nothing under a false name."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from backtester.config.configs import BacktestConfig
from backtester.core.errors import EngineError, StorageError, StrategyError, UsageError
from backtester.core.market import Candle
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest
from backtester.engine.run_folder import RunFolder, dead_partials, find_run, new_run_id
from backtester.strategy.base import Strategy
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.market import flat
from tests.support.runs import Ran, bought, config_of, prepared_run, run_on, run_prepared, scripted

B = "BTCUSDT"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("run")
    two_coins(folder / "lake", 200)
    return run_prepared(folder, prepared_run(Erratic, config_of(folder / "lake", [B, "ETHUSDT"]), busy=0.4))


def test_the_folder_holds_what_it_should(ran: Ran) -> None:
    there = {path.name for path in ran.path.iterdir()}
    assert there >= {
        "run.json",
        "config.toml",
        "audit.jsonl",
        "orders.parquet",
        "fills.parquet",
        "trades.parquet",
        "equity.parquet",
        "metrics.json",
        "log.jsonl",
    }
    assert not [name for name in there if "lock" in name or "tmp" in name]
    assert ran.path.name == ran.result.run_id
    assert not list(ran.path.parent.glob(".*"))


def test_run_json_names_everything_that_could_explain_a_difference(ran: Ran) -> None:
    details = ran.details
    assert details["status"] == "complete"
    assert details["context"].keys() == {"run_id", "seed", "git_sha", "allow_net"}
    assert details["context"]["run_id"] == ran.result.run_id
    assert details["context"]["allow_net"] is False
    assert details["versions"].keys() >= {"python", "backtester", "numpy", "pyarrow", "msgspec", "pydantic"}
    assert len(details["engine_digest"]) == 32
    assert details["platform"]
    assert [p["path"].split("/")[2] for p in details["data"]] == [B, "ETHUSDT"]
    assert all(len(p["content"]) == 64 and p["rows"] == 200 for p in details["data"])
    assert details["tables"].keys() == {
        *("equity", "benchmark", "exposure", "fills", "orders", "trades", "wallets"),
    }
    assert details["range"] == {
        "start": "2024-01-01",
        "end": "2024-01-01T03:20:00Z",
        "last_tick": "2024-01-01T03:20:00Z",
    }
    assert {"timings", "warnings", "assumptions", "counts", "final"} <= details.keys()
    assert details["counts"]["fills"] == len(ran.fills)


def test_metrics_json_is_what_the_run_returned(ran: Ran) -> None:
    metrics = json.loads((ran.path / "metrics.json").read_bytes())
    assert metrics == ran.result.metrics
    figures = [entry for entry in metrics.values() if isinstance(entry, dict) and "definition_id" in entry]
    assert len(figures) > 60
    for metric in figures:
        assert metric["value"] is not None or metric["reason"]


def test_config_toml_spells_out_every_default(ran: Ran) -> None:
    written = tomllib.loads((ran.path / "config.toml").read_text())
    for section, field in BacktestConfig.model_fields.items():
        if section in ("instruments", "control", "strategies"):  # these have no keys of their own
            continue
        keys = set(field.annotation.model_fields)  # type: ignore[union-attr]
        without_value = {key for key in keys if getattr(getattr(ran.prepared.config, section), key) is None}
        assert set(written[section]) == keys - without_value, section
    assert written["run"]["symbols"] == ["spot:BTCUSDT", "spot:ETHUSDT"]
    assert (written["run"]["start"], written["run"]["end"]) == ("2024-01-01", "2024-01-01T03:20:00Z")
    assert written["strategy"]["params"] == {"busy": 0.4, "warmup": 0}
    assert set(written["instruments"]) == {"spot:BTCUSDT", "spot:ETHUSDT"}
    assert set(written["instruments"]["spot:BTCUSDT"]) == {
        *("base", "quote", "price_decimals", "qty_decimals", "versions", "fees"),
    }


def test_the_written_config_resolves_to_itself(ran: Ran) -> None:
    written = BacktestConfig.model_validate(tomllib.loads((ran.path / "config.toml").read_text()))
    assert prepare(written).config == ran.prepared.config


def test_diagnostics_hold_the_wall_times(ran: Ran) -> None:
    entries = [json.loads(line) for line in (ran.path / "log.jsonl").read_text().splitlines()]
    assert [entry["event"] for entry in entries if entry["level"] == "info"] == ["start", "end"]
    assert all("timestamp" in entry for entry in entries)


class Breaks(Strategy):
    """Buys once, then fails at the fourth candle."""

    seen = 0

    def on_candle(self, candle):  # type: ignore[no-untyped-def]
        self.seen += 1
        if self.seen == 4:
            raise ZeroDivisionError("on purpose")
        return [self.buy(candle.symbol, 1)] if self.seen == 1 else None


def test_a_strategy_that_raises_leaves_a_sealed_run_of_what_was_done(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"failed in on_candle at the 1m candle spot:BTCUSDT 2024-01-01T00:03:00Z"):
        run_on(tmp_path, flat(100, 8), Breaks)
    [folder] = (tmp_path / "runs").iterdir()
    details = json.loads((folder / "run.json").read_bytes())
    assert details["status"] == "failed"
    assert "on purpose" in details["error"]
    assert details["counts"]["fills"] == 1
    from backtester.engine.replay import replay

    assert replay(folder).status == "failed"


def test_a_failed_run_is_a_prefix_of_the_one_that_did_not_fail(tmp_path: Path) -> None:
    class Goes(Breaks):
        def on_candle(self, candle):  # type: ignore[no-untyped-def]
            self.seen += 1
            return [self.buy(candle.symbol, 1)] if self.seen == 1 else None

    with pytest.raises(StrategyError):
        run_on(tmp_path / "a", flat(100, 8), Breaks)
    whole = run_on(tmp_path / "b", flat(100, 8), Goes)
    [folder] = (tmp_path / "a" / "runs").iterdir()
    part = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    assert part == whole.raw_lines[: len(part)]


@pytest.mark.parametrize(
    "returned",
    ["buy", 7, [7], [None], {"buy": 1}, {"a set"}, [["nested"]]],
)
def test_what_is_no_list_of_intents_is_refused_with_its_value(tmp_path: Path, returned: object) -> None:
    with pytest.raises(StrategyError, match="not a list of intents"):
        run_on(tmp_path, flat(100, 3), scripted({1: lambda s: returned}))


def test_a_hook_may_yield_what_it_wants(tmp_path: Path) -> None:
    class Yields(Strategy):
        def on_candle(self, candle: Candle) -> Any:
            if self.position(B).is_flat:
                yield self.buy(B, 1)
                yield self.buy(B, 2)

    ran = run_on(tmp_path, flat(100, 3), Yields)
    assert ran.fills == [bought(1, 100, 1), bought(1, 100, 2)]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (lambda s: [s.sell(B, reduce_only=True)], "exactly one size"),
        (lambda s: [s.buy(B, 1, quote=2)], "exactly one size"),
        (lambda s: [s.buy(B, 1, take_profit=1, stop=1)], "one of stop, take_profit and trail"),
        (lambda s: [s.buy(B, float("nan"))], "not a finite number"),
        (lambda s: [s.buy("DOGEUSDT", 1)], "'DOGEUSDT' is not in this run"),
        (lambda s: s.position("DOGEUSDT"), "'DOGEUSDT' is not in this run"),
    ],
)
def test_a_wish_that_makes_no_sense_names_the_strategy(tmp_path: Path, wish, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StrategyError, match=message) as caught:
        run_on(tmp_path, flat(100, 3), scripted({1: wish}))
    assert "inline" in caught.value.message


def test_a_strategy_that_answers_every_update_with_an_order_is_stopped(tmp_path: Path) -> None:
    class Answers(Strategy):
        def on_candle(self, candle):  # type: ignore[no-untyped-def]
            return [self.buy(B, "0.0000001")]

        def on_order_update(self, update):  # type: ignore[no-untyped-def]
            return [self.buy(B, "0.0000001")]

    with pytest.raises(EngineError, match="one drain delivered more than") as caught:
        run_on(tmp_path, flat(100, 3), Answers)
    assert "on_order_update" in caught.value.hint


def test_a_run_that_trades_nothing_is_a_result(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 5), Strategy)
    assert ran.result.status == "complete"
    assert ran.result.metrics["n_trades"]["value"] == 0
    assert ran.result.metrics["total_return"]["value"] == 0
    assert ran.result.metrics["win_rate"] == {"value": None, "reason": "no_trades", "definition_id": "win_rate/1"}
    assert ran.table("fills") == ran.table("orders") == ran.table("trades") == []


def test_a_hook_without_data_is_warned_of(tmp_path: Path) -> None:
    class Trades(Strategy):
        def on_trade(self, trade):  # type: ignore[no-untyped-def]
            return None

    assert any("on_trade" in warning for warning in run_on(tmp_path, flat(100, 3), Trades).result.warnings)


def test_a_runs_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        RunFolder(tmp_path / "file" / "runs", "id")


def test_a_partial_folder_counts_as_dead_only_when_nobody_writes_it(tmp_path: Path) -> None:
    living = RunFolder(tmp_path, "living")
    assert dead_partials(tmp_path) == []
    living.abandon()
    assert dead_partials(tmp_path) == [tmp_path / ".living.partial"]
    assert dead_partials(tmp_path / "missing") == []


def test_a_sealed_folder_has_its_final_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, "one")
    folder.write("a/b.txt", b"text")
    assert folder.seal() == tmp_path / "one"
    assert (tmp_path / "one" / "a" / "b.txt").read_bytes() == b"text"
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_run_is_found_or_what_it_is_instead_is_said(tmp_path: Path, ran: Ran) -> None:
    assert find_run(str(ran.path)) == ran.path
    (tmp_path / ".gone.partial").mkdir()
    with pytest.raises(UsageError, match="never sealed") as caught:
        find_run(str(tmp_path / "gone"))
    assert ".gone.partial" in caught.value.hint
    with pytest.raises(UsageError, match="not a run's folder"):
        find_run(str(tmp_path))
    with pytest.raises(UsageError, match="there is no run"):
        find_run(str(tmp_path / "nothing"))


def test_run_ids_differ_and_are_names_of_folders() -> None:
    ids = {new_run_id("a/b c", ["BTCUSDT", "X", "Y", "Z"]) for _ in range(20)}
    assert len(ids) == 20
    assert all("/" not in i and " " not in i and "BTCUSDT-X-Y+1" in i for i in ids)


def test_the_same_prepared_run_can_be_run_twice(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 100)
    prepared = prepared_run(Erratic, config_of(tmp_path / "lake", [B]))
    digests = {run_backtest(prepared, tmp_path / "runs").digest for _ in range(2)}
    assert len(digests) == 1
