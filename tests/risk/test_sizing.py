"""What `[sizing]` makes of entries that do not say how much: whole runs, numbers worked by hand."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import decimals, integers, sampled_from

from backtester.config.configs import BacktestConfig
from backtester.config.loading import validated
from backtester.core.errors import UsageError
from backtester.core.events import Side
from backtester.engine.prepare import prepare
from backtester.engine.replay import replay
from backtester.strategy.base import Strategy
from backtester.strategy.ordering import order_intent
from tests.support.floor import CASH, Floor
from tests.support.market import Row, flat, write_candles
from tests.support.profiles import examples
from tests.support.runs import Ran, bought, config_of, run_on, run_prepared, scripted

B, E = "BTCUSDT", "ETHUSDT"
MARKET = flat(100, 6)
COSTS: dict[str, Any] = {"fees": {"maker_bps": 10, "taker_bps": 10}, "slippage": {"bps": 10}}


def sized(folder: Path, rules: dict[str, Any], market: Any = MARKET, at: int = 0, **options: Any) -> Ran:
    """A run that buys once, without a size of its own, at a price of 100 and with 10000 in cash."""
    sections = {key: options.pop(key) for key in ("fees", "slippage", "run") if key in options}
    return run_on(folder, market, scripted({at: lambda s: [s.buy(B, **options)]}), sizing=rules, **sections)


def numbers(ran: Ran) -> dict[str, str]:
    found: dict[str, str] = ran.events("orders_sanitized")[0]["sizing"]
    return found


def test_without_a_model_an_order_without_a_size_is_refused_and_names_the_setting(tmp_path: Path) -> None:
    ran = sized(tmp_path, {})
    (who, reason, said) = ran.refusals[0]
    assert (who, reason, said["sizing.model"]) == ("risk", "no_size", "none")
    assert ran.fills == []


@pytest.mark.parametrize(
    ("rules", "qty"),
    [
        ({"model": "fixed_qty", "qty": "1.2345"}, "1.234"),
        ({"model": "fixed_quote", "quote": 250}, "2.5"),
        ({"model": "percent_equity", "percent": "12.5"}, "12.5"),
        ({"model": "percent_equity", "percent": 80, "max_percent": 50}, "50"),
        ({"model": "fixed_qty", "qty": 90, "max_percent": 30}, "30"),
        ({"model": "fixed_quote", "quote": 9000, "max_percent": 30}, "30"),
        ({"model": "kelly", "win_rate": "0.6", "payoff": 1, "fraction": "0.5"}, "10"),  # half of 0.6 − 0.4
        ({"model": "kelly", "win_rate": "0.9", "payoff": 3, "fraction": 1, "max_percent": 25}, "25"),
        ({"model": "kelly", "start_percent": 3}, "3"),  # no trade has closed yet
    ],
)
def test_each_model_by_hand(tmp_path: Path, rules: dict[str, Any], qty: str) -> None:
    ran = sized(tmp_path, rules)
    assert ran.fills == [bought(1, 100, qty)]
    assert (numbers(ran)["model"], numbers(ran)["equity"]) == (rules["model"], "10000")
    assert replay(ran.path).status == "complete"


def test_risk_per_trade_loses_its_percent_at_the_stop(tmp_path: Path) -> None:
    """Van Tharp: 1 % of 10000 over a distance of 5 is 20."""
    market = [*flat(100, 2), (100, 100, 94, 96), *flat(96, 2)]
    ran = sized(tmp_path, {"model": "risk_per_trade", "percent": 1}, market, stop_loss=95)
    assert [(fill.side, fill.price, fill.qty) for fill in ran.fills] == [("buy", 100, 20), ("sell", 95, 20)]
    assert ran.details["final"]["cash"]["spot:USDT"] == "9900.00000000"
    assert numbers(ran) == {
        "model": "risk_per_trade",
        "equity": "10000",
        "percent": "1",
        "entry": "100.00",
        "stop": "95.00",
        "risk": "100",
        "sized_qty": "20",
    }


def test_with_costs_the_loss_is_still_the_percent(tmp_path: Path) -> None:
    """Bought at 100.10, stopped at 94.90 (95 less 0.095), 0.1 % of each: a unit loses 5.395, 100 / 5.395 = 18.535."""
    market = [*flat(100, 2), (100, 100, 94, 96), *flat(96, 2)]
    ran = sized(tmp_path, {"model": "risk_per_trade", "percent": 1}, market, stop_loss=95, **COSTS)
    assert [(f.side, f"{f.price}", f"{f.qty}") for f in ran.fills] == [
        ("buy", "100.10", "18.535"),
        ("sell", "94.90", "18.535"),
    ]
    assert (
        9900 <= Decimal(ran.details["final"]["cash"]["spot:USDT"]) < Decimal("9900.006")
    )  # less than a lot's loss away
    bare = {"model": "risk_per_trade", "percent": 1, "include_costs": False}
    assert sized(tmp_path / "bare", bare, market, stop_loss=95, **COSTS).fills[0].qty == 20


def test_a_trailing_stop_has_a_distance_too(tmp_path: Path) -> None:
    ran = sized(tmp_path, {"model": "risk_per_trade", "percent": 1}, stop_trail="0.04")
    assert ran.fills == [bought(1, 100, 25)]


def test_a_resting_entry_is_sized_at_its_limit(tmp_path: Path) -> None:
    ran = sized(tmp_path, {"model": "risk_per_trade", "percent": 1}, limit=90, stop_loss=80)
    assert ran.events("orders_sanitized")[0]["qty"] == "10.000"


def test_a_short_is_sized_by_the_stop_above_it(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.sell(B, stop_loss=104)]}),
        sizing={"model": "risk_per_trade", "percent": 1},
        run={"market": "um"},
    )
    assert [(fill.side, fill.qty) for fill in ran.fills] == [("sell", 25)]


@pytest.mark.parametrize(
    ("rules", "options", "reason"),
    [
        ({"percent": 1}, {}, "no_stop"),
        ({"percent": 1}, {"stop_loss": 101}, "bad_bracket"),
        ({"percent": 1, "stop_atr": 2, "window": 5}, {}, "not_warm"),
        ({"percent": "0.000001"}, {"stop_loss": 50}, "below_min_qty"),
    ],
)
def test_a_risk_that_cannot_be_told_is_refused(
    tmp_path: Path, rules: dict[str, Any], options: dict[str, Any], reason: str
) -> None:
    ran = sized(tmp_path, {"model": "risk_per_trade"} | rules, **options)
    assert [seen for _, seen, _ in ran.refusals] == [reason]


def test_a_near_stop_takes_no_more_than_the_cap(tmp_path: Path) -> None:
    """1 % over 0.10 would be 1000 units; the cap is half of the equity."""
    ran = sized(tmp_path, {"model": "risk_per_trade", "percent": 1, "max_percent": 50}, stop_loss="99.90")
    assert ran.fills == [bought(1, 100, 50)]
    assert (numbers(ran)["qty"], numbers(ran)["limited_by"]) == ("1000", "max_percent")


def test_a_near_stop_takes_no_more_than_what_is_free(tmp_path: Path) -> None:
    both = scripted({0: lambda s: [s.buy(B, 70, limit=90), s.buy(B, stop_loss="99.90")]})
    ran = run_on(tmp_path, MARKET, both, sizing={"model": "risk_per_trade", "percent": 1})
    assert ran.fills == [bought(1, 100, 37)]
    assert ran.events("orders_sanitized")[1]["sizing"]["limited_by"] == "free"


SWINGS: list[Row | None] = [(100, 102, 98, 100)] * 8


def test_a_stop_in_average_true_ranges_sizes_an_entry_without_one(tmp_path: Path) -> None:
    """Each candle ranges over 4; twice that below 100 is 92: 1 % of 10000 over 8 is 12.5."""
    rules = {"model": "risk_per_trade", "percent": 1, "stop_atr": 2, "window": 5}
    ran = sized(tmp_path, rules, SWINGS, at=5)
    assert ran.fills == [bought(6, 100, "12.5")]
    assert sized(tmp_path / "early", rules, SWINGS, at=4).refusals == [
        ("risk", "not_warm", {"candles": "5", "needed": "6"})
    ]


def test_the_candles_before_the_start_warm_a_measure_up(tmp_path: Path) -> None:
    rules = {"model": "risk_per_trade", "percent": 1, "stop_atr": 2, "window": 5}
    start = {"run": {"start": "2024-01-01T00:05:00Z"}}  # the sixth candle

    class BuysAtOnce(Strategy):
        def on_candle(self, candle: Any) -> Any:
            return [self.buy(B)] if self.position(B).is_flat and not self.open_orders(B) else None

    ran = run_on(tmp_path, SWINGS, BuysAtOnce, sizing=rules, **start)
    assert [fill.qty for fill in ran.fills] == [Decimal("12.5")]
    assert ran.refusals == []


def test_a_volatility_target_over_the_average_true_range(tmp_path: Path) -> None:
    """A range of 4 on 100 a minute, × √525600 a year: 28.9991...; 290 % of that is a tenth of the equity."""
    rules = {"model": "volatility_target", "target_percent": 290, "measure": "atr", "window": 5}
    ran = sized(tmp_path, rules, SWINGS, at=5)
    assert [fill.qty for fill in ran.fills] == [Decimal("10.000")]
    assert numbers(ran)["volatility_percent"] == "2899.931034"


def test_a_volatility_target_over_realised_returns(tmp_path: Path) -> None:
    """Returns of +1 % and −1/101, in turn: deviation 0.0099505 × √(4/3), × √525600 a year: 8.32994."""
    up_and_down: list[Row | None] = [(p, p, p, p) for p in (100.0, 101.0, 100.0, 101.0, 100.0, 100.0, 100.0)]
    rules = {"model": "volatility_target", "target_percent": 80, "window": 4, "max_percent": 60}
    ran = sized(tmp_path, rules, up_and_down, at=4)
    assert numbers(ran)["volatility_percent"] == "832.993734"
    assert [fill.qty for fill in ran.fills] == [Decimal("9.603")]


def trades(*outcomes: int) -> Any:
    """A market and a script that buys 1 and sells it again after each outcome, then buys without a size."""
    rows: list[Row | None] = []
    script: dict[int, Any] = {}
    for outcome in outcomes:
        script[len(rows)] = lambda s: [s.buy(B, 1)]
        rows += flat(100, 2)
        script[len(rows)] = lambda s: [s.sell(B, 1)]
        rows += flat(100 + outcome, 2)
    script[len(rows)] = lambda s: [s.buy(B)]
    return [*rows, *flat(100, 3)], script


def test_kelly_learns_from_the_trades_of_the_instrument(tmp_path: Path) -> None:
    """Two of three win 10 %, one loses 5 %: p = 2/3, b = 2, f* = 2/3 − 1/6 = 1/2; half of it is a quarter."""
    market, script = trades(10, -5, 10)
    rules = {"model": "kelly", "min_trades": 3, "window": 3, "start_percent": 1}
    ran = run_on(tmp_path, market, scripted(script), sizing=rules)
    entry = ran.events("orders_sanitized")[-1]["sizing"]
    assert (entry["trades"], entry["kelly"], entry["sized_fraction"]) == ("3", "0.5", "0.25")


def test_kelly_without_an_edge_refuses(tmp_path: Path) -> None:
    market, script = trades(-5, 4)
    rules = {"model": "kelly", "min_trades": 2, "window": 2, "start_percent": 1}
    ran = run_on(tmp_path, market, scripted(script), sizing=rules)
    assert [reason for _, reason, _ in ran.refusals] == ["kelly_no_edge"]
    given_ = sized(tmp_path / "given", {"model": "kelly", "win_rate": "0.4", "payoff": 1})
    assert [reason for _, reason, _ in given_.refusals] == ["kelly_no_edge"]


def test_an_order_that_says_its_size_is_left_alone(tmp_path: Path) -> None:
    own = scripted({0: lambda s: [s.buy(B, 3)], 2: lambda s: [s.sell(B, 3)]})
    plain = run_on(tmp_path / "plain", MARKET, own)
    ran = run_on(tmp_path / "sized", MARKET, own, sizing={"model": "fixed_qty", "qty": 1})
    assert ran.raw_lines == plain.raw_lines
    assert "sizing" not in ran.events("orders_sanitized")[0]


def test_what_would_reduce_a_position_is_not_sized(tmp_path: Path) -> None:
    act = scripted({0: lambda s: [s.buy(B)], 2: lambda s: [s.sell(B)], 3: lambda s: [s.buy(B)]})
    ran = run_on(tmp_path, MARKET, act, sizing={"model": "fixed_qty", "qty": 1})
    assert ran.fills == [bought(1, 100, 1), bought(4, 100, 1)]
    assert [(reason, said["held"]) for _, reason, said in ran.refusals] == [("no_size", "1.000")]


def test_an_instrument_may_have_rules_of_its_own(tmp_path: Path) -> None:
    rules = {
        "model": "percent_equity",
        "percent": 10,
        "max_percent": 5,
        "instruments": {E: {"max_percent": 100}, "spot:XRPUSDT": {"model": "none"}},
    }
    ran = run_on(tmp_path, {B: MARKET, E: MARKET}, scripted({0: lambda s: [s.buy(B), s.buy(E)]}), sizing=rules)
    assert sorted(fill.qty for fill in ran.fills) == [5, 10]
    assert any("XRPUSDT" in warning for warning in ran.details["warnings"])
    written = ran.prepared.config.sizing.instruments
    assert {name: own.percent for name, own in written.items()} == {"spot:ETHUSDT": 10}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"model": "martingale"}, "sizing.model = 'martingale'.*fixed_qty"),
        ({"model": "risk_per_trade"}, "the model risk_per_trade needs percent"),
        ({"model": "fixed_qty"}, "needs qty"),
        ({"model": "fixed_quote"}, "needs quote"),
        ({"model": "volatility_target"}, "needs target_percent"),
        ({"model": "kelly"}, "needs start_percent"),
        ({"model": "kelly", "win_rate": "0.5"}, "both win_rate and payoff"),
        ({"model": "kelly", "start_percent": 1, "min_trades": 30, "window": 20}, "may not exceed window"),
        ({"model": "percent_equity", "percent": 101}, "sizing.percent = 101"),
        ({"percent": 0}, "sizing.percent = 0"),
        ({"max_percent": 100.5}, "sizing.max_percent = 100.5"),
        ({"window": 1}, "sizing.window = 1"),
        ({"stop_atr": -1}, "sizing.stop_atr"),
        ({"precent": 5}, "unknown key 'sizing.precent'"),
        ({"instruments": {"spot:BTCUSDT": {"model": "fixed_qty"}}}, "needs qty"),
    ],
)
def test_rules_that_make_no_sense_are_refused_before_anything_runs(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        validated(BacktestConfig, {"sizing": rules}, where="the config")


@pytest.mark.parametrize("name", ["sma_cross", "sma_extended"])
def test_shipped_strategies_without_a_size_of_their_own_use_the_sizing(tmp_path: Path, name: str) -> None:
    rows = [*flat(100, 4), *flat(90, 3), *flat(100, 4)]
    write_candles(tmp_path / "lake", rows)
    params: dict[str, Any] = {"fast": 1, "slow": 3}

    def first_fill(own: dict[str, Any], **sections: Any) -> Decimal:
        config = config_of(tmp_path / "lake", [B], strategy={"name": name, "params": params | own}, **sections)
        return run_prepared(tmp_path, prepare(config)).fills[0].qty

    rules = {"model": "percent_equity", "percent": 7}
    assert first_fill({}) == (100 if name == "sma_cross" else 40)
    assert first_fill({}, sizing=rules) == 7
    assert first_fill({"equity_pct": 20}, sizing=rules) == 20


@settings(max_examples=examples(60))
@given(
    percent=decimals("0.01", 100, places=2),
    cap=decimals("0.01", 100, places=2),
    stop=integers(50_00, 99_99),
    slippage=sampled_from([0, 3]),
    market=sampled_from(["spot", "um"]),
)
def test_a_stopped_entry_loses_at_most_its_percent_and_takes_at_most_the_cap(
    percent: Decimal, cap: Decimal, stop: int, slippage: int, market: str
) -> None:
    rules = validated_rules(model="risk_per_trade", percent=percent, max_percent=cap)
    floor = Floor(market=market, slippage=slippage, sizing=rules)
    floor.want(order_intent(floor.board.now, floor.spec.id, Side.BUY, stop_loss=Decimal(stop) / 100))
    floor.candle(100_00, 100_00, 100_00, 100_00)
    fills = [event for topic, event in floor.events if topic == "fills"]
    for fill in fills:
        spent = fill.qty * fill.price + fill.fee  # type: ignore[attr-defined]
        assert spent <= Decimal(CASH) / 10**8 * cap / 100
    floor.candle(100_00, 100_00, 40_00, 40_00)
    assert CASH - floor.account.snapshot(floor.board.now).equity_units <= CASH * percent / 100


def validated_rules(**rules: Any) -> Any:
    from backtester.config.sizing import SizingRules

    return SizingRules.model_validate(rules)


@pytest.mark.parametrize("measure", ["atr", "realised"])
def test_a_target_of_volatility_takes_nothing_where_the_price_stands_still(tmp_path: Path, measure: str) -> None:
    rules = {"model": "volatility_target", "target_percent": 20, "measure": measure, "window": 5}
    ran = sized(tmp_path, rules, flat(100, 9), at=6)
    assert ran.fills == []
    said = {"model": "volatility_target", "measure": measure, "candles": "5", "why": "the price did not move"}
    assert ran.refusals == [("risk", "no_volatility", said)]


@pytest.mark.parametrize(
    ("costs", "named"),
    [
        ({"slippage": {"model": "spread_volatility"}}, "slippage.model spread_volatility adds"),
        ({"impact": {"model": "square_root"}}, "impact.model square_root adds"),
        ({"slippage": {"bps": 50}}, ""),
    ],
)
def test_costs_that_the_risk_of_a_trade_leaves_out_are_said(tmp_path: Path, costs: dict[str, Any], named: str) -> None:
    sizing = {"model": "risk_per_trade", "percent": 1}
    ran = run_on(tmp_path, SWINGS, scripted({}), sizing=sizing, **costs)
    said = [text for text in ran.details["warnings"] if "risk_per_trade" in text]
    assert len(said) == (1 if named else 0)
    assert all(named in text for text in said)
    assert ("a stop loses more" in ran.details["assumptions"]["sizing"]) is bool(named)
    if named:
        without = run_on(tmp_path / "b", SWINGS, scripted({}), sizing=sizing | {"include_costs": False}, **costs)
        assert [text for text in without.details["warnings"] if "risk_per_trade" in text] == []
