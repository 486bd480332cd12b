"""Several strategies in one run: each does what it would do alone with its share, and all together are the account."""

import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.engine.replay import replay, verify
from tests.properties.test_mixed_portfolios import COIN, ETH, PERP, SPOT, WALLETS, Whims
from tests.support.erratic import Erratic
from tests.support.lakes import wandering
from tests.support.market import write_candles
from tests.support.runs import Ran
from tests.support.sleeves import Part, ended, held, run_alone, run_several, traded
from tests.support.venue import UM_BRACKETS, put_rules

SYMBOLS = ("BTCUSDT", "ETHUSDT")
CANDLES = 90
SHARES = st.integers(1, 10**8 - 1).map(lambda units: Decimal(units).scaleb(-8))


class Punctual(Erratic):
    """Erratic, with no timer in the past: one is due at the next tick, and others' timers make ticks, too."""

    def call_at(self, time: int) -> None:
        super().call_at(max(time, self.now + 1_000_000))


class Second(Punctual):
    """The same, from a generator of its own."""


def markets(folder: Path, seed: int, market: str) -> Path:
    lake = folder / "lake"
    for number, symbol in enumerate(SYMBOLS):
        rows = wandering(CANDLES, seed * 7 + number, price=100 * (1 + 4 * number), step=1, quiet=0.05)
        write_candles(lake, rows, symbol=symbol, market=market)
    if market == "um":
        put_rules(lake, UM_BRACKETS, date="2023-01-01")
    return lake


def terms(market: str, seed: int, leverage: int, mode: str) -> dict[str, Any]:
    sections: dict[str, Any] = {
        "run": {"market": market, "seed": seed},
        "fees": {"maker_bps": 2, "taker_bps": 5},
        "slippage": {"bps": 3},
        "execution": {"participation": 0},
    }
    return sections | ({"futures": {"leverage": leverage, "margin_mode": mode}} if market == "um" else {})


def parts_of(share: Decimal, frames: tuple[str, str]) -> list[Part]:
    return [
        Part("one", Punctual, share, SYMBOLS, frames[0], {"busy": 0.5, "warmup": 7}),
        Part("two", Second, 1 - share, SYMBOLS[:1], frames[1], {"busy": 0.6}),
    ]


