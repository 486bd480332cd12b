"""What goes wrong inside a strategy: the run ends, its log is whole, and everything derived from it agrees with it."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from backtester.core.errors import CheckFailed, StrategyError
from backtester.core.events import CancelIntent, MarketOrderIntent, Side
from backtester.engine.replay import read_run_json, replay, verify
from backtester.strategy import Candle, Fill, Strategy
from tests.support.market import flat
from tests.support.runs import run_on, scripted

B, E = "BTCUSDT", "ETHUSDT"
TWO = {B: flat(100, 5), E: flat(50, 5)}


class FailsAtItsFill(Strategy):
    """Buys two coins at once and cannot bear to hear of it."""

    def on_candle(self, candle: Candle) -> Any:
        return [self.buy(B, 1), self.buy(E, 1)] if candle.symbol == E and not self.open_orders(B) else []

    def on_fill(self, fill: Fill) -> Any:
        raise ValueError("boom")


class FailsAtTheStart(Strategy):
    """Does not get far."""

    def on_start(self) -> Any:
        raise ValueError("boom")


class Leaves(Strategy):
    """Thinks that it may end the program."""

    def on_candle(self, candle: Candle) -> Any:
        raise SystemExit(0)


def folder_of(tmp_path: Path, strategy: type[Strategy], match: str, **options: Any) -> Path:
    with pytest.raises(StrategyError, match=match):
        run_on(tmp_path, TWO, strategy, **options)
    (folder,) = (tmp_path / "runs").glob("2*")
    return folder


def test_what_was_logged_before_a_failure_is_in_every_table(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, FailsAtItsFill, r"failed in on_fill at the fill of order 1 .*test_failures.py, line")
    done = replay(folder)
    assert (done.status, done.account.fills) == ("failed", 2)
    assert pq.read_table(folder / "fills.parquet").num_rows == 2
    details = read_run_json(folder)
    assert details is not None
    assert details["counts"]["fills"] == 2
    assert set(details["final"]["positions"]) == {f"spot:{B}", f"spot:{E}"}


def test_a_strategy_that_fails_at_the_start_has_its_deposit(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, FailsAtTheStart, "failed in on_start")
    assert replay(folder).account.cash == {"spot:USDT": Decimal(10_000)}
    assert pq.read_table(folder / "equity.parquet").num_rows == 1


def test_sys_exit_is_a_failure_like_any_other(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Leaves, "failed in on_candle .*SystemExit")
    assert replay(folder).status == "failed"


def test_the_past_of_a_failed_run_verifies(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, FailsAtItsFill, "boom")
    (folder / "config.toml").write_text((folder / "config.toml").read_text().replace('"0"', '"1"', 1))
    with pytest.raises(CheckFailed, match=r"verification failed") as failure:
        verify(folder)
    assert "config.toml" in failure.value.hint


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda s: s.call_at(s.now + 0.5), "call_at takes UTC microseconds as an int"),
        (lambda s: s.call_at("soon"), "call_at takes UTC microseconds as an int"),
        (lambda s: [s.buy(B, "1e999999")], "beyond any price or size"),
        (lambda s: [s.buy(B, 1, tag=5)], "tag of MarketOrderIntent is 5"),
        (lambda s: [s.buy(B, 1, oco=None)], "oco of MarketOrderIntent is None"),
        (
            lambda s: [
                MarketOrderIntent(ts=s.now, instrument=f"spot:{B}", side=Side.BUY, qty=Decimal(1), quote=Decimal(1))
            ],
            "exactly one size",
        ),
        (lambda s: [MarketOrderIntent(ts=s.now, instrument=f"spot:{B}", side="buy", qty=Decimal(1))], "side of"),
        (
            lambda s: [MarketOrderIntent(ts=s.now, instrument=f"spot:{B}", side=Side.BUY, qty=Decimal("NaN"))],
            "not a finite number",
        ),
        (lambda s: [CancelIntent(ts=s.now, instrument=f"spot:{B}", order_id="x")], "order_id of CancelIntent is 'x'"),
    ],
)
def test_a_wish_of_a_wrong_type_never_reaches_the_log(tmp_path: Path, act: Any, message: str) -> None:
    folder = folder_of(tmp_path, scripted({1: act}), message)
    assert replay(folder).lines == 2  # the deposit and its snapshot


def test_an_intent_for_what_the_run_does_not_have_names_what_it_has(tmp_path: Path) -> None:
    odd = MarketOrderIntent(ts=0, instrument='spot:"X\n', side=Side.BUY, qty=Decimal(1))  # type: ignore[arg-type]
    folder = folder_of(tmp_path, scripted({0: lambda s: [odd]}), r"is not in this run")
    assert replay(folder).lines == 2


@pytest.mark.parametrize("name", ["fills.parquet", "equity.parquet", "metrics.json"])
def test_replay_misses_what_is_gone_or_other_than_the_run_wrote(tmp_path: Path, name: str) -> None:
    ran = run_on(tmp_path, flat(100, 5), scripted({0: lambda s: [s.buy(B, 1)]}))
    assert replay(ran.path).status == "complete"
    whole = (ran.path / name).read_bytes()
    (ran.path / name).write_bytes(b"junk")
    with pytest.raises(CheckFailed, match=name):
        replay(ran.path)
    (ran.path / name).unlink()
    with pytest.raises(CheckFailed, match=name):
        replay(ran.path)
    (ran.path / name).write_bytes(whole)
    assert replay(ran.path).status == "complete"


def test_two_sales_that_each_only_reduce_do_not_go_short_where_that_is_forbidden(tmp_path: Path) -> None:
    script = {0: lambda s: [s.buy(B, 1)], 2: lambda s: [s.sell(B, 1), s.sell(B, 1)]}
    sections = {"run": {"market": "um"}, "risk": {"allow_short": False}}
    ran = run_on(tmp_path, flat(100, 6), scripted(script), **sections)
    assert [fill.side for fill in ran.fills] == ["buy", "sell"]
    assert ran.updates[-1] == (3, "expired", "short_not_allowed")


def test_a_timer_that_never_ends_can_be_interrupted(tmp_path: Path) -> None:
    import signal

    class Ticks(Strategy):
        def on_start(self) -> Any:
            self.count = 0
            self.call_at(self.now + 1)

        def on_timer(self, now: int) -> Any:
            self.count += 1
            if self.count == 5_000:
                signal.raise_signal(signal.SIGINT)
            self.call_at(now + 1)

    ran = run_on(tmp_path, flat(100, 3), Ticks)
    assert ran.result.status == "interrupted"


def test_a_second_signal_ends_a_hook_that_never_returns(tmp_path: Path) -> None:
    import signal

    class Stuck(Strategy):
        def on_candle(self, candle: Candle) -> Any:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("not reached")

    ran = run_on(tmp_path, flat(100, 3), Stuck)
    assert ran.result.status == "interrupted"
    assert replay(ran.path).status == "interrupted"
