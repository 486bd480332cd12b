"""Runs compared: curves where they were, several strategies, coin margin, options, and where logs part."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtester.core.time import parse_time
from backtester.engine.compare.comparing import compare
from backtester.engine.compare.picture import write_picture
from backtester.engine.compare.sides import ComparedRun
from tests.properties import test_coin_runs as coin
from tests.support.chains import Quote, run_chain
from tests.support.market import flat
from tests.support.runs import Ran, run_on, scripted

B, CALL = "BTCUSDT", "BTC-240102-30000-C"
BUY = {0: lambda s: [s.buy(B, 1)]}


def bridge_of(*runs: Ran) -> dict[str, Decimal]:
    """The lines that are not zero, after the sum was checked."""
    content = compare([ran.path for ran in runs]).content["bridge"]
    lines = {line["name"]: Decimal(line["amount"]) for line in content["lines"]}
    assert sum(lines.values()) == Decimal(content["difference"])
    return {name: amount for name, amount in lines.items() if amount}


def test_a_curve_is_known_from_the_runs_start_to_its_end_and_nowhere_else(tmp_path: Path) -> None:
    run = ComparedRun(run_on(tmp_path, [*flat(100, 4), *flat(110, 4)], scripted(BUY)).path)
    start = parse_time("2024-01-01")
    curve = run.equity(start - 8 * 60_000_000, start + 16 * 60_000_000, 24)
    assert np.isnan(curve[:7]).all()
    assert curve[8:12].tolist() == [10_000.0] * 4
    assert curve[15] == 10_010.0
    assert np.isnan(curve[17:]).all()


def test_the_picture_is_a_png_of_all_the_runs(tmp_path: Path) -> None:
    runs = [ComparedRun(run_on(tmp_path / str(n), flat(100 + n, 9), scripted(BUY)).path) for n in range(3)]
    write_picture(runs, tmp_path / "deep" / "equity.png")
    content = (tmp_path / "deep" / "equity.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_a_fill_at_another_price_of_other_data_is_open_profit_while_it_is_held_and_data_when_it_was_closed(
    tmp_path: Path,
) -> None:
    script = BUY | {3: lambda s: s.close(B)}
    kept = [run_on(tmp_path / f"a{n}", [*flat(100, 3), *flat(110 + n, 5)], scripted(BUY)) for n in (0, 2)]
    assert bridge_of(*kept) == {"open positions at the end": 2}
    closed = [run_on(tmp_path / f"b{n}", [*flat(100, 3), *flat(110 + n, 5)], scripted(script)) for n in (0, 2)]
    assert bridge_of(*closed) == {"data": 2}


def test_the_first_decision_that_differs_is_told_with_both_causes(tmp_path: Path) -> None:
    scripts: list[Any] = [{0: lambda s: [s.buy(B, 1)]}, {0: lambda s: [s.buy(B, 2)]}]
    found = compare([run_on(tmp_path / str(n), flat(100, 4), scripted(s)).path for n, s in enumerate(scripts)])
    assert found.decision is not None
    assert found.decision.fields == {"qty": ["1", "2"]}
    for told, qty in ((found.decision.first, "1"), (found.decision.second, "2")):
        assert told is not None
        assert told.parts[0].title == "the 1m candle of spot:BTCUSDT that closed at 2024-01-01T00:01:00Z"
        assert f"wanted to buy {qty} spot:BTCUSDT" in told.parts[1].title


def test_a_decision_that_only_one_run_made_is_told_alone(tmp_path: Path) -> None:
    scripts: list[Any] = [{2: lambda s: [s.buy(B, 1)]}, {1: lambda s: [s.buy(B, 1)]}]
    found = compare([run_on(tmp_path / str(n), flat(100, 5), scripted(s)).path for n, s in enumerate(scripts)])
    assert found.event is not None
    assert found.event.first is None
    assert found.event.second is not None
    assert found.event.second.title == "line 3 of the log, at 2024-01-01T00:02:00Z"


@pytest.mark.parametrize("currency", ["BTC", "USDT"])
def test_coin_margin_adds_up_and_has_conversions_only_in_another_currency(tmp_path: Path, currency: str) -> None:
    runs = [coin.ran(tmp_path / str(seed), seed, "cross", currency) for seed in (1, 2)]
    assert ("conversions" in bridge_of(*runs)) == (currency == "USDT")


def test_options_add_up(tmp_path: Path) -> None:
    quotes = [Quote(hour, CALL, 90 + hour, 100 + hour) for hour in range(6)]
    name = f"option:{CALL}"
    scripts: list[Any] = [
        {1: lambda s, q=q: [s.buy(name, q, limit=200)], 3: lambda s, q=q: [s.sell(name, q, limit=50)]} for q in (1, 2)
    ]
    runs = [
        run_chain(tmp_path / str(n), quotes, s, fees={"maker_bps": 3, "taker_bps": 3}) for n, s in enumerate(scripts)
    ]
    lines = bridge_of(*runs)
    assert set(lines) == {"sizing", "fees"}
    assert lines["sizing"] == Decimal(runs[0].table("trades")[0]["gross_pnl"])
