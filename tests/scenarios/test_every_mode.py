"""One small run of each kind of market and mode: what it leaves, and that its log proves it, twice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.chains import CHAIN, Quote, at_hours, write_chain
from tests.support.cli import bt
from tests.support.coin import PERP, WHOLE, coin_brackets
from tests.support.lakes import write_rows
from tests.support.market import flat, time_of, write_candles
from tests.support.runs import config_of, prepared_run, run_prepared, scripted
from tests.support.venue import put_rules

SPOT, UM, CM, DELIVERY = "spot:BTCUSDT", "um:BTCUSDT", f"cm:{PERP}", "um:BTCUSDT_240101"
CALL = "option:BTC-240101-30000-C"  # ends at 08:00
RISES = [*flat(100, 4), *flat(110, 6)]


@dataclass(frozen=True)
class Mode:
    """What is traded, how, and what is left: balances and positions, computed by hand beside each."""

    symbols: tuple[str, ...]
    lake: Callable[[Path], None]
    script: dict[int, Any]
    cash: dict[str, str]
    positions: dict[str, int]
    sections: dict[str, Any] = field(default_factory=dict)


def linear(lake: Path) -> None:
    for market in ("spot", "um"):
        write_candles(lake, RISES, market=market)


def inverse(lake: Path) -> None:
    write_candles(lake, [*flat(40_000, 4), *flat(50_000, 6)], market="cm", symbol=PERP)
    put_rules(lake, coin_brackets((5, 125, 0.004, 0.0)), date="2020-01-01")


def delivery(lake: Path) -> None:
    write_candles(lake, flat(100, 485), market="um", symbol="BTCUSDT_240101")
    times = [time_of(420 + minute) for minute in range(60)]
    columns = {"open_time": times, **{name: [105.0] * 60 for name in ("open", "high", "low", "close")}}
    write_rows(lake, "indexPriceKlines", "BTCUSDT", columns, market="um", timeframe="1m")


def chain(lake: Path) -> None:
    write_chain(lake, [Quote(hour, CALL.partition(":")[2], 90, 100, mark=95, index=30_500.0) for hour in range(8)])


def mixed(lake: Path) -> None:
    chain(lake)
    for market in ("spot", "um"):
        write_candles(lake, [*flat(30_000, 4), *flat(31_000, 6)], market=market, timeframe="1h")


def futures(position_mode: str, margin_mode: str, **sections: Any) -> dict[str, Any]:
    leverage = {"position_mode": position_mode, "margin_mode": margin_mode, "leverage": 5}
    return {"futures": leverage, "risk": {"allow_short": True}} | sections


COIN = {"account": {"currency": "BTC", "wallets": {"cm:BTC": "1"}}, "instruments": {CM: WHOLE}}
BOTH = {
    0: lambda s: [s.buy(UM, 2, position_side="long"), s.sell(UM, 1, position_side="short")],
    5: lambda s: [s.sell(UM, 1, position_side="long")],  # 10 won
}
FLIPS = {0: lambda s: [s.buy(UM, 2)], 5: lambda s: [s.sell(UM, 3)]}  # 20 won, then short
BUYS_A_CALL = {1: lambda s: [s.buy(CALL, 1, limit=130)]}
# bought at 100; 500 in the money at 30 500, and 1.5 bps of that for the exercise
CALL_LEAVES = Decimal(-100) + 500 - Decimal(30_500) * Decimal("0.00015")

MODES = {
    "spot": Mode(
        (SPOT,),
        linear,
        {0: lambda s: [s.buy(SPOT, 2)], 5: lambda s: [s.sell(SPOT, 1)]},
        {"spot:USDT": "9910", "spot:BTC": "1"},
        {SPOT: 1},
    ),
    "um_one_way_isolated": Mode((UM,), linear, FLIPS, {"um:USDT": "10020"}, {UM: -1}, futures("one_way", "isolated")),
    "um_one_way_cross": Mode((UM,), linear, FLIPS, {"um:USDT": "10020"}, {UM: -1}, futures("one_way", "cross")),
    "um_hedge_isolated": Mode(
        (UM,),
        linear,
        BOTH,
        {"um:USDT": "10010"},
        {f"{UM}@long": 1, f"{UM}@short": -1},
        futures("hedge", "isolated"),
    ),
    "um_hedge_cross": Mode(
        (UM,), linear, BOTH, {"um:USDT": "10010"}, {f"{UM}@long": 1, f"{UM}@short": -1}, futures("hedge", "cross")
    ),
    "cm": Mode(  # 400 contracts of 100 USD are a coin at 40 000, and half of them 0.4 of one at 50 000
        (CM,),
        inverse,
        {0: lambda s: [s.buy(CM, 400)], 5: lambda s: [s.sell(CM, 200)]},
        {"cm:BTC": "1.1"},
        {CM: 200},
        futures("one_way", "isolated", **COIN),
    ),
    "cm_hedge": Mode(
        (CM,),
        inverse,
        {
            0: lambda s: [s.buy(CM, 400, position_side="long"), s.sell(CM, 200, position_side="short")],
            5: lambda s: [s.sell(CM, 400, position_side="long")],
        },
        {"cm:BTC": "1.2"},
        {f"{CM}@short": -200},
        futures("hedge", "cross", **COIN),
    ),
    "delivery": Mode(
        (DELIVERY,),
        delivery,
        {0: lambda s: [s.buy(DELIVERY, 2)], 482: lambda s: [s.buy(DELIVERY, 2)]},  # the second one too late
        {"um:USDT": "10010"},
        {},
        futures("one_way", "isolated"),
    ),
    "option": Mode((CHAIN,), chain, BUYS_A_CALL, {"option:USDT": str(10_000 + CALL_LEAVES)}, {}),
    "mixed": Mode(
        (SPOT, UM, CHAIN),
        mixed,
        {
            0: lambda s: [s.buy(SPOT, 1), s.sell(UM, 1), s.buy(CALL, 1, limit=130)],
            6: lambda s: [s.buy(UM, 1), s.transfer("USDT", 500, "um", "spot")],
        },
        {"spot:USDT": "10500", "spot:BTC": "1", "um:USDT": "8500", "option:USDT": str(1_000 + CALL_LEAVES)},
        {SPOT: 1},
        futures(
            "one_way",
            "isolated",
            run={"timeframe": "1h"},
            account={"wallets": {"spot:USDT": 40_000, "um:USDT": 10_000, "option:USDT": 1_000}},
        ),
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_a_small_run_leaves_what_a_hand_computes_and_its_log_proves_it(name: str, tmp_path: Path) -> None:
    mode = MODES[name]
    mode.lake(tmp_path / "lake")
    by_rows = mode.symbols == (CHAIN,)
    strategy = at_hours(mode.script) if by_rows else scripted(mode.script, first=mode.symbols[0])
    config = config_of(tmp_path / "lake", list(mode.symbols), **mode.sections)
    ran = run_prepared(tmp_path, prepared_run(strategy, config))
    final = ran.details["final"]
    assert {w: Decimal(a) for w, a in final["cash"].items()} == {w: Decimal(a) for w, a in mode.cash.items()}
    assert {i: Decimal(p["qty"]) for i, p in final["positions"].items()} == mode.positions
    for flags in ((), ("--verify",)):
        said = bt("replay", ran.path, *flags, "--json")
        assert said.code == 0, said.err
        assert said.json["digest"] == ran.result.digest
