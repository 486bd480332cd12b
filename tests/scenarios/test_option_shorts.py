"""Options that are written: what they bind, when they are called and liquidated, and what that costs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from backtester.config.options_section import OptionsSection
from backtester.engine.replay import replay, verify
from backtester.pricing.black import black76_price
from tests.support.chains import YEAR, Quote, fills_of, run_chain, write_chain
from tests.support.market import flat, time_of, write_candles

C, OTHER = "BTC-240126-31000-C", "BTC-240126-29000-P"


def market(*rows: tuple[float, float], ask: float = 0, quantity: float = 5, contract: str = C) -> list[Quote]:
    """One row an hour: index and mark; quotes stand around the mark."""
    return [
        Quote(n, contract, mark - 5, ask or mark + 5, quantity, quantity, mark=mark, index=index)
        for n, (index, mark) in enumerate(rows)
    ]


def sell(qty: float = 1, name: str = C) -> Any:
    return lambda s: [s.sell(name, qty, limit=1)]


def short(cash: float, **more: Any) -> dict[str, Any]:
    return {"options": {"allow_short": True} | more, "account": {"initial_cash": cash}}


# At an index of 30 000 a call at 31 000 marked 100 binds max(4 500 - 1 000, 3 000) + 100 = 3 600, and must keep
# max(2 250 - 1 000, 1 500) + 100 = 1 600.
CALM = [(30_000, 100)] * 4


@pytest.mark.parametrize(("cash", "filled"), [(3_506, True), (3_504, False)])
def test_a_short_needs_its_initial_margin_less_the_premium_that_comes_in(
    tmp_path: Path, cash: float, filled: bool
) -> None:
    # sold at a bid of 95, so 3 505 are missing
    ran = run_chain(tmp_path, market(*CALM), {1: lambda s: [s.sell(C, 1, limit=95)]}, **short(cash, fee_cap_pct=0))
    assert (fills_of(ran) == [(2, C, "sell", "1", "95", "0")]) is filled
    assert [reason for _, reason, _ in ran.refusals] == ([] if filled else ["insufficient_balance"])


def test_what_a_short_binds_is_not_there_for_others(tmp_path: Path) -> None:
    quotes = [*market(*CALM), *market(*CALM, contract=OTHER)]
    script = {1: sell(), 2: lambda s: [s.buy(OTHER, 15, limit=105), s.buy(OTHER, 14, limit=105)]}
    # 5 000 + 95 - 3 600 = 1 495 are free: 15 × 105 are 1 575, 14 × 105 are 1 470
    ran = run_chain(tmp_path, quotes, script, **short(5_000, fee_cap_pct=0))
    assert [(reason, numbers["free"]) for _, reason, numbers in ran.refusals] == [("insufficient_balance", "1495")]
    assert [f[2:4] for f in fills_of(ran)] == [("sell", "1"), ("buy", "5"), ("buy", "5")]


def test_the_margin_that_is_bound_follows_index_and_mark(tmp_path: Path) -> None:
    rows = [(30_000, 100), (30_000, 100), (32_000, 1_500), (32_000, 1_500)]
    quotes = [*market(*rows), *market(*rows, contract=OTHER)]
    script = {1: sell(), 3: lambda s: [s.buy(OTHER, 2, limit=1_600)]}
    ran = run_chain(tmp_path, quotes, script, **short(9_000, fee_cap_pct=0))
    # 9 000 + 95 - (15 % × 32 000 + 1 500)
    assert [numbers["free"] for *_, numbers in ran.refusals] == ["2795"]


def test_a_short_is_called_and_then_bought_back_at_the_ask_of_the_row_for_a_fee(tmp_path: Path) -> None:
    # 4 000 + 95. At 32 000 it must keep 2 400 + 1 000 = 3 400 (83 %), at 33 000 2 475 + 2 000 = 4 475.
    rows = [(30_000, 100), (30_000, 100), (32_000, 1_000), (33_000, 2_000), (33_000, 2_000)]
    ran = run_chain(tmp_path, market(*rows), {1: sell()}, **short(4_000))
    assert fills_of(ran) == [(2, C, "sell", "1", "95", "0"), (4, C, "buy", "1", "2005", "62.7")]  # 19 bps of 33 000
    assert ran.events("fills")[1]["tag"] == "liquidation"
    assert [(e["state"], e["numbers"]) for e in ran.events("margin")] == [
        ("call", {"price": "1000.00000000", "balance": "4095.00000000", "maintenance": "3400.00000000"}),
        ("liquidated", {"price": "2005.00000000", "balance": "4095.00000000", "maintenance": "4475.00000000"}),
    ]
    assert ran.details["final"]["cash"] == {"option:USDT": "2027.30000000"}
    assert ran.details["options"]["liquidations"] == {f"option:{C}": 1}
    assert ran.details["options"]["fees"] == {"liquidation": "62.70000000"}
    assert any("short option liquidated (margin calls: 1)" in warning for warning in ran.result.warnings)
    replay(ran.path)
    verify(ran.path)


def test_what_the_wallet_does_not_have_is_paid_by_the_insurance_fund(tmp_path: Path) -> None:
    rows = [(30_000, 100), (30_000, 100), (36_000, 5_000)]
    ran = run_chain(tmp_path, market(*rows), {1: sell()}, **short(4_000))
    assert fills_of(ran)[1] == (3, C, "buy", "1", "5005", "0")
    assert ran.details["final"]["cash"] == {"option:USDT": "0.00000000"}
    assert ran.details["options"]["shortfall"] == "910.00000000"
    assert [e["amount"] for e in ran.events("cashflows") if e["kind"] == "insurance"] == ["910.00000000"]
    replay(ran.path)


def test_without_an_ask_a_short_is_bought_back_at_its_mark_and_working_orders_go_first(tmp_path: Path) -> None:
    calm = market(*CALM[:2])
    jump = [Quote(2, C, 0, 0, 0, 0, mark=2_000, index=33_000)]
    script = {1: sell(), 2: lambda s: [s.buy(C, 1, limit=50)]}
    ran = run_chain(tmp_path, [*calm, *jump], script, **short(4_000))
    assert fills_of(ran)[1][:5] == (3, C, "buy", "1", "2000")
    assert (2, "cancelled", "liquidation") in ran.updates


def test_the_short_that_must_keep_most_goes_first_and_the_rest_stays_when_it_is_safe(tmp_path: Path) -> None:
    rows = [(30_000, 100), (30_000, 100), (33_000, 2_000), (33_000, 2_000)]
    low = [Quote(q.hour, OTHER, 95, 105, mark=100 if q.hour < 2 else 10, index=q.index) for q in market(*rows)]
    script = {1: lambda s: [s.sell(C, 1, limit=1), s.sell(OTHER, 1, limit=1)]}
    ran = run_chain(
        tmp_path,
        [*market(*rows), *low],
        script,
        **short(7_300, maintenance_margin="0.15", min_maintenance_margin="0.1"),
    )
    assert [f[1] for f in fills_of(ran)] == [C, OTHER, C]
    assert list(ran.details["final"]["positions"]) == [f"option:{OTHER}"]


def test_longs_secure_no_shorts(tmp_path: Path) -> None:
    rows = [(30_000, 100), (30_000, 100), (33_000, 2_000)]
    long = [Quote(q.hour, "BTC-240126-30000-C", 2_000, 2_000, 9, 9, mark=2_000, index=q.index) for q in market(*rows)]
    script = {1: lambda s: [s.sell(C, 1, limit=1), s.buy("BTC-240126-30000-C", 1, limit=2_000)]}
    ran = run_chain(tmp_path, [*market(*rows), *long], script, **short(6_000))
    assert [e["state"] for e in ran.events("margin")] == ["liquidated"]


def test_buying_back_needs_no_more_than_the_money_that_is_there(tmp_path: Path) -> None:
    rows = [(30_000, 100), (30_000, 100), (31_500, 600), (31_500, 600), (31_500, 600)]
    script = {1: sell(), 3: lambda s: [s.buy(C, 1, limit=605)]}
    ran = run_chain(tmp_path, market(*rows), script, **short(3_600))
    assert fills_of(ran)[1] == (4, C, "buy", "1", "605", "0")
    assert ran.details["final"]["positions"] == {}


@pytest.mark.parametrize("spot", [False, True])
def test_a_breaker_closes_options_at_the_next_row_and_asks_once_for_it(tmp_path: Path, spot: bool) -> None:
    rows = [(30_000, 100), (30_000, 100), (30_000, 100), (30_000, 1_500), (30_000, 1_500), (30_000, 1_500)]
    quotes = [*market(*rows, quantity=0.6), *market(*rows[::-1], contract=OTHER, quantity=0.6)]
    script = {1: lambda s: [s.sell(C, 1, limit=1), s.buy(OTHER, 1, limit=2_000)]}
    more: dict[str, Any] = {"risk": {"drawdown": {"limit_pct": 20, "action": "flatten"}}}
    names = ["option:BTCUSDT"]
    if spot:  # ticks of a minute between the rows
        write_candles(tmp_path / "lake", flat(30_000, 360))
        names.append("spot:BTCUSDT")
        more["account"] = {"wallets": {"option:USDT": "6000"}}
    ran = run_chain(tmp_path, quotes, script, symbols=names, **short(6_000) | more)
    closing = [e for e in ran.events("orders_sanitized") if e["terms"].get("reduce_only")]
    assert {(e["kind"], e["terms"]["time_in_force"]) for e in closing} == {("limit", "ioc")}
    assert len(closing) <= 4
    assert ran.details["final"]["positions"] == {}
    assert [reason for _, reason, _ in ran.refusals] == []
    replay(ran.path)


def test_what_must_be_kept_is_never_more_than_what_is_needed_at_first() -> None:
    with pytest.raises(ValidationError, match="cannot be more than what it needs at first"):
        OptionsSection.model_validate({"maintenance_margin": "0.2"})


def test_a_contract_that_is_no_longer_quoted_is_marked_by_its_last_volatility_and_liquidated_by_that(
    tmp_path: Path,
) -> None:
    calm = [Quote(n, C, 95, 105, 5, 5, mark=100, mark_iv=0.5) for n in range(2)]
    gone = [Quote(n, OTHER, 1, 2, mark=1, index=36_000) for n in range(2, 5)]
    ran = run_chain(tmp_path, [*calm, *gone], {1: sell()}, **short(7_000))
    worth = float(
        np.asarray(black76_price(36_000, 31_000, (time_of(25 * 1440 + 480) - time_of(180)) / YEAR, 0.5, True))
    )
    (hour, name, side, _, price, _) = fills_of(ran)[1]
    assert (hour, name, side) == (3, C, "buy")
    assert float(price) == pytest.approx(worth, abs=1e-6)
    assert worth > 5_000
    assert ran.details["options"]["marks"]["last volatility"] == 1
    replay(ran.path)


@pytest.mark.parametrize("listed", [True, False])
def test_without_any_volatility_a_mark_and_a_buy_back_are_never_below_the_payoff(tmp_path: Path, listed: bool) -> None:
    calm = [Quote(n, C, 95, 105, 5, 5) for n in range(2)]
    blank = [Quote(n, C, 0, 0, 0, 0, index=36_000) for n in range(2, 5)] if listed else []
    gone = [Quote(n, OTHER, 1, 2, mark=1, index=36_000) for n in range(2, 5)]
    ran = run_chain(tmp_path, [*calm, *blank, *gone], {1: sell()}, **short(7_000))
    assert fills_of(ran)[1][:5] == (3, C, "buy", "1", "5000")
    assert ran.details["options"]["marks"]["payoff"] == 1


def test_a_short_is_not_bought_back_at_an_ask_below_its_payoff(tmp_path: Path) -> None:
    jump = Quote(2, C, 90, 100, 5, 5, mark=5_200, index=36_000)
    ran = run_chain(tmp_path, [*market(*CALM[:2]), jump], {1: sell()}, **short(7_000))
    assert fills_of(ran)[1][:5] == (3, C, "buy", "1", "5000")


def two_chains(
    folder: Path, ether: tuple[float, float], script: Any, bitcoin: float = 31_500, mark: float = 900
) -> Any:
    """Bitcoin and ether stand still for two hours, and move at one instant; the second name sorts after the first."""
    call = "ETH-240126-2000-C"
    rows = [(2_000, 40), (2_000, 40), ether, ether]
    quotes = [Quote(n, call, m - 1, m + 1, 50, 50, mark=m, index=i) for n, (i, m) in enumerate(rows)]
    write_chain(folder / "lake", quotes, "ETHUSDT")
    return run_chain(
        folder,
        market((30_000, 100), (30_000, 100), (bitcoin, mark), (bitcoin, mark)),
        script,
        symbols=["option:BTCUSDT", "option:ETHUSDT"],
        **short(10_000),
    )


def both_short() -> Any:
    """Sell both when the later of the two chains is shown."""
    return {
        1: lambda s: (
            [s.sell(C, 1, limit=1), s.sell("ETH-240126-2000-C", 10, limit=1)]
            if s.chain("ETHUSDT").ts == s.now
            else None
        )
    }


class TestTwoChains:
    """Shorts of two chains share a wallet: what must be kept for them counts both rows of an instant."""

    def test_a_short_is_bought_back_at_the_ask_of_its_own_row_of_that_instant(self, tmp_path: Path) -> None:
        # with the old row of ether the one that must keep most is ether, 50 × 190, at 41
        second, call = "BTC-240126-31500-C", "ETH-240126-2000-C"
        rows = [(30_000, 100), (30_000, 100), (36_000, 6_700)]
        moves = [(2_000, 40), (2_000, 40), (2_600, 640)]
        ether = [Quote(n, call, m - 1, m + 1, 50, 50, mark=m, index=i) for n, (i, m) in enumerate(moves)]

        def act(s: Any) -> Any:
            sold = [s.sell(C, 1, limit=1), s.sell(second, 1, limit=1), s.sell(call, 50, limit=1)]
            return sold if s.chain("ETHUSDT").ts == s.now else None

        names = ["option:BTCUSDT", "option:ETHUSDT"]
        quotes = [*market(*rows), *market(*rows, contract=second)]
        write_chain(tmp_path / "lake", ether, "ETHUSDT")
        ran = run_chain(tmp_path, quotes, {1: act}, symbols=names, **short(25_000))
        assert [f[4] for f in fills_of(ran) if f[1:3] == (call, "buy")] == ["641"]
        replay(ran.path)
        verify(ran.path)

    def test_nothing_is_liquidated_when_the_other_row_frees_what_this_one_needs(self, tmp_path: Path) -> None:
        # 10 000 + 95 + 390. Bitcoin must keep 9 700; ether kept 1 900 until then, and 760 now
        ran = two_chains(tmp_path, (1_500, 1), both_short(), 36_000, 7_000)
        assert [f[2] for f in fills_of(ran)] == ["sell", "sell"]
        assert "liquidated" not in [e["state"] for e in ran.events("margin")]


def test_what_the_exchange_does_at_one_instant_makes_one_row_of_the_equity_curve(tmp_path: Path) -> None:
    rows = [(30_000, 100), (30_000, 100), (36_000, 5_000), (36_000, 5_000)]
    quotes = [*market(*rows), *market(*rows, contract="BTC-240126-31500-C")]
    script = {1: lambda s: [s.sell(C, 1, limit=1), s.sell("BTC-240126-31500-C", 1, limit=1)]}
    ran = run_chain(tmp_path, quotes, script, **short(8_000))
    assert ran.details["options"]["liquidations"] == {f"option:{C}": 1, "option:BTC-240126-31500-C": 1}
    at = [row for row in ran.table("equity") if row["ts"] == time_of(180)]
    assert [float(row["equity"]) for row in at] == [0, 0]  # of the change, and of the boundary
    assert min(float(row["equity"]) for row in ran.table("equity")) >= 0
    replay(ran.path)
    verify(ran.path)
