"""`Run`: what a notebook reads of a sealed run."""

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import backtester as bt
from backtester.core.errors import CheckFailed, UsageError

EVIL = "<script>alert(1)</script> & \"'-->"


def test_figures_are_read_by_attribute_and_by_name(made: bt.Run) -> None:
    content = json.loads((made.path / "metrics.json").read_bytes())
    metrics = made.metrics
    assert metrics.n_trades == metrics["n_trades"] == content["n_trades"]["value"] == len(made.trades)
    assert metrics.final_equity == Decimal(content["final_equity"]["value"])
    assert set(metrics) == set(content)
    assert metrics.entry("total_return") == content["total_return"]
    assert set(metrics.figures) < set(metrics) | {"x"}
    assert metrics.monthly_returns == content["monthly_returns"]
    assert "n_trades" in dir(metrics)
    assert "n_trades" in repr(metrics)
    with pytest.raises(AttributeError, match="no figure 'sharp'"):
        metrics.sharp  # noqa: B018
    with pytest.raises(UsageError, match="no figure 'sharp'"):
        metrics.entry("sharp")


def test_a_figure_without_a_meaning_is_none_and_says_why(lake: Path) -> None:
    run = bt.run("sma_cross", "BTCUSDT", params={"slow": 599}, data=lake)
    assert run.metrics.win_rate is None
    assert run.metrics.entry("win_rate")["reason"] == "no_trades"
    assert "none (no_trades)" in repr(run.metrics)


def test_tables_are_exact_frames_or_floats(made: bt.Run) -> None:
    assert isinstance(made.trades["net_pnl"][0], Decimal)
    assert made.equity["ts"].dtype == pl.Datetime("us", "UTC")
    assert made.equity["equity"][-1] == made.metrics.final_equity
    floats = made.table("equity", exact=False)
    assert floats["equity"].dtype == pl.Float64
    assert floats["equity"][-1] == pytest.approx(float(made.metrics.final_equity))
    assert set(made.orders["order_id"]) >= set(made.fills["order_id"])
    with pytest.raises(UsageError) as caught:
        made.table("trade")
    assert "trades" in caught.value.hint


def test_the_log_is_a_frame_by_topic(made: bt.Run) -> None:
    fills = made.log("fills")
    assert fills["seq"].is_sorted()
    assert fills["order_id"].to_list() == made.fills["order_id"].to_list()
    assert [Decimal(fee) for fee in fills["fee"]] == made.fills["fee"].to_list()
    whole = made.log()
    assert whole["seq"].to_list() == list(range(1, made.details["log"]["lines"] + 1))
    some = made.log(("fills", "orders_intent"))
    assert set(some["topic"]) == {"fills", "orders_intent"}
    assert json.loads(some["event"][0])["ts"] > 0
    assert len(made.log("transfers")) == 0
    with pytest.raises(UsageError) as caught:
        made.log("fill")
    assert "fills" in caught.value.hint


def test_a_run_says_what_it_was(made: bt.Run) -> None:
    assert (made.status, made.strategy, made.certificate) == ("complete", "sma_cross", None)
    assert {"fast": 3, "slow": 9}.items() <= made.params.items()
    assert made.config["run"]["symbols"] == ["spot:BTCUSDT", "spot:ETHUSDT"]
    assert "fills" in made.assumptions
    assert made.warnings == made.details["warnings"]
    assert repr(made) == f"<Run {made.id}: complete>"


