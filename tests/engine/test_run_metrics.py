"""The metrics of whole runs: made again from the folder, to the unit, whatever happened in the run."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtester.config.configs import BacktestConfig
from backtester.core.errors import UsageError
from backtester.engine.prepare import prepare
from backtester.engine.run import run_backtest
from backtester.engine.run_metrics import metrics_of
from tests.support.coin import PERP, coin_run
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.market import flat
from tests.support.runs import Ran, config_of, prepared_run, run_on, run_prepared, scripted
from tests.support.sleeves import Part, several

B = "BTCUSDT"
FEES = {"maker_bps": 2, "taker_bps": 10}


def assert_whole(ran: Ran) -> dict[str, Any]:
    """Metrics are made again byte for byte, and their money adds up to the account."""
    metrics: dict[str, Any] = json.loads((ran.path / "metrics.json").read_bytes())
    assert json.loads(json.dumps(metrics_of(ran.path))) == metrics
    initial, final = (Decimal(metrics[name]["value"]) for name in ("initial_equity", "final_equity"))
    costs, net = metrics["costs"], final - initial
    lines = {line["name"]: Decimal(line["value"]) for line in costs["lines"]}
    assert sum(lines.values()) == net == Decimal(costs["net"]) == Decimal(metrics["net_pnl"]["value"])
    whose = {line["name"]: Decimal(line["value"]) for line in costs["whose"]}
    assert sum(whose.values()) == net
    trades = ran.table("trades")
    for name, rows in metrics["breakdowns"].items():
        assert sum(row["n_trades"] for row in rows) == len(trades), name
        assert sum(Decimal(row["net_pnl"]) for row in rows) == whose["closed_trades"], name
    for trade in trades:
        assert trade["net_pnl"] == trade["gross_pnl"] - trade["fees"] + trade["funding"] + trade["insurance"]
        assert trade["mae"] is None or trade["mae"] <= 0 <= trade["mfe"]
    assert not any("nan" in text.lower() or "inf" in text.lower() for text in json.dumps(metrics).split('"')[2::2])
    return metrics | {"lines": lines, "whose_named": whose}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("busy")
    two_coins(folder / "lake", 250)
    config = config_of(folder / "lake", [B, "ETHUSDT"], fees=FEES, slippage={"bps": 5})
    return run_prepared(folder, prepared_run(Erratic, config, busy=0.4))


def test_money_of_a_busy_run_adds_up_to_the_unit(busy: Ran) -> None:
    found = assert_whole(busy)
    assert found["n_trades"]["value"] > 5
    assert found["lines"]["conversion"] == 0
    assert found["whose_named"]["not_of_a_trade"] == 0
    assert found["lines"]["slippage"] < 0
    sign = {"buy": 1, "sell": -1}
    slipped = sum(
        sign[fill["side"]] * (fill["price"] - fill["reference_price"]) * fill["qty"] for fill in busy.table("fills")
    )
    assert -found["lines"]["slippage"] == pytest.approx(slipped, abs=Decimal("0.000001"))


def test_money_adds_up_where_fees_are_taken_from_what_was_bought(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 250)
    config = config_of(tmp_path / "lake", [B, "ETHUSDT"], fees=FEES | {"spot_asset": "received"}, slippage={"bps": 5})
    found = assert_whole(run_prepared(tmp_path, prepared_run(Erratic, config, busy=0.4)))
    assert found["fees"]["by_asset"].keys() >= {"BTC", "ETH", "USDT"}
    assert found["lines"]["conversion"] == 0


def test_the_bytes_do_not_depend_on_the_number_of_threads(busy: Ran) -> None:
    code = "import sys,msgspec; from pathlib import Path; from backtester.engine.run_metrics import metrics_of;"
    code += "sys.stdout.buffer.write(msgspec.json.encode(metrics_of(Path(sys.argv[1]))))"
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS")
    said = {
        subprocess.run(
            [sys.executable, "-c", code, str(busy.path)],
            env=os.environ | dict.fromkeys(threads, count) | {"PYTHONHASHSEED": count},
            capture_output=True,
            check=True,
        ).stdout
        for count in ("1", "4")
    }
    assert len(said) == 1


def test_how_a_table_was_cut_into_pieces_does_not_matter(busy: Ran, tmp_path: Path) -> None:
    for path in busy.path.iterdir():
        if path.suffix == ".parquet":
            pq.write_table(pq.read_table(path), tmp_path / path.name, row_group_size=7)
        elif path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert metrics_of(tmp_path) == metrics_of(busy.path)


def test_excursions_are_within_what_the_candles_saw(busy: Ran) -> None:
    trades = [trade for trade in busy.table("trades") if trade["fills"] == 2]
    assert trades
    for trade in trades:
        sign = 1 if trade["side"] == "long" else -1
        at_exit = sign * (trade["exit_price"] - trade["entry_price"]) * trade["qty"]
        assert trade["mae"] <= round(at_exit, 6) + Decimal("0.00001")
        assert trade["mfe"] >= round(at_exit, 6) - Decimal("0.00001")


MARKET = [
    # open, high, low, close
    (100, 101, 99, 100),
    (100, 103, 98, 99),
    (98, 110, 97, 105),
    (104, 106, 90, 91),
    (92, 99, 91, 98),
]


def one_trade(exit_after: int) -> Any:
    return scripted({0: lambda s: [s.buy(B, 10)], exit_after: lambda s: [s.sell(B, 10)]})


def test_one_trade_by_hand(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, one_trade(2), fees={"maker_bps": 0, "taker_bps": 10})
    [trade] = ran.table("trades")
    assert (trade["entry_price"], trade["exit_price"]) == (100, 104)
    assert (trade["mae"], trade["mfe"]) == (-30, 100)  # the lows and highs of the two candles that it was held
    assert (trade["mae_pct"], trade["mfe_pct"]) == (-0.03, 0.1)
    assert (trade["gross_pnl"], trade["fees"], trade["net_pnl"]) == (40, Decimal("2.04"), Decimal("37.96"))
    assert (trade["initial_stop"], trade["r"], trade["exit_reason"]) == (0, None, "signal")
    assert trade["equity_at_entry"] == 10_000
    found = assert_whole(ran)
    assert found["win_rate"]["value"] == 1
    assert found["profit_factor"] == {"value": None, "reason": "no_losses", "definition_id": "profit_factor/1"}
    assert found["exposure_time"]["value"] == pytest.approx(2 / 5)
    assert found["max_concurrent_positions"]["value"] == 1


@pytest.mark.parametrize(
    ("market", "reason", "r"),
    [
        ([(100, 101, 99, 100), (100, 101, 99, 100), (100, 101, 90, 91)], "stop", -1.0),
        ([(100, 101, 99, 100), (100, 101, 99, 100), (100, 115, 99, 114)], "target", 2.0),
    ],
)
def test_r_is_profit_over_what_the_stop_of_the_bracket_risked(
    tmp_path: Path, market: list[tuple[int, int, int, int]], reason: str, r: float
) -> None:
    entry = scripted({0: lambda s: [s.buy(B, 10, stop_loss=Decimal(95), take_profits=[(Decimal(110), 1)])]})
    ran = run_on(tmp_path, [*market, (100, 101, 99, 100)], entry)
    [trade] = ran.table("trades")
    assert (trade["initial_stop"], trade["exit_reason"], trade["r"]) == (95, reason, r)
    assert_whole(ran)


def test_a_stop_that_answers_the_first_fill_is_the_initial_one(tmp_path: Path) -> None:
    entry = scripted(
        {0: lambda s: [s.buy(B, 10)], 1: lambda s: s.cancel_all(B), 2: lambda s: [s.sell(B, 10)]},
        on_fill=lambda s, fill: [s.sell(B, 10, stop=Decimal(90), oco="x")] if fill.side == "buy" else s.cancel_all(B),
    )
    ran = run_on(tmp_path, [*MARKET[:3], (104, 106, 100, 101)], entry)
    [trade] = ran.table("trades")
    assert (trade["initial_stop"], trade["r"]) == (90, 0.4)


def test_a_run_without_trades_says_why_nothing_can_be_said(tmp_path: Path) -> None:
    found = assert_whole(run_on(tmp_path, flat(100, 10), scripted({})))
    assert [found[name]["value"] for name in ("total_return", "max_drawdown", "exposure_time")] == [0, 0, 0]
    assert found["win_rate"]["reason"] == "no_trades"
    assert found["sharpe"]["reason"] == "too_short"
    assert found["breakdowns"]["symbol"] == found["open_trades"] == []


def test_a_trade_that_is_open_at_the_end_is_listed_and_not_counted(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({0: lambda s: [s.buy(B, 10)]}), fees={"maker_bps": 0, "taker_bps": 10})
    found = assert_whole(ran)
    assert (found["n_trades"]["value"], found["n_open"]["value"]) == (0, 1)
    [trade] = found["open_trades"]
    assert (trade["net_pnl"], trade["mark"]) == ("-21.00000000", "98.00")
    assert found["whose_named"] == {
        **{"closed_trades": 0, "open_trades": Decimal("-21.00000000"), "not_of_a_trade": 0},
    }
    assert found["max_concurrent_positions"]["value"] == 1


def test_buy_and_hold_buys_at_the_first_close_for_the_fee(tmp_path: Path) -> None:
    ran = run_on(tmp_path, MARKET, scripted({}), fees={"maker_bps": 0, "taker_bps": 10})
    values = [row["equity"] for row in ran.table("benchmark")]
    assert values == [
        pytest.approx(Decimal(value), abs=Decimal("0.00000002"))
        for value in ("10000", "9990", "9890.1", "10489.5", "9090.9", "9790.2")
    ]


def test_holding_two_symbols_holds_half_of_each(tmp_path: Path) -> None:
    markets = {B: MARKET, "ETHUSDT": flat(50, 5)}
    ran = run_on(tmp_path, markets, scripted({}))
    assert ran.table("benchmark")[-1]["equity"] == pytest.approx(Decimal(5000) + Decimal(5000) * 98 / 100)


def test_liquidation_is_a_reason_and_a_line_of_its_own(tmp_path: Path) -> None:
    falling = [(100, 101, 99, 100)] * 2 + [(100, 100, 60, 60), (60, 61, 59, 60)]
    ran = run_on(
        tmp_path,
        falling,
        scripted({0: lambda s: [s.buy(B, 900)]}),
        run={"market": "um"},
        futures={"leverage": 10, "funding": "off"},
    )
    found = assert_whole(ran)
    [trade] = ran.table("trades")
    assert trade["exit_reason"] == "liquidation"
    assert [row["key"] for row in found["breakdowns"]["exit_reason"]] == ["liquidation"]
    assert found["lines"]["liquidation"] < 0
    assert found["lines"]["fees"] == 0


def test_a_run_that_broke_still_has_its_metrics(tmp_path: Path) -> None:
    def breaks(strategy: Any) -> None:
        raise ZeroDivisionError

    config_run = scripted({0: lambda s: [s.buy(B, 10)], 2: breaks})
    with pytest.raises(Exception, match="failed in on_candle"):
        run_on(tmp_path, MARKET, config_run)
    [folder] = (tmp_path / "runs").glob("2*")
    found = metrics_of(folder)
    assert (found["n_open"]["value"], found["n_trades"]["value"]) == (1, 0)
    assert json.loads(json.dumps(found)) == json.loads((folder / "metrics.json").read_bytes())
    assert not (tmp_path / "runs" / "trials.jsonl").exists()


def test_every_complete_run_is_a_trial_and_the_same_run_only_once(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 250)
    config = config_of(tmp_path / "lake", [B])
    counts = []
    for busy in (0.1, 0.2, 0.2, 0.3):
        ran = run_prepared(tmp_path, prepared_run(Erratic, config, busy=busy))
        counts.append(ran.details["trials"]["distinct"])
    assert counts == [1, 2, 2, 3]
    lines = [json.loads(line) for line in (tmp_path / "runs" / "trials.jsonl").read_bytes().splitlines()]
    assert [line["params"]["busy"] for line in lines] == [0.1, 0.2, 0.2, 0.3]
    dearer = config_of(tmp_path / "lake", [B], fees=FEES)
    assert run_prepared(tmp_path, prepared_run(Erratic, dearer, busy=0.3)).details["trials"]["distinct"] == 3
    other = config_of(tmp_path / "lake", ["ETHUSDT"])
    assert run_prepared(tmp_path, prepared_run(Erratic, other, busy=0.3)).details["trials"]["distinct"] == 1


def test_trials_on_overlapping_data_are_counted_whatever_their_strategy_range_and_symbols(tmp_path: Path) -> None:
    class Renamed(Erratic):
        """The same under another name."""

    two_coins(tmp_path / "lake", 250)

    def overlapping(cls: Any, symbols: list[str], **run: str) -> tuple[int, int]:
        ran = run_prepared(tmp_path, prepared_run(cls, config_of(tmp_path / "lake", symbols, run=run), busy=0.1))
        assert ran.result.metrics["trials_overlapping"]["value"] == ran.details["trials"]["overlapping"]
        return ran.details["trials"]["distinct"], ran.details["trials"]["overlapping"]

    assert overlapping(Erratic, [B]) == (1, 1)
    assert overlapping(Erratic, [B]) == (1, 1)
    assert overlapping(Renamed, [B])[1] == 2
    assert overlapping(Erratic, [B], start="2024-01-01T00:10:00Z") == (1, 3)
    assert overlapping(Erratic, [B, "ETHUSDT"]) == (1, 4)
    assert overlapping(Erratic, ["ETHUSDT"]) == (1, 2)
    assert overlapping(Erratic, [B], end="2024-01-01T00:05:00Z") == (1, 4)  # not with the one that began after it


def test_a_ledger_that_a_killed_run_left_torn_is_read_and_goes_on(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 250)
    config = config_of(tmp_path / "lake", [B])
    run_prepared(tmp_path, prepared_run(Erratic, config, busy=0.1))
    ledger = tmp_path / "runs" / "trials.jsonl"
    ledger.write_bytes(ledger.read_bytes() + b'{"family": "to')
    assert run_prepared(tmp_path, prepared_run(Erratic, config, busy=0.2)).details["trials"]["distinct"] == 2
    assert run_prepared(tmp_path, prepared_run(Erratic, config, busy=0.3)).details["trials"]["distinct"] == 3


def test_a_folder_without_books_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(
        '{"status": "complete", "log": {"digest": "", "lines": 0}, "final": {"cash": {}}}'
    )
    with pytest.raises(UsageError, match="nothing to make metrics of"):
        metrics_of(tmp_path)


@pytest.mark.parametrize("name", ["ema_regime", "mean_reversion", "structure_mtf"])
def test_real_runs_agree_with_empyrical_and_add_up(name: str, real_data: Path, tmp_path: Path) -> None:
    empyrical = pytest.importorskip("empyrical")
    from tests.golden.golden_runs import real_lake

    real_lake(real_data, tmp_path / "lake")
    config = BacktestConfig.model_validate(
        {
            "run": {"market": "um", "symbols": ["FILUSDT"], "timeframe": "5m"},
            "data": {"gap_policy": "continue", "dir": str(tmp_path / "lake")},
            "strategy": {"name": name},
        }
    )
    prepared = prepare(config)
    ran = Ran(run_backtest(prepared, tmp_path / "runs"), prepared)
    found = assert_whole(ran)
    rows = pq.read_table(ran.path / "equity.parquet").to_pylist()
    last: dict[Any, float] = {}
    for row in rows:  # the last equity at or before each midnight, by another way
        day = row["ts"].date() if row["ts"].time().isoformat() == "00:00:00" else None
        if day is not None:
            last[day] = float(row["equity"])
    last[rows[0]["ts"].date()] = float(rows[0]["equity"])
    equity = np.array([last[day] for day in sorted(last)])
    returns = equity[1:] / equity[:-1] - 1
    theirs = {
        "sharpe": empyrical.sharpe_ratio(returns, annualization=365),
        "sortino": empyrical.sortino_ratio(returns, annualization=365),
        "volatility": empyrical.annual_volatility(returns, annualization=365),
        "max_drawdown_daily": empyrical.max_drawdown(returns),
    }
    for figure, value in theirs.items():
        assert found[figure]["value"] == pytest.approx(value, rel=1e-9), figure


def test_an_inverse_contract_is_counted_in_its_coin(tmp_path: Path) -> None:
    rows = [(100, 101, 99, 100), (100, 126, 99, 125), (125, 126, 124, 125), (125, 126, 124, 125)]
    script = {0: lambda s: [s.buy(PERP, 1)], 2: lambda s: s.close(PERP)}
    ran = coin_run(tmp_path, [tuple(100 * price for price in row) for row in rows], script)  # type: ignore[misc]
    found = assert_whole(ran)
    [trade] = ran.table("trades")
    assert trade["currency"] == found["net_pnl"]["currency"] == "BTC"
    assert trade["entry_price"] == 10_000
    # 100 USD are 0.01 BTC at 10,000; long gains what fewer coins pay for them.
    assert trade["gross_pnl"] == Decimal("0.01") - 100 / trade["exit_price"]
    assert trade["mfe"] == Decimal("0.01") - round(Decimal(100) / 12_600, 8)


def test_what_is_earned_in_another_asset_is_a_line_of_its_own(tmp_path: Path) -> None:
    rows = [(100, 101, 99, 100), (100, 126, 99, 125), (125, 126, 124, 125), (125, 126, 124, 150)]
    found = assert_whole(
        run_on(tmp_path, rows, scripted({}), account={"currency": "USDT", "wallets": {"spot:USDT": 100, "spot:BTC": 1}})
    )
    assert found["lines"]["conversion"] == Decimal(found["net_pnl"]["value"]) != 0


def test_of_several_strategies_each_has_its_row(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 250)
    parts = [Part("one", Erratic, "0.5", params={"busy": 0.4}), Part("two", Erratic, "0.3", params={"busy": 0.3})]
    config = several(tmp_path / "lake", parts, [B, "ETHUSDT"], fees=FEES, slippage={"bps": 5})
    ran = run_prepared(tmp_path, prepare(config))
    found = assert_whole(ran)
    assert {row["key"] for row in found["breakdowns"]["strategy"]} == {"one", "two"}
    assert {row["key"] for row in found["breakdowns"]["symbol"]} == {"spot:BTCUSDT", "spot:ETHUSDT"}
    assert found["whose_named"]["not_of_a_trade"] == 0


def test_a_run_that_nobody_can_measure_is_sealed_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OverflowError("an amount is beyond int64")

    monkeypatch.setattr("backtester.engine.run.metrics_from", broken)
    with pytest.raises(OverflowError):
        run_on(tmp_path, MARKET, one_trade(2))
    [folder] = (tmp_path / "runs").glob("2*")
    details = json.loads((folder / "run.json").read_bytes())
    assert (details["status"], details["error"]) == ("failed", "an amount is beyond int64")
    assert json.loads((folder / "metrics.json").read_bytes()) == {}
    assert not (tmp_path / "runs" / "trials.jsonl").exists()


def test_a_ledger_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "runs" / "trials.jsonl").mkdir(parents=True)
    ran = run_on(tmp_path, MARKET, one_trade(2))
    assert ran.result.status == "complete"
    assert any("trials.jsonl cannot be written" in warning for warning in ran.result.warnings)
