"""Runs of COIN-M contracts on markets drawn by hand: one coin in the wallet, contracts of 100 USD."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.market import START, Rows, write_candles
from tests.support.runs import Ran, config_of, merged, prepared_run, run_prepared, scripted
from tests.support.venue import put_rules

PERP = "BTCUSD_PERP"
WHOLE = {"tick_size": "0.1", "lot_size": "1", "min_qty": "1", "contract_size": "100"}


def coin_brackets(*steps: tuple[int, int, float, float], symbol: str = PERP) -> list[dict[str, Any]]:
    """The venue's answer: (cap in coin, leverage, maintenance rate, deduction) of each bracket."""
    floors = [0, *(cap for cap, *_ in steps)]
    return [
        {
            "symbol": symbol,
            "brackets": [
                {
                    "bracket": number,
                    "initialLeverage": leverage,
                    "qtyCap": cap,
                    "qtylFloor": floors[number - 1],
                    "maintMarginRatio": rate,
                    "cum": cum,
                }
                for number, (cap, leverage, rate, cum) in enumerate(steps, start=1)
            ],
        }
    ]


def coin_run(
    folder: Path,
    rows: Rows,
    script: Mapping[int, Any],
    *,
    symbol: str = PERP,
    brackets: tuple[tuple[int, int, float, float], ...] = ((5, 125, 0.004, 0.0),),
    timeframe: str = "1m",
    start: str = START,
    wallet: str = "1",
    modes: tuple[str, ...] = ("one_way", "hedge"),
    **sections: Any,
) -> Ran:
    """Run a script on one contract; what else the lake shall have is written to folder/lake before.

    modes: position modes that the script trades in.
    """
    lake = folder / "lake"
    write_candles(lake, rows, symbol=symbol, market="cm", timeframe=timeframe, start=start)
    if brackets:
        put_rules(lake, coin_brackets(*brackets, symbol=symbol), date="2020-01-01")
    base: dict[str, Any] = {
        "run": {"market": "cm", "timeframe": timeframe},
        "account": {"currency": "BTC", "wallets": {"cm:BTC": wallet}},
        "instruments": {f"cm:{symbol}": WHOLE},
    }
    config = config_of(lake, [symbol], **merged(base, sections))
    strategy = type("Strategy", (scripted(script),), {"position_modes": modes})
    return run_prepared(folder, prepared_run(strategy, config))


def coin(ran: Ran) -> Decimal:
    """What the wallet holds in the end."""
    return Decimal(ran.details["final"]["cash"]["cm:BTC"])


def buy(qty: int | None = None, symbol: str = "", **options: Any) -> Any:
    """A step of a script; of the first instrument unless another is named."""
    return lambda s: [s.buy(symbol or s.instruments[0].id, qty, **options)]


def sell(qty: int | None = None, symbol: str = "", **options: Any) -> Any:
    """A step of a script; of the first instrument unless another is named."""
    return lambda s: [s.sell(symbol or s.instruments[0].id, qty, **options)]
