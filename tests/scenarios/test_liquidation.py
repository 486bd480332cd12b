"""Liquidation on markets drawn by hand: when, at which price, what it costs, and what the insurance fund pays."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError
from backtester.engine.replay import replay, verify
from tests.support.lakes import write_rows
from tests.support.market import Row, Rows, flat, time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import UM_BRACKETS, put_rules

ETH = "ETHUSDT"  # up to 10 000 at 75x and 0.65 %, up to 50 000 at 50x and 1 %
# 40 long at 100 with 10x: margin 400. 400 + 40 p - 4000 - 0.0065 × 40 p = 0 at p = 90.5888…
FALLS_AT = Decimal("90.58")


def run(folder: Path, rows: Rows, script: Mapping[int, Any], **sections: Any) -> Ran:
    lake = folder / "lake"
    write_candles(lake, rows, symbol=ETH, market="um")
    put_rules(lake, UM_BRACKETS, date="2023-01-01")
    base: dict[str, Any] = {
        "run": {"market": "um"},
        "account": {"initial_cash": 1000},
        "futures": {"leverage": 10},
    }
    return run_prepared(folder, prepared_run(scripted(script), config_of(lake, [ETH], **(base | sections))))


def buy(qty: int, **options: Any) -> Any:
    return lambda s: [s.buy(ETH, qty, **options)]


def sell(qty: int, **options: Any) -> Any:
    return lambda s: [s.sell(ETH, qty, **options)]


def falls(low: float, close: float | None = None) -> list[Row | None]:
    return [(100.0, 100.0, low, low if close is None else close), *flat(close or low, 2)]


def insured(ran: Ran) -> list[str]:
    return [e["amount"] for e in ran.events("cashflows") if e["kind"] == "insurance"]


def cash(ran: Ran) -> Decimal:
    return Decimal(ran.details["final"]["cash"]["um:USDT"])


def test_an_isolated_long_is_closed_at_its_liquidation_price_and_pays_the_fee_of_what_is_left(tmp_path: Path) -> None:
    ran = run(tmp_path, [*flat(100, 2), *falls(90)], {0: buy(40)})
    fill = ran.fills[-1]
    assert (fill.side, fill.qty, fill.price, fill.tag) == ("sell", 40, FALLS_AT, "liquidation")
    # 400 - 40 × 9.42 = 23.20 are left: less than 2 % of the notional, so all of it is the fee
    assert fill.fee == Decimal("23.20")
    assert cash(ran) == 600
    assert insured(ran) == []
    assert ran.details["liquidation"]["liquidations"] == {f"um:{ETH}": 1}
    assert any("liquidated, 1 time" in w for w in ran.result.warnings)
    assert [a["state"] for a in ran.events("margin")] == ["liquidated"]
    assert ran.table("trades")[-1]["exit_tag"] == "liquidation"
    assert ran.table("orders")[-1]["tag"] == "liquidation"
    replay(ran.path)
    verify(ran.path)


def test_a_price_that_stays_above_liquidates_nothing(tmp_path: Path) -> None:
    ran = run(tmp_path, [*flat(100, 2), *falls(90.59)], {0: buy(40)})
    assert len(ran.fills) == 1
    assert ran.details["liquidation"]["margin_calls"] == {f"um:{ETH}": 1}
    assert [a["state"] for a in ran.events("margin")] == ["call"]


def test_a_gap_beyond_the_bankruptcy_price_costs_the_margin_and_the_insurance_fund_pays_the_rest(
    tmp_path: Path,
) -> None:
    ran = run(tmp_path, [*flat(100, 2), *flat(80, 3)], {0: buy(40)})
    assert ran.fills[-1].price == 80
    assert ran.fills[-1].fee == 0
    assert insured(ran) == ["400.00000000"]  # 800 lost, 400 were put in
    assert cash(ran) == 600
    assert ran.details["liquidation"]["shortfall"] == {"USDT": "400.00000000"}
    assert not any("ruined" in w for w in ran.result.warnings)


def test_a_short_falls_when_the_price_rises(tmp_path: Path) -> None:
    rows = [*flat(100, 2), (100.0, 112.0, 100.0, 100.0), *flat(100, 2)]
    ran = run(tmp_path, rows, {0: sell(40)})
    # 400 + 4000 - 40 p - 0.0065 × 40 p = 0 at p = 109.2896…
    assert (ran.fills[-1].side, ran.fills[-1].price) == ("buy", Decimal("109.29"))


def test_the_worse_of_a_candle_comes_first_its_orders_are_taken_back_and_it_is_counted(tmp_path: Path) -> None:
    ran = run(tmp_path, [*flat(100, 2), *falls(90)], {0: buy(40, stop_loss=95)})
    assert ran.fills[-1].tag == "liquidation"
    assert [update[1:] for update in ran.updates if update[1] == "cancelled"] == [("cancelled", "liquidation")]
    assert ran.details["counts"]["ambiguous_candles"] == 1


def test_a_stop_in_an_earlier_candle_saves_the_position(tmp_path: Path) -> None:
    ran = run(tmp_path, [*flat(100, 2), (100.0, 100.0, 94.0, 94.0), *flat(80, 2)], {0: buy(40, stop_loss=95)})
    assert ran.fills[-1].price == 95
    assert ran.details["liquidation"]["liquidations"] == {}


def test_a_large_position_is_reduced_to_the_next_lower_bracket_first(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        [*flat(100, 2), *falls(91)],
        {0: buy(200)},
        account={"initial_cash": 3000},
        futures={"leverage": 10},
    )
    # 2000 + 200 p - 20000 - (0.01 × 200 p - 35) = 0 at p = 90.7323…: not reached by 91, so one lower
    assert len(ran.fills) == 1
    lower = run(tmp_path / "lower", [*flat(100, 2), *falls(90.7)], {0: buy(200)}, account={"initial_cash": 3000})
    # what is left, 110.217, is worth 9 999.99 of at most 10 000, and would fall at 90.58: not reached
    (first,) = lower.fills[1:]
    assert (first.price, first.qty) == (Decimal("90.73"), Decimal("89.783"))
    # its share of the margin, 897.83, less a loss of 89.783 × 9.27, is less than 2 % of what was closed
    assert first.fee == Decimal("897.83") - Decimal("89.783") * Decimal("9.27")
    assert cash(lower) == 3000 - Decimal("897.83")
    assert lower.details["final"]["positions"][f"um:{ETH}"] == {"qty": "110.217", "basis": "11021.70000000"}


def test_mark_candles_decide_where_they_are_stored(tmp_path: Path) -> None:
    def marked(folder: Path, low: float) -> Ran:
        closes = {"open": [100.0] * 5, "high": [100.0] * 5, "low": [100.0, 100.0, low, 100.0, 100.0]}
        columns = {**closes, "close": [100.0] * 5, "open_time": [time_of(n) for n in range(5)]}
        write_rows(folder / "lake", "markPriceKlines", ETH, columns, timeframe="1m")
        return run(folder, [*flat(100, 2), (100.0, 100.0, 85.0, 100.0), *flat(100, 2)], {0: buy(40)})

    calm = marked(tmp_path / "calm", 95.0)  # a wick that the mark price does not follow
    assert len(calm.fills) == 1
    assert not any("no mark candles" in w for w in calm.result.warnings)
    hit = marked(tmp_path / "hit", 90.0)
    assert hit.fills[-1].price == FALLS_AT


def test_without_mark_candles_the_run_says_so_and_a_strict_one_is_refused(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 3), {})
    assert any("no mark candles of 1m" in w and "bt download" in w for w in ran.result.warnings)
    with pytest.raises(DataError, match="no mark candles"):
        run(tmp_path / "strict", flat(100, 3), {}, execution={"strict": True})


def test_with_cross_margin_all_that_the_account_has_stands_for_a_position(tmp_path: Path) -> None:
    cross = {"leverage": 10, "margin_mode": "cross"}
    rows = [*flat(100, 2), *falls(80), *flat(70, 2)]
    ran = run(tmp_path, rows, {0: buy(40)}, futures=cross)
    # 1000 + 40 p - 4000 - 0.0065 × 40 p <= 0 from 75.49 down: 80 is survived, the open at 70 is not
    assert ran.fills[-1].price == 70
    assert insured(ran) == ["200.00000000"]
    assert cash(ran) == 0
    replay(ran.path)


def test_with_cross_margin_the_adverse_extremes_of_all_are_taken_together(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    up, down = (100.0, 120.0, 100.0, 100.0), (100.0, 100.0, 80.0, 100.0)
    write_candles(lake, [*flat(100, 2), up, *flat(100, 2)], symbol="BTCUSDT", market="um")
    write_candles(lake, [*flat(100, 2), down, *flat(100, 2)], symbol=ETH, market="um")

    def enter(strategy: Any) -> Any:
        return [strategy.sell("BTCUSDT", 30), strategy.buy(ETH, 30)]

    config = config_of(
        lake,
        ["BTCUSDT", ETH],
        run={"market": "um"},
        account={"initial_cash": 1000},
        futures={"leverage": 10, "margin_mode": "cross"},
    )
    ran = run_prepared(tmp_path, prepared_run(scripted({0: enter}), config))
    assert [f.tag for f in ran.fills[2:]] == [
        "liquidation",
        "liquidation",
    ]  # 600 lost with each, together more than 1 000
    assert cash(ran) == 0
    assert insured(ran) == ["200.00000000"]


def test_what_comes_after_the_end_decides_nothing_before_it(tmp_path: Path) -> None:
    rows = [*flat(100, 2), *falls(90), *flat(120, 3)]
    whole = run(tmp_path, rows, {0: buy(40), 4: sell(20)}).raw_lines
    for end in range(2, 7):
        again = run(
            tmp_path / str(end),
            rows,
            {0: buy(40), 4: sell(20)},
            run={"market": "um", "end": f"2024-01-01T00:0{end}:00Z"},
        ).raw_lines
        assert again == whole[: len(again)]
