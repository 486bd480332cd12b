"""`bt run --band` as it is used."""

import json
import signal
from pathlib import Path

import pytest

from tests.support.cli import bt, start_bt
from tests.support.stopping import CANDLES, SLOW, WAIT_S, wait_for

RUN = ["run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "-p", "fast=3", "-p", "slow=7"]


def test_the_base_is_the_plain_run_and_all_three_can_be_verified(lake: Path) -> None:
    plain = bt(*RUN, "--data", lake, "--json").json
    said = bt(*RUN, "--data", lake, "--band", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.out.count("\n") == 1
    band = said.json
    assert list(band["runs"]) == ["pessimistic", "base", "optimistic"]
    assert band["runs"]["base"]["digest"] == plain["digest"]
    assert len({run["digest"] for run in band["runs"].values()}) == 3
    for run in band["runs"].values():
        assert bt("replay", run["path"], "--verify").code == 0
    finals = [float(run["metrics"]["final_equity"]["value"]) for run in band["runs"].values()]
    figure = band["figures"]["final_equity"]
    assert [float(figure[end]) for end in ("min", "base", "max")] == [min(finals), finals[1], max(finals)]
    written = json.loads(Path(band["path"], "band.json").read_bytes())
    assert (written["figures"], written["depends"]) == (band["figures"], band["depends"])


def test_for_people_it_prints_assumptions_figures_and_the_share(lake: Path) -> None:
    said = bt(*RUN, "--data", lake, "--band", "--set", "band.pessimistic.slippage.bps=50")
    assert said.code == 0
    words = ("execution.path", "slippage.bps", "minimum", "maximum", "final equity", "ambiguous", "band.json", " 50 ")
    for text in words:
        assert text in said.out
    assert "depends on the assumptions" in said.out
    assert len([path for path in Path("runs").iterdir() if path.is_dir()]) == 4


def test_the_config_of_the_base_repeats_the_band(lake: Path) -> None:
    first = bt(*RUN, "--data", lake, "--band", "--set", "band.pessimistic.slippage.bps=50", "--json").json
    again = bt("run", "--config", f"{first['runs']['base']['path']}/config.toml", "--band", "--json").json
    assert [run["digest"] for run in again["runs"].values()] == [run["digest"] for run in first["runs"].values()]
    assert again["figures"] == first["figures"]


def test_no_trade_is_no_profit_under_any_assumption(lake: Path) -> None:
    said = bt(*RUN, "-p", "slow=230", "--data", lake, "--band")
    assert "there is no profit under any of the assumptions" in said.out


def test_a_failing_run_is_named_and_decides_the_exit_code(tmp_path: Path, lake: Path) -> None:
    (tmp_path / "picky.py").write_text(
        "from backtester.strategy.base import Strategy\n\n\n"
        "class Picky(Strategy):\n"
        "    def on_candle(self, candle):\n"
        "        return [self.buy(candle.symbol, 1)]\n\n"
        "    def on_fill(self, fill):\n"
        "        if fill.price_units != fill.reference_price_units:\n"
        "            raise ValueError('too dear')\n"
    )
    options = ("--strategy", "picky.py:Picky", "--symbols", "BTCUSDT", "--data", lake, "--set", "slippage.bps=0")
    said = bt("run", *options, "--band", "--json")
    assert said.code == 1
    assert "failed under pessimistic assumptions; kept:" in said.message
    assert "too dear" in said.message
    assert [run["status"] for run in said.json["runs"].values()] == ["failed", "complete", "complete"]


def test_a_mistake_in_the_band_ends_with_2_before_anything_runs(lake: Path) -> None:
    said = bt(*RUN, "--data", lake, "--band", "--set", "band.pessimistic.execution.pth=1")
    assert said.code == 2
    assert "band.pessimistic.execution.pth" in said.message
    assert not Path("runs").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_band_and_keeps_what_was_done(tmp_path: Path, long_lake: Path, how: int) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    flag = tmp_path / "got_there"
    options = ("--strategy", "slow.py:Slow", "--symbols", "BTCUSDT", "--data", long_lake, "--json", "--band")
    process = start_bt("run", *options, cwd=tmp_path, SLOWLY=str(flag))
    wait_for(flag, process)
    process.send_signal(how)
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert "interrupted" in err
    said = json.loads(out)
    assert (said["status"], list(said["runs"])) == ("interrupted", ["pessimistic"])
    assert said["figures"] is None
    details = json.loads(Path(said["runs"]["pessimistic"]["path"], "run.json").read_bytes())
    assert details["status"] == "interrupted"
    assert 0 < details["counts"]["fills"] < CANDLES - 10
