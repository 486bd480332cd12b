"""The screen at the end of a run: liquidations, calls, and who paid for what was lost."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.cli.summary import print_summary
from backtester.report.account_words import liquidations_in_words
from tests.scenarios.test_liquidation import buy, run
from tests.support.market import flat

PAID = "of the losses, which the return does not bear"


def screen(ran: Any, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    print_summary(ran.result, 1.0)
    return " ".join(capsys.readouterr().out.split())


def test_a_liquidation_beyond_bankruptcy_is_on_the_screen_with_what_the_fund_paid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """40 long at 100 with a margin of 400 fall to 80: 800 are lost, of which the account bears 400."""
    ran = run(tmp_path, [*flat(100, 2), *flat(80, 3)], {0: buy(40)})
    said = screen(ran, capsys)
    assert f"liquidated um:ETHUSDT once, the insurance fund paid 400.00 USDT {PAID}" in said
    assert ran.result.metrics["total_return"]["value"] == pytest.approx(-0.4)
    assert Decimal(ran.result.metrics["final_equity"]["value"]) == 600


def test_a_margin_call_is_on_the_screen_though_nothing_was_liquidated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = run(tmp_path, [*flat(100, 2), *flat(90.7, 3)], {0: buy(40)})
    said = screen(ran, capsys)
    assert "margin calls um:ETHUSDT once" in said
    assert "liquidated" not in said.split("assumes")[0]
    assert "insurance" not in said.split("assumes")[0]


def test_a_quiet_run_says_nothing_of_liquidations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = screen(run(tmp_path, flat(100, 4), {0: buy(40)}), capsys).split("assumes")[0]
    assert not [word for word in ("liquidated", "margin calls", "insurance") if word in said]


def test_futures_and_options_are_summed_up_by_asset() -> None:
    details = {
        "liquidation": {
            "liquidations": {"um:BTCUSDT": 3, "cm:BTCUSD_PERP": 1},
            "margin_calls": {"um:BTCUSDT": 2},
            "shortfall": {"USDT": "12.30000000", "BTC": "0.00010000"},
        },
        "options": {"liquidations": {"option:X": 2}, "margin_calls": {"option:X": 1}, "shortfall": "0.20000000"},
    }
    assert liquidations_in_words(details, "USDT") == [
        "liquidated cm:BTCUSD_PERP once, option:X 2 times, um:BTCUSDT 3 times, "
        f"the insurance fund paid 0.00010000 BTC and 12.50 USDT {PAID}",
        "margin calls option:X once, um:BTCUSDT 2 times",
    ]
    assert liquidations_in_words({}, "") == []
