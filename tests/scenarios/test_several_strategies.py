"""Several strategies on markets drawn by hand: what is each one's own, where they meet, and what is the account's."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError
from backtester.engine.prepare import prepare
from backtester.engine.replay import replay, verify
from backtester.engine.run import run_backtest
from backtester.strategy.base import Strategy
from tests.support.market import Rows, flat, time_of, write_candles
from tests.support.runs import Ran, scripted
from tests.support.sleeves import Part, held, run_several, several
from tests.support.venue import UM_BRACKETS, put_rules

B, E = "BTCUSDT", "ETHUSDT"


def run(
    folder: Path,
    rows: Rows | Mapping[str, Rows],
    *scripts: Mapping[int, Any],
    shares: tuple[str, ...] = ("0.5", "0.5"),
    **sections: Any,
) -> Ran:
    """Run strategies p0, p1, ... that do what their scripts say."""
    by_symbol = rows if isinstance(rows, Mapping) else {B: rows}
    market = sections.get("run", {}).get("market", "spot")
    for symbol, own in by_symbol.items():
        write_candles(folder / "lake", own, symbol=symbol, market=market)
    if market == "um":
        put_rules(folder / "lake", UM_BRACKETS, date="2023-01-01")
    parts = [Part(f"p{n}", scripted(s), share) for n, (s, share) in enumerate(zip(scripts, shares, strict=True))]
    ran = run_several(folder, folder / "lake", parts, list(by_symbol), **sections)
    replay(ran.path)
    return ran


def deals(ran: Ran) -> list[tuple[str, int, str, str, str, str]]:
    """Strategy, candle, what it bought or sold, at which price, fee, and how."""
    return [
        (
            row["strategy"],
            (row["ts"] - time_of(0)) // 60_000_000,
            f"{(row['qty'] if row['side'] == 'buy' else -row['qty']).normalize():f}",
            f"{row['price'].normalize():f}",
            f"{row['fee'].normalize():f}",
            row["liquidity"],
        )
        for row in ran.table("fills")
    ]


def reasons(ran: Ran) -> list[tuple[str, str]]:
    return [(e["instrument"].partition("@")[2], e["reason"]) for e in ran.events("orders_rejected")]


def order(verb: str, qty: Any = None, name: str = B, **options: Any) -> Any:
    return lambda s: [getattr(s, verb)(name, qty, **options)]


COSTS: Any = {"fees": {"maker_bps": 10, "taker_bps": 10}, "slippage": {"bps": 100}}


# --- meeting each other --------------------------------------------------------------------------------------------


def test_the_smaller_side_is_filled_whole_inside_and_the_rest_goes_to_the_market(tmp_path: Path) -> None:
    buys = {0: order("buy", 3)}
    first = run(tmp_path, flat(100, 4), buys | {1: order("sell", 3)}, {1: order("buy", 1)}, **COSTS)
    assert deals(first) == [
        ("p0", 1, "3", "101", "0.303", "taker"),
        ("p1", 2, "1", "100", "0", "internal"),
        ("p0", 2, "-1", "100", "0", "internal"),
        ("p0", 2, "-2", "99", "0.198", "taker"),
    ]
    alone = run(
        tmp_path / "b", flat(100, 4), buys | {1: order("sell", 3)}, {1: order("buy", 1)}, portfolio={"netting": "none"},
        **COSTS,
    )  # fmt: skip
    assert [deal[3:] for deal in deals(alone)] == [
        ("101", "0.303", "taker"),
        ("99", "0.297", "taker"),
        ("101", "0.101", "taker"),
    ]


def test_equal_sides_cost_nothing_and_only_what_reaches_the_market_counts_as_volume(tmp_path: Path) -> None:
    rows = [(100, 100, 100, 100, 40)] * 5
    inside = {"execution": {"participation": "0.1"}}  # four coins a candle
    buys = {0: order("buy", 4)}
    ran = run(tmp_path, rows, buys | {1: order("sell", 4)}, {1: order("buy", 7)}, **inside)
    assert deals(ran) == [
        ("p0", 1, "4", "100", "0", "taker"),
        ("p1", 2, "4", "100", "0", "internal"),
        ("p0", 2, "-4", "100", "0", "internal"),
        ("p1", 2, "3", "100", "0", "taker"),  # of the four that the candle offers
    ]


@pytest.mark.parametrize(
    ("own", "reason"), [({"min_notional": "150"}, "below_min_notional"), ({"market_min_qty": "2"}, "below_min_qty")]
)
def test_what_is_left_after_strategies_met_ends_where_the_venue_takes_no_such_order(
    tmp_path: Path, own: dict[str, str], reason: str
) -> None:
    rules: Any = {"instruments": {f"spot:{B}": own}}
    buys = {0: order("buy", 3)}
    ran = run(tmp_path, flat(100, 4), buys | {1: order("sell", 3)}, {1: order("buy", 2)}, **rules)
    assert deals(ran)[1:] == [("p1", 2, "2", "100", "0", "internal"), ("p0", 2, "-2", "100", "0", "internal")]
    assert ran.updates[-1] == (2, "expired", reason)
    assert held(ran, "p0")[1]["spot:BTCUSDT"]["qty"] == "1.000"
    more = {0: order("buy", 4), 1: order("sell", 4)}
    enough = run(tmp_path / "b", flat(100, 4), more, {1: order("buy", 2)}, **rules)
    assert deals(enough)[-1][:3] == ("p0", 2, "-2")


def test_orders_meet_in_the_order_of_their_ids_and_a_strategy_never_meets_itself(tmp_path: Path) -> None:
    um: Any = {"run": {"market": "um"}}
    own = {0: lambda s: [s.buy(B, 2), s.sell(B, 2)]}
    ran = run(
        tmp_path, flat(100, 3), own, {0: order("sell", 3)}, {0: order("buy", 5)}, shares=("0.3", "0.3", "0.3"), **um
    )
    assert deals(ran) == [
        ("p0", 1, "2", "100", "0", "internal"),
        ("p1", 1, "-2", "100", "0", "internal"),
        ("p2", 1, "2", "100", "0", "internal"),
        ("p0", 1, "-2", "100", "0", "internal"),
        ("p2", 1, "1", "100", "0", "internal"),
        ("p1", 1, "-1", "100", "0", "internal"),
        ("p2", 1, "2", "100", "0", "taker"),
    ]


def test_who_cannot_pay_at_the_open_for_what_another_sells_meets_nobody(tmp_path: Path) -> None:
    rows = [*flat(100, 2), *flat(600, 2)]  # nine coins are 900 at the decision, 5400 at the open
    ran = run(tmp_path, rows, {0: order("buy", 9), 1: order("sell", 9)}, {1: order("buy", 40)})
    assert deals(ran) == [("p0", 1, "9", "100", "0", "taker"), ("p0", 2, "-9", "600", "0", "taker")]
    assert ran.updates[-1] == (3, "expired", "insufficient_balance")


def test_limits_and_stops_meet_the_market_and_never_each_other(tmp_path: Path) -> None:
    rows = [*flat(100, 2), (100, 100, 90, 95), *flat(95, 2)]
    ran = run(tmp_path, rows, {0: order("buy", 1, limit=95)}, {0: order("buy", 1), 1: order("sell", 1, stop=95)})
    assert [(who, price, how) for who, _, _, price, _, how in deals(ran)] == [
        ("p1", "100", "taker"),
        ("p1", "95", "taker"),
        ("p0", "95", "maker"),
    ]


def test_exits_of_an_entry_that_was_filled_inside_live_as_those_of_any_other(tmp_path: Path) -> None:
    rows = [*flat(100, 3), (100, 100, 94, 95), *flat(95, 2)]
    sells = {0: order("buy", 1), 1: order("sell", 1)}
    ran = run(tmp_path, rows, sells, {1: order("buy", 1, stop_loss=95)})
    assert [(who, qty, price, how) for who, _, qty, price, _, how in deals(ran)] == [
        ("p0", "1", "100", "taker"),
        ("p1", "1", "100", "internal"),
        ("p0", "-1", "100", "internal"),
        ("p1", "-1", "95", "taker"),
    ]


# --- what is each one's own ----------------------------------------------------------------------------------------


def test_a_fraction_is_of_the_strategy_s_own_equity_and_the_reserve_is_nobody_s(tmp_path: Path) -> None:
    script = {0: order("buy", fraction="0.5")}
    ran = run(tmp_path, flat(100, 3), script, script, shares=("0.6", "0.2"))
    assert [(who, qty) for who, _, qty, *_ in deals(ran)] == [("p0", "30"), ("p1", "10")]
    assert ran.details["final"]["cash"]["spot:USDT"] == "2000.00000000"


def test_a_strategy_can_spend_and_sell_only_what_it_has_itself(tmp_path: Path) -> None:
    greedy = {0: order("buy", 60), 2: order("sell", 1)}
    ran = run(tmp_path, flat(100, 4), {0: order("buy", 40)}, greedy)
    assert [deal[:3] for deal in deals(ran)] == [("p0", 1, "40")]
    assert reasons(ran) == [("p1", "insufficient_balance"), ("p1", "short_not_allowed")]
    assert ran.events("orders_rejected")[0]["numbers"]["free"] == "5000"


def test_opposite_positions_stand_side_by_side_and_each_is_margined_on_its_own(tmp_path: Path) -> None:
    um: Any = {"run": {"market": "um"}, "futures": {"leverage": 10}, "portfolio": {"netting": "none"}}
    ran = run(tmp_path, [*flat(100, 2), *flat(105, 2)], {0: order("buy", 20)}, {0: order("sell", 20)}, **um)
    rows = ran.events("account_snapshot")[-1]["positions"]
    assert [(r["instrument"], r["qty"], r["margin"]) for r in rows] == [
        ("um:BTCUSDT@p0", "20.000", "200.00000000"),
        ("um:BTCUSDT@p1", "-20.000", "200.00000000"),
    ]
    parts = ran.details["strategies"]["parts"]
    assert (parts["p0"]["unrealised"], parts["p1"]["unrealised"]) == ("100.00000000", "-100.00000000")
    assert ran.details["strategies"]["account"]["unrealised"] == "0.00000000"


@pytest.mark.parametrize("mode", ["isolated", "cross"])
def test_a_liquidation_takes_the_money_of_who_held_the_position_and_no_other(tmp_path: Path, mode: str) -> None:
    rows = [*flat(100, 2), (100, 100, 80, 82), *flat(82, 2)]
    um: Any = {
        "run": {"market": "um"},
        "futures": {"leverage": 10, "margin_mode": mode},
        "portfolio": {"netting": "none"},
    }
    ran = run(tmp_path, rows, {0: order("buy", 450)}, {0: order("sell", 100)}, **um)
    assert ran.details["liquidation"]["liquidations"].keys() == {"um:BTCUSDT@p0"}
    assert held(ran, "p1") == (
        {"um:USDT": "5000.00000000"},
        {"um:BTCUSDT": {"qty": "-100.000", "basis": "-10000.00000000"}},
    )
    assert held(ran, "p0")[1] == {}
    assert Decimal(ran.details["strategies"]["parts"]["p0"]["end_equity"]) < 1000


def test_a_warning_says_what_the_insurance_fund_paid_for_a_strategy_while_others_had_money(tmp_path: Path) -> None:
    um: Any = {"run": {"market": "um"}, "futures": {"leverage": 10, "margin_mode": "cross"}}
    rows = [*flat(100, 2), *flat(80, 3)]  # 450 coins fall by 9000, the share is 5000
    ran = run(tmp_path, rows, {0: order("buy", 450)}, {}, **um)
    paid = ran.details["liquidation"]["shortfall"]["USDT"]
    assert Decimal(paid) > 3999
    assert [w for w in ran.details["warnings"] if f"the insurance fund paid {paid} USDT of losses beyond" in w]
    assert "beyond its share" in ran.details["assumptions"]["strategies"]
    calm = run(tmp_path / "b", flat(100, 4), {0: order("buy", 450)}, {}, **um)
    assert not [w for w in calm.details["warnings"] if "insurance" in w]


def test_with_cross_margin_a_long_and_a_short_of_two_strategies_fall_at_the_two_ends_of_one_candle(
    tmp_path: Path,
) -> None:
    rows = [*flat(100, 2), (100, 125, 75, 100), *flat(100, 2)]
    um: Any = {"run": {"market": "um"}, "futures": {"leverage": 10, "margin_mode": "cross"}}
    ran = run(tmp_path, rows, {0: order("buy", 300)}, {0: order("sell", 300)}, **um)
    assert ran.details["liquidation"]["liquidations"].keys() == {"um:BTCUSDT@p0", "um:BTCUSDT@p1"}


def test_each_sets_leverage_and_margin_mode_of_its_own_position(tmp_path: Path) -> None:
    um: Any = {"run": {"market": "um"}, "futures": {"leverage": 10}, "portfolio": {"netting": "none"}}
    wishes = {0: lambda s: [s.set_leverage(B, 5), s.set_margin_mode(B, "cross")], 1: order("buy", 10), 2: look}
    ran = run(tmp_path, flat(100, 5), wishes, {0: order("buy", 10), 2: look}, **um)
    terms = [(e["instrument"], e["leverage"], e["mode"]) for e in ran.events("margin_terms")]
    assert terms == [("um:BTCUSDT@p0", 5, "isolated"), ("um:BTCUSDT@p0", 5, "cross")]
    assert [(n["strategy"], n["values"]["leverage"], n["values"]["margin"]) for n in ran.events("notes")] == [
        ("p0", "5", "200.00000000"),
        ("p1", "10", "100.00000000"),
    ]


def look(s: Any) -> None:
    """Note what a strategy knows of itself."""
    s.note(
        "look",
        equity=s.equity,
        cash=s.cash,
        qty=s.position(B).qty,
        leverage=s.leverage(B),
        margin=s.margin(B),
        orders=len(s.open_orders(B)),
        names=" ".join(i.id for i in s.instruments),
    )


def test_a_strategy_knows_its_own_money_position_and_orders_under_the_names_that_it_would_have_alone(
    tmp_path: Path,
) -> None:
    class Sees(Strategy):
        def on_candle(self, candle: Any) -> Any:
            if candle.open_time != time_of(0):
                look(self)
                return None
            return [self.buy(candle.symbol, 2), self.buy(candle.instrument, 1, limit=50)]

        def on_fill(self, fill: Any) -> Any:
            self.note("fill", instrument=fill.instrument, symbol=fill.symbol)

        def on_order_update(self, update: Any) -> Any:
            self.note("update", instrument=update.instrument)

    write_candles(tmp_path / "lake", [*flat(100, 2), *flat(110, 1)])
    parts = [Part("mine", Sees, "0.5"), Part("other", scripted({0: order("buy", 30)}), "0.5")]
    ran = run_several(tmp_path, tmp_path / "lake", parts, [B])
    notes = [n for n in ran.events("notes") if n["strategy"] == "mine"]
    assert {n["values"]["instrument"] for n in notes if n["text"] != "look"} == {"spot:BTCUSDT"}
    assert [n["values"]["symbol"] for n in notes if n["text"] == "fill"] == [B]
    assert [n["values"] for n in notes if n["text"] == "look"][-1] == {
        "equity": "5020.00000000",
        "cash": "4800.00000000",
        "qty": "2.000",
        "leverage": "1",
        "margin": "0E-8",
        "orders": "1",
        "names": "spot:BTCUSDT",
    }


def test_groups_and_client_ids_of_one_name_are_two_where_two_strategies_use_it(tmp_path: Path) -> None:
    rows = [*flat(100, 2), (100, 100, 89, 95), *flat(95, 2)]

    def pair(low: int) -> Any:
        return lambda s: [s.buy(B, 1, limit=low, oco="pair", client_id="a"), s.buy(B, 1, limit=low - 5, oco="pair")]

    ran = run(tmp_path, rows, {0: pair(90)}, {0: pair(60)})
    assert reasons(ran) == []
    assert [(who, qty) for who, _, qty, *_ in deals(ran)] == [("p0", "1")]
    ends = {(row["strategy"], row["status"], row["reason"]) for row in ran.table("orders")}
    assert ends == {("p0", "filled", ""), ("p0", "cancelled", "oco"), ("p1", "working", "")}


def test_when_money_is_moved_between_wallets_it_stays_the_strategy_s_own(tmp_path: Path) -> None:
    for market in ("spot", "um"):
        write_candles(tmp_path / "lake", flat(100, 4), market=market)
    put_rules(tmp_path / "lake", UM_BRACKETS, date="2023-01-01")
    names = (f"spot:{B}", f"um:{B}")
    moves = {
        0: lambda s: [s.transfer("USDT", 1000, "spot", "um", tag="up"), s.transfer("USDT", 9, "um", "cm", tag="no")]
    }
    parts = [Part("mover", scripted(moves), "0.5", names), Part("other", scripted({}), "0.3", names)]
    ran = run_several(tmp_path, tmp_path / "lake", parts, names)
    assert held(ran, "mover")[0] == {"spot:USDT": "4000.00000000", "um:USDT": "1000.00000000"}
    assert held(ran, "other")[0] == {"spot:USDT": "3000.00000000"}
    [refused] = ran.events("orders_rejected")
    assert (refused["strategy"], refused["reason"], refused["tag"]) == ("mover", "unknown_wallet", "no")
    verify(ran.path)


# --- what they see -------------------------------------------------------------------------------------------------


class Notes(Strategy):
    """Says what it is shown."""

    warmup = 0

    @property
    def warmup_candles(self) -> int:
        return self.warmup

    def on_start(self) -> None:
        self.shown: list[tuple[str, str, int]] = []

    def on_candle(self, candle: Any) -> Any:
        self.shown.append((candle.instrument, candle.timeframe, (candle.open_time - time_of(0)) // 60_000_000))

    def on_stop(self) -> None:
        type(self).seen = self.shown  # type: ignore[attr-defined]


def test_each_sees_the_candles_of_its_own_symbols_timeframe_and_warm_up(tmp_path: Path) -> None:
    class Long(Notes):
        warmup = 2

    class Short(Notes):
        warmup = 1
        feeds = (f"spot:{E}/klines:2h",)

    for symbol in (B, E):
        write_candles(tmp_path / "lake", flat(100, 24), symbol=symbol, timeframe="1h")
    parts = [Part("slow", Long, "0.5", [B], "4h"), Part("quick", Short, "0.4", [E], "1h")]
    run_several(
        tmp_path, tmp_path / "lake", parts, [B], run={"start": "2024-01-01T12:00:00Z", "end": "2024-01-01T20:00:00Z"}
    )
    hours = [(name, frame, at // 60) for name, frame, at in Long.seen]  # type: ignore[attr-defined]
    assert hours == [(f"spot:{B}", "4h", at) for at in (4, 8, 12, 16)]
    seen = [(name, frame, at // 60) for name, frame, at in Short.seen]  # type: ignore[attr-defined]
    assert [at for _, frame, at in seen if frame == "1h"] == list(range(11, 20))
    assert [at for _, frame, at in seen if frame == "2h"] == [12, 14, 16, 18]
    assert {name for name, _, _ in seen} == {f"spot:{E}"}


# --- what is the account's -----------------------------------------------------------------------------------------


def test_who_stands_first_in_the_file_is_asked_first(tmp_path: Path) -> None:
    rows = [(100, 100, 100, 100, 40)] * 4
    scarce: Any = {"execution": {"participation": "0.1", "max_wait": 1}}
    ran = run(tmp_path, rows, {0: order("buy", 3)}, {0: order("buy", 3)}, **scarce)
    assert [deal[:3] for deal in deals(ran)][:2] == [("p0", 1, "3"), ("p1", 1, "1")]


def test_a_kill_flattens_every_strategy_s_position(tmp_path: Path) -> None:
    kill = [{"at": "2024-01-01T00:03:00Z", "action": "kill"}]
    ran = run(tmp_path, flat(100, 6), {0: order("buy", 3)}, {0: order("buy", 2), 4: order("buy", 1)}, control=kill)
    assert sorted((who, qty) for who, _, qty, *_ in deals(ran)) == [
        ("p0", "-3"),
        ("p0", "3"),
        ("p1", "-2"),
        ("p1", "2"),
    ]
    assert ran.details["final"]["positions"] == {}
    assert ("p1", "control") in reasons(ran)


def test_limits_of_a_symbol_count_what_all_strategies_hold_of_it(tmp_path: Path) -> None:
    risk = {"max_symbol_notional": 4000}
    ran = run(tmp_path, flat(100, 4), {0: order("buy", 30)}, {1: order("buy", 20)}, risk=risk)
    assert reasons(ran) == [("p1", "max_symbol_notional")]


def test_a_strategy_that_raises_fails_the_run_and_is_named(tmp_path: Path) -> None:
    def fails(s: Any) -> Any:
        raise ZeroDivisionError("no reason")

    write_candles(tmp_path / "lake", flat(100, 5))
    parts = [Part("good", scripted({0: order("buy", 1)}), "0.5"), Part("bad", scripted({2: fails}), "0.5")]
    result = run_backtest(prepare(several(tmp_path / "lake", parts, [B])), tmp_path / "runs")
    assert result.status == "failed"
    assert isinstance(result.error, StrategyError)
    assert str(result.error).startswith(
        "strategy bad (inline_bad) failed in on_candle at the 1m candle spot:BTCUSDT 2024-01-01T00:02:00Z"
    )
    assert replay(result.path).account.fills == 1


def test_who_reaches_for_the_wallet_of_another_is_told_that_it_was_refused(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 3), {0: lambda s: [s.transfer("USDT", 5, "spot@p1", "spot", tag="mine")]}, {})
    (refused,) = ran.events("orders_rejected")
    assert (refused["strategy"], refused["tag"]) == ("p0", "mine")
    assert held(ran, "p1")[0] == {"spot:USDT": "5000.00000000"}
