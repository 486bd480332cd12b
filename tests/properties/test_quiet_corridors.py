"""Several futures with little margin: looking at every candle, and only at those that leave what is quiet, are one."""

import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from backtester.execution.liquidation import Liquidator
from tests.support.market import Row, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import UM_BRACKETS, put_rules

SYMBOLS = ["BTCUSDT", "ETHUSDT", "XRPUSDT"]
CANDLES = 240


def walk(rng: random.Random, calm: float) -> list[Row | None]:
    """Candles around 100 that seldom move far, and now and then jump."""
    rows: list[Row | None] = []
    price = 100.0
    for _ in range(CANDLES):
        swing = calm if rng.random() < 0.93 else 4 * calm
        close = round(max(5.0, price * (1 + rng.gauss(0, swing))), 2)
        reach = abs(rng.gauss(0, swing)) * price
        rows.append((price, round(max(price, close) + reach, 2), round(max(1.0, min(price, close) - reach), 2), close))
        price = close if rng.random() < 0.9 else round(max(5.0, close * (1 + rng.gauss(0, swing))), 2)
    return rows


def orders(rng: random.Random) -> Mapping[int, Any]:
    def at_random(name: str, side: str, qty: int) -> Any:
        return lambda s: [getattr(s, side)(name, qty)]

    return {
        n: at_random(rng.choice(SYMBOLS), rng.choice(["buy", "sell"]), rng.randint(1, 90))
        for n in range(0, CANDLES - 5, 8)
    }


@pytest.mark.parametrize("mode", ["cross", "isolated", "mixed"])
def test_quiet_corridors_change_no_line_of_the_log(tmp_path: Path, mode: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(14):
        rng = random.Random(f"{mode}-{seed}")
        lake = tmp_path / f"lake-{seed}"
        for symbol in SYMBOLS:
            write_candles(lake, walk(rng, 0.002), symbol=symbol, market="um")
        put_rules(lake, UM_BRACKETS, date="2023-01-01")
        own: dict[str, dict[str, Any]] = {"ETHUSDT": {"leverage": 50}}  # the only one with a table; built in: up to 20x
        if mode == "mixed":
            own["ETHUSDT"]["margin_mode"] = "isolated"
        sections: dict[str, Any] = {
            "run": {"market": "um"},
            "account": {"initial_cash": 800},
            "futures": {
                "leverage": 20,
                "margin_mode": "cross" if mode == "mixed" else mode,
                "instruments": own,
                "funding": "off",
            },
        }
        script = orders(rng)

        def made(folder: str, lake: Path = lake, script: Any = script, sections: Any = sections) -> Ran:
            config = config_of(lake, SYMBOLS, **sections)
            return run_prepared(tmp_path / folder, prepared_run(scripted(script), config))

        quick = made(f"quick-{seed}")
        with patch.object(Liquidator, "_find_quiet", lambda *_: None):
            plain = made(f"plain-{seed}")
        assert quick.raw_lines == plain.raw_lines
        seen.update(event["state"] for event in quick.events("margin"))
    assert seen["liquidated"] >= 3, seen
    assert seen["call"] >= 1, seen
