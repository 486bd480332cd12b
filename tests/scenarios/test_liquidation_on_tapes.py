"""Positions on a tape: looking at every trade, and only at those that leave what is known to be quiet, end the same."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from backtester.execution.liquidation import Liquidator
from tests.support.runs import Ran, scripted
from tests.support.tape import BUYS, SELLS, Print, run_on_tape

B = "BTCUSDT"


def falling(step: float) -> list[Print]:
    """One trade a second of plenty, from 100 down to 80 and up to 120."""
    prices = [100.0] * 90
    while prices[-1] > 80:
        prices.append(round(prices[-1] - step, 2))
    while prices[-1] < 120:
        prices.append(round(prices[-1] + step, 2))
    return [(n, price, 1000, BUYS if n % 2 else SELLS) for n, price in enumerate(prices)]


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("step", [0.03, 0.5, 3.0])
def test_quiet_stretches_change_no_line_of_the_log(tmp_path: Path, side: str, step: float) -> None:
    def made(folder: str) -> Ran:
        script: Any = {0: lambda s: [getattr(s, side)(B, 20)]}
        return run_on_tape(
            tmp_path / folder,
            falling(step),
            scripted(script),
            run={"market": "um"},
            futures={"leverage": 10},
            minutes=36,
        )

    quick = made("quick")
    with patch.object(Liquidator, "_find_quiet", lambda *_: None):
        plain = made("plain")
    assert quick.raw_lines == plain.raw_lines
    assert quick.events("margin")[-1]["state"] == "liquidated"