def test_runs_are_loaded_by_name_wherever_the_working_directory_is(
    made: bt.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = made.path.parent
    for name in (made.path, str(made.path), runs / "latest", f"{runs}/{made.id[-6:]}"):
        assert bt.load_run(name).path == made.path
    monkeypatch.chdir(runs)
    loaded = bt.load_run(made.id)
    monkeypatch.chdir(tmp_path)
    assert loaded.metrics.n_trades == made.metrics.n_trades
    with pytest.raises(UsageError, match="there is no run"):
        bt.load_run()


def test_runs_are_listed_as_a_frame(made: bt.Run) -> None:
    frame = bt.runs(made.path.parent)
    [row] = frame.filter(pl.col("run_id") == made.id).to_dicts()
    assert row["n_trades"] == made.metrics.n_trades
    assert json.loads(row["params"]) == made.params
    assert row["start"].isoformat() == "2024-01-01T00:00:00+00:00"
    with pytest.raises(UsageError, match="no folder"):
        bt.runs("nowhere")


def test_pictures_are_figures_that_show_themselves(made: bt.Run, tmp_path: Path) -> None:
    for picture in (made.plot.equity(), made.plot.drawdown(), made.plot.price("ETHUSDT"), made.plot.price()):
        assert picture._repr_png_().startswith(b"\x89PNG")
        assert len(picture.axes) == 1
    made.plot.equity().savefig(tmp_path / "equity.png")
    assert "spot:ETHUSDT" in made.plot.price("spot:ETHUSDT").axes[0].get_title(loc="left")
    with pytest.raises(UsageError) as caught:
        made.plot.price("XRPUSDT")
    assert "spot:BTCUSDT, spot:ETHUSDT" in caught.value.hint


def test_why_is_explained_as_on_the_command_line(made: bt.Run) -> None:
    from tests.support.cli import bt as command

    told = made.explain("trade:1")
    assert str(told) == command("explain", made.path, "trade:1").out.rstrip("\n")
    assert told.as_object()["parts"]
    with pytest.raises(UsageError):
        made.explain("trade:0")


def test_the_page_of_a_run_is_written_when_asked_for(made: bt.Run) -> None:
    page = made.path / "report.html"
    assert not page.exists()
    assert made.report() == page
    assert page.read_bytes().lower().startswith(b"<!doctype html>")


def test_a_changed_log_is_found(made: bt.Run, lake: Path) -> None:
    run = bt.run("sma_cross", "BTCUSDT", params={"fast": 3, "slow": 9}, data=lake, keep=False)
    run.replay()
    log = run.path / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"buy"', b'"sell"', 1))
    with pytest.raises(CheckFailed):
        run.replay()
    with pytest.raises(CheckFailed):
        run.log("fills")


class Evil(bt.Strategy):
    """Buys once, under a name that is no good HTML."""

    def on_candle(self, candle: bt.Candle) -> object:
        if self.position(candle.instrument).is_flat:
            return [self.buy(candle.symbol, 1, tag=EVIL)]
        return [self.sell(candle.symbol, 1, tag=EVIL)]


Evil.__name__ = Evil.__qualname__ = EVIL


def test_what_a_notebook_shows_is_escaped(lake: Path) -> None:
    run = bt.run(Evil, "BTCUSDT", data=lake, keep=False)
    assert run.strategy == EVIL
    page = run._repr_html_() + run.metrics._repr_html_() + run.explain("trade:1")._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "how sure" in page


def test_runs_are_compared_with_a_bridge_that_adds_up(made: bt.Run, lake: Path) -> None:
    dear = bt.run("sma_cross", "BTCUSDT ETHUSDT", params=made.params, data=lake, fees={"taker_bps": 50})
    found = bt.compare(made, dear.path)
    assert found.config["key"].to_list() == ["fees.taker_bps"]
    assert found.bridge is not None
    assert found.bridge["amount"].sum() == dear.metrics.final_equity - made.metrics.final_equity
    row = found.metrics.row(by_predicate=pl.col("name") == "total_return", named=True)
    assert row["difference"] == pytest.approx(dear.metrics.total_return - made.metrics.total_return)
    assert row["better"] == "first"
    assert "order 1" in str(found.first_difference(1))
    assert made.id in found._repr_html_()
    assert bt.compare(made, dear, bt.run("buy_and_hold", "BTCUSDT", data=lake)).bridge is None
    with pytest.raises(UsageError):
        bt.compare(made, made)
