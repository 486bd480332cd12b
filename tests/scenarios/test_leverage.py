"""Leverage on markets drawn by hand: what a position binds, how large it may become, and what frees money again."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError, UsageError
from backtester.engine.replay import replay, verify
from tests.support.market import Rows, flat, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import UM_BRACKETS, put_rules

ETH = "ETHUSDT"  # up to 10 000 at 75x, up to 50 000 at 50x


def run(folder: Path, rows: Rows, script: Mapping[int, Any], *, tables: bool = True, **sections: Any) -> Ran:
    lake = folder / "lake"
    write_candles(lake, rows, symbol=ETH, market="um")
    if tables:
        put_rules(lake, UM_BRACKETS, date="2023-01-01")
    base: dict[str, Any] = {"run": {"market": "um"}, "account": {"initial_cash": 1000}}
    return run_prepared(folder, prepared_run(scripted(script), config_of(lake, [ETH], **(base | sections))))


def buy(qty: str | int) -> Any:
    return lambda s: [s.buy(ETH, qty)]


def sell(qty: str | int) -> Any:
    return lambda s: [s.sell(ETH, qty)]


def at(leverage: int, mode: str = "isolated") -> dict[str, Any]:
    return {"leverage": leverage, "margin_mode": mode}


def position(ran: Ran) -> Decimal:
    held = ran.details["final"]["positions"].get(f"um:{ETH}")
    return Decimal(held["qty"]) if held else Decimal(0)


def test_opening_binds_the_notional_over_the_leverage_and_the_snapshot_says_so(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: buy(49)}, futures=at(5))
    assert position(ran) == 49
    (row,) = ran.events("account_snapshot")[-1]["positions"]
    assert (row["leverage"], row["margin"], row["basis"]) == (5, "980.00000000", "4900.00000000")
    assert ran.events("orders_sanitized")[0]["reserve"] == "980.00000000"
    assert replay(ran.path).account.positions[f"um:{ETH}"][0] == 49
    verify(ran.path)


def test_without_leverage_the_whole_notional_is_bound_and_the_snapshot_is_as_ever(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: buy(9), 1: buy(2)})
    assert position(ran) == 9
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "200", "free": "100", "asset": "USDT"})]
    assert not {"leverage", "margin"} & ran.events("account_snapshot")[-1]["positions"][0].keys()


def test_fees_are_paid_in_full_beside_the_margin(tmp_path: Path) -> None:
    # 49 × 100 / 5 = 980, and 1 % of 4 900 is 49: more than the 1 000 that are there
    ran = run(tmp_path, flat(100, 4), {0: buy(49)}, futures=at(5), fees={"maker_bps": 0, "taker_bps": 100})
    assert ran.refusals[0][1:] == ("insufficient_balance", {"required": "1029", "free": "1000", "asset": "USDT"})


def test_what_an_open_order_binds_is_not_free_for_the_next(tmp_path: Path) -> None:
    both = {0: lambda s: [s.buy(ETH, 30, limit=90), s.buy(ETH, 30, limit=90)]}
    ran = run(tmp_path, flat(100, 4), both, futures=at(5))
    assert ran.refusals == [("risk", "insufficient_balance", {"required": "540", "free": "460", "asset": "USDT"})]


def test_a_position_larger_than_its_leverage_allows_is_refused_with_the_numbers(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 5), {0: buy(90), 1: buy(20)}, futures=at(60))
    assert position(ran) == 90
    told = {"notional": "11000.00000000", "leverage": "60", "max_leverage": "50", "max_notional": "10000.00000000"}
    assert ran.refusals == [("risk", "leverage_bracket", told)]


def test_a_position_beyond_every_bracket_is_refused_at_any_leverage(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 4), {0: buy(501)}, account={"initial_cash": 100_000})
    assert ran.refusals[0][1] == "leverage_bracket"
    assert ran.refusals[0][2]["max_leverage"] == "0"


def test_the_exchange_judges_the_size_again_at_the_price_of_the_fill(tmp_path: Path) -> None:
    rows = [*flat(100, 1), (102.0, 102.0, 102.0, 102.0), *flat(102, 2)]
    ran = run(tmp_path, rows, {0: buy(99)}, futures=at(60))
    assert ran.updates[-1] == (1, "expired", "leverage_bracket")
    assert position(ran) == 0


def test_what_reduces_is_never_refused_for_its_size(tmp_path: Path) -> None:
    rows = [*flat(100, 2), *flat(120, 3)]
    ran = run(tmp_path, rows, {0: buy(99), 2: sell(10)}, futures=at(60))  # 89 × 120 is more than 10 000
    assert ran.refusals == []
    assert position(ran) == 89


def test_a_flip_frees_the_old_margin_and_binds_the_new(tmp_path: Path) -> None:
    ran = run(tmp_path, flat(100, 5), {0: buy(45), 1: sell(94)}, futures=at(5))  # 49 short: 980
    assert position(ran) == -49
    refused = run(tmp_path / "more", flat(100, 5), {0: buy(45), 1: sell(96)}, futures=at(5))  # 51 short: 1 020
    assert [reason for _, reason, _ in refused.refusals] == ["insufficient_balance"]


@pytest.mark.parametrize(("mode", "most"), [("isolated", 9), ("cross", 27)])
def test_profit_that_is_not_realised_secures_more_with_cross_margin_only(tmp_path: Path, mode: str, most: int) -> None:
    rows = [*flat(100, 2), *flat(110, 4)]  # 40 long, 800 bound, 400 won
    for more, filled in ((most, True), (most + 1, False)):
        ran = run(tmp_path / str(more), rows, {0: buy(40), 2: buy(more)}, futures=at(5, mode))
        assert position(ran) == (40 + more if filled else 40)
        assert bool(ran.refusals) is not filled


def test_a_loss_that_is_not_realised_binds_money_with_cross_margin(tmp_path: Path) -> None:
    rows = [*flat(100, 2), *flat(97, 4)]  # 40 long, 800 bound, 120 lost: 80 are free
    ran = run(tmp_path, rows, {0: buy(40), 2: buy(5)}, futures=at(5, "cross"))
    assert ran.refusals[0][2] == {"required": "97", "free": "80", "asset": "USDT"}


def test_a_fraction_is_of_equity_and_limited_by_what_margin_is_free(tmp_path: Path) -> None:
    half = {0: lambda s: [s.buy(ETH, fraction="0.9")], 1: lambda s: [s.buy(ETH, fraction="0.9")]}
    ran = run(tmp_path, flat(100, 5), half, futures=at(5), fees={"maker_bps": 2, "taker_bps": 5})
    assert [f.qty for f in ran.fills] == [Decimal("8.995"), Decimal("8.991")]


def test_an_instrument_may_have_leverage_of_its_own(tmp_path: Path) -> None:
    own = {"leverage": 2, "instruments": {ETH: {"leverage": 10, "margin_mode": "cross"}, "BTCUSDT": {"leverage": 3}}}
    ran = run(tmp_path, flat(100, 4), {0: buy(99)}, futures=own)
    assert position(ran) == 99
    assert ran.details["margin"][f"um:{ETH}"]["leverage"] == 10
    assert ran.details["margin"][f"um:{ETH}"]["mode"] == "cross"
    assert "futures.instruments names um:BTCUSDT: not a future of this run, and not used" in ran.result.warnings


def test_without_a_leverage_table_a_strict_one_is_assumed_and_said(tmp_path: Path) -> None:
    rich = {"initial_cash": 10_000}
    ran = run(tmp_path, flat(100, 4), {0: buy(501)}, tables=False, futures=at(20), account=rich)
    assert any("no leverage table is known" in w and "bt data rules import" in w for w in ran.result.warnings)
    assert "a built-in leverage table" in ran.details["assumptions"]["leverage"]
    assert ran.refusals[0][1] == "leverage_bracket"
    with pytest.raises(DataError, match="no leverage table"):
        run(tmp_path / "strict", flat(100, 4), {}, tables=False, futures=at(2), execution={"strict": True})


def test_tables_hold_by_date_and_one_that_came_later_is_said(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 4), symbol=ETH, market="um")
    put_rules(tmp_path / "lake", UM_BRACKETS, date="2026-03-01")
    config = config_of(tmp_path / "lake", [ETH], run={"market": "um"}, futures=at(5))
    ran = run_prepared(tmp_path, prepared_run(scripted({}), config))
    assert any("leverage table of 2026-03-01 applied before that date" in w for w in ran.result.warnings)


def test_spot_has_no_leverage(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 4))
    with pytest.raises(UsageError, match="spot and options have no leverage"):
        prepared_run(scripted({}), config_of(tmp_path / "lake", ["BTCUSDT"], futures=at(2)))


@pytest.mark.parametrize("own", [False, True])
def test_a_leverage_that_the_table_allows_for_no_size_is_refused_before_the_run(tmp_path: Path, own: bool) -> None:
    futures = {"instruments": {ETH: {"leverage": 100}}} if own else at(100)
    key = f'futures.instruments."um:{ETH}".leverage' if own else "futures.leverage"
    with pytest.raises(UsageError) as caught:
        run(tmp_path, flat(100, 4), {0: buy(1)}, futures=futures)
    assert caught.value.message.startswith(
        f"um:{ETH}: {key}=100, and its leverage table of 2023-01-01 allows at most 75x"
    )
    assert caught.value.hint == f"--set '{key}=75' or less"


def test_the_built_in_table_refuses_more_than_it_allows_for_any_size(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"futures\.leverage=21, and the built-in leverage table .* at most 20x"
    ) as caught:
        run(tmp_path, flat(100, 4), {0: buy(1)}, tables=False, futures=at(21))
    assert "--set 'futures.leverage=20' or less, or bt data rules import" in caught.value.hint


@pytest.mark.parametrize("first", [75, 50])
def test_a_leverage_that_some_tables_of_the_range_allow_is_warned_of(tmp_path: Path, first: int) -> None:
    """The tables change at the third candle: from 75x to 50x, or the other way round; 60x opens under one of them."""
    table = UM_BRACKETS[0]
    for date, most in (("2023-01-01", first), ("2024-01-01T00:02:00Z", 125 - first)):
        steps = [step | {"initialLeverage": min(step["initialLeverage"], most)} for step in table["brackets"]]
        put_rules(tmp_path / "lake", [table | {"brackets": steps}], date=date)
    ran = run(tmp_path, flat(100, 6), {0: buy(1), 4: buy(2)}, tables=False, futures=at(60))
    day = "2023-01-01" if first == 50 else "2024-01-01"
    [said] = [w for w in ran.result.warnings if "futures.leverage=60" in w]
    assert said.endswith(f"not all of its leverage tables allow that, for any size: that of {day} at most 50x")
    assert position(ran) == (1 if first == 75 else 2)