@given(
    share=SHARES,
    seed=st.integers(0, 10**6),
    market=st.sampled_from(["spot", "um"]),
    leverage=st.sampled_from([1, 5, 20]),
    mode=st.sampled_from(["isolated", "cross"]),
    frames=st.sampled_from([("1m", "1m"), ("1m", "3m"), ("5m", "1m")]),
)
@settings(max_examples=12, deadline=None)
def test_each_of_two_strategies_does_to_the_unit_what_it_does_alone(
    share: Decimal, seed: int, market: str, leverage: int, mode: str, frames: tuple[str, str]
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lake, sections = markets(folder, seed, market), terms(market, seed, leverage, mode)
        sections["execution"]["timeframe"] = "1m"
        parts = parts_of(share, frames)
        start = {"run": sections["run"] | {"start": "2024-01-01T00:15:00Z"}}
        together = run_several(folder, lake, parts, SYMBOLS, **(sections | start), portfolio={"netting": "none"})
        adds_up(together)
        for part in parts:
            alone = run_alone(folder, lake, part, SYMBOLS, together, **(sections | start))
            assert traded(together, part.id) == traded(alone)
            assert ended(together, part.id) == ended(alone)
            assert held(together, part.id) == held(alone)


def adds_up(ran: Ran) -> None:
    """The log replays, what strategies made is what the account made, and so are their curves at every boundary."""
    replay(ran.path)
    found = ran.details["strategies"]
    parts = [*found["parts"].values(), found["reserve"]]
    for name in ("start_equity", "end_equity", "realised", "unrealised", "fees", "funding"):
        assert sum(Decimal(part[name]) for part in parts) == Decimal(found["account"][name]), name
    for name in ("fills", "trades"):
        assert sum(part[name] for part in found["parts"].values()) == found["account"][name]
    whole = {row["ts"]: row["equity"] for row in ran.table("equity")}
    rows: dict[int, dict[str, Decimal]] = defaultdict(dict)
    for row in ran.table("strategies"):
        rows[row["ts"]][row["strategy"]] = row["equity"]
    complete = {ts: sum(by.values()) for ts, by in rows.items() if len(by) == len(parts)}
    assert len(complete) > CANDLES // 10
    assert complete == {ts: whole[ts] for ts in complete}


@given(
    shares=st.lists(st.integers(1, 33_333_333), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
    market=st.sampled_from(["spot", "um"]),
    cash=st.integers(10**8, 10**13).map(lambda units: Decimal(units).scaleb(-8)),
)
@settings(max_examples=12, deadline=None)
def test_what_strategies_that_meet_each_other_make_adds_up_to_the_account(
    shares: list[int], seed: int, market: str, cash: Decimal
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lake, sections = markets(folder, seed, market), terms(market, seed, 3, "cross")
        sections |= {"account": {"initial_cash": cash}, "execution": {"participation": "0.2"}}
        parts = [
            Part(f"p{number}", Punctual, Decimal(share).scaleb(-8), SYMBOLS[: 1 + number % 2], "", {"busy": 0.7})
            for number, share in enumerate(shares)
        ]
        ran = run_several(folder, lake, parts, SYMBOLS, **sections)
        adds_up(ran)
        internal = [row for row in ran.table("fills") if row["liquidity"] == "internal"]
        by_moment: dict[tuple[int, Any, str], Decimal] = defaultdict(Decimal)
        for row in internal:
            assert row["fee"] == 0
            assert row["price"] == row["reference_price"]
            key = row["ts"], row["price"], row["instrument"].partition("@")[0]
            by_moment[key] += row["qty"] if row["side"] == "buy" else -row["qty"]
        assert not any(by_moment.values())  # what one gave another took


def test_a_run_of_several_strategies_is_the_same_again_and_under_any_order_of_symbols(tmp_path: Path) -> None:
    lake = markets(tmp_path, 5, "spot")
    sections = terms("spot", 5, 1, "isolated")
    parts = parts_of(Decimal("0.4"), ("1m", "3m"))
    ran = run_several(tmp_path, lake, parts, SYMBOLS, **sections)
    assert ran.table("fills")
    verify(ran.path)
    turned = [part._replace(symbols=tuple(reversed(part.symbols))) for part in parts]
    assert run_several(tmp_path, lake, turned, SYMBOLS[::-1], **sections).result.digest == ran.result.digest


class Moves(Whims):
    """Orders in four markets, and transfers between their wallets."""


class MovesToo(Whims):
    """The same, from a generator of its own."""


@pytest.mark.parametrize(
    "own",
    [
        {"fees": {"spot_asset": "received", "maker_bps": 8, "taker_bps": 10}},
        {"futures": {"leverage": 5, "margin_mode": "cross", "collateral": {"BTC": "0.9"}}},
        {"futures": {"leverage": 10}, "slippage": {"bps": 2}},
        {"sizing": {"model": "volatility_target", "target_percent": 30, "window": 10}},
    ],
    ids=["fees in coin", "collateral", "leverage", "sizes that the run finds"],
)
def test_in_several_markets_with_transfers_each_does_what_it_does_alone(tmp_path: Path, own: dict[str, Any]) -> None:
    lake = tmp_path / "lake"
    for number, (name, price) in enumerate({SPOT: 10_000, ETH: 50, PERP: 10_000, COIN: 10_000}.items()):
        market, symbol = name.split(":")
        rows = wandering(CANDLES, 40 + number, price=price, step=max(1, price // 40), quiet=0.05)
        write_candles(lake, rows, symbol=symbol, market=market)
    cent = {"tick_size": "0.01", "lot_size": "0.001", "min_qty": "0.001", "max_qty": 0, "min_notional": 0}
    sections: dict[str, Any] = {
        "account": {"wallets": WALLETS, "conversions": {"BTC": SPOT}},
        "execution": {"participation": 0},
        "instruments": {COIN: cent | {"lot_size": 1, "min_qty": 1, "contract_size": 10}},
        **own,
    }
    names = [SPOT, ETH, PERP, COIN]
    parts = [Part("one", Moves, "0.37000001", names), Part("two", MovesToo, "0.6", names)]
    together = run_several(tmp_path, lake, parts, names, **sections, portfolio={"netting": "none"})
    replay(together.path)
    for part in parts:
        alone = run_alone(tmp_path, lake, part, names, together, **sections)
        assert len(traded(alone)) > 10
        assert traded(together, part.id) == traded(alone)
        assert ended(together, part.id) == ended(alone)
        assert held(together, part.id) == held(alone)
