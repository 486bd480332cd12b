"""The screen of a run: five questions, in so many columns, of whatever figures there are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtester.report.screen import ASSUMPTION, FIGURE, PLACE, TITLE, WARNING, Line, laid_out, screen, screen_text

CONFIG = {"run": {"symbols": ["spot:BTCUSDT"], "market": "spot", "timeframe": "1h"}, "account": {"currency": "USDT"}}


def figure(value: Any, **more: Any) -> dict[str, Any]:
    return {"value": value, "definition_id": "x/1", **more}


def usdt(value: str) -> dict[str, Any]:
    return figure(value, currency="USDT")


def details(**more: Any) -> dict[str, Any]:
    return {
        "status": "complete",
        "strategy": {"name": "mine"},
        "range": {"start": "2023-01-01", "end": "2024-01-01"},
        "assumptions": {"fills": "at the next open"},
        "warnings": ["the candles are synthetic"],
        "portfolio": {"wallets": {}, "conversions": {}, "exposure": {}, "currency": "USDT"},
        **more,
    }


def metrics(**more: Any) -> dict[str, Any]:
    return {
        "total_return": figure(0.2411),
        "max_drawdown": figure(
            -0.352, peak="2023-01-21T00:00:00Z", trough="2023-09-01T05:00:00Z", recovered="2023-12-05T00:00:00Z"
        ),
        "n_trades": figure(42),
        "n_open": figure(0),
        "win_rate": figure(1 / 3),
        "initial_equity": usdt("10000.00000000"),
        "final_equity": usdt("12411.00000000"),
        "realised_pnl": usdt("3327.66000000"),
        "fees": usdt("916.94000000"),
        **more,
    }


FULL = metrics(
    cagr=figure(0.24),
    sharpe=figure(0.77),
    sharpe_se=figure(0.99),
    bootstrap={
        "days": 365,
        "left_out": -0.29,
        "figures": {"sharpe": {"p05": -0.92, "p50": 0.8, "p95": 2.46}, "total_return": {"p05": -0.31, "p95": 1.39}},
    },
    deflated_sharpe=figure(0.61, trials=12),
    benchmark={"total_return": 1.2323},
    profit_factor=figure(1.35),
    expectancy=usdt("57.40000000"),
    expectancy_r=figure(0.3),
    slippage=usdt("92.98000000"),
    funding=usdt("-5.00000000"),
    cost_share=figure(0.295),
    exposure_time=figure(0.63),
    leverage_max=figure(1.0),
    profit_share_best_1pct=figure(1.15, trades=1),
    profit_share_best_5pct=figure(2.71, trades=3),
    monthly_returns=[
        {"month": "2023-04", "return": 0.1, "partial": False},
        {"month": "2023-05", "return": -0.1072, "partial": False},
        {"month": "2023-12", "return": -0.01, "partial": True},
    ],
)


def said(label: str, found: dict[str, Any], **more: Any) -> str:
    lines = screen(details(**more), found, CONFIG, "unproven")
    return next(line.text for line in lines if line.label == label)


def test_every_question_is_answered_with_what_the_figures_say() -> None:
    assert said("result", FULL) == (
        "total return +24.11% (buy and hold +123.23%), CAGR +24.00%, 10,000.00 to 12,411.00 USDT"
    )
    assert said("how sure", FULL) == (
        "Sharpe 0.77 ± 0.99 standard error, 9 of 10 runs resampled from its 365 whole days had -0.92 to 2.46 and made "
        "-31% to +139% (without the parts of days at its ends, -29.00%); "
        "after 12 trials 61% sure that it is no luck"
    )
    assert said("trades", FULL) == "42, win rate 33.33%, profit factor 1.35, 57.40 USDT per trade, +0.30 R"
    assert said("costs", FULL) == (
        "fees 916.94, slippage 92.98, funding received less paid -5.00 USDT: 29.5% of the gross profit; "
        "realised 3,327.66 USDT"
    )
    assert said("hangs on", FULL) == (
        "in the market 63.0% of the time, exposure at most 1.00 of equity, "
        "the best 1 % of trades (1) made 115% of the profit, the best 5 % (3) 271%"
    )
    assert said("hurt", FULL) == (
        "max drawdown -35.20%, 2023-01-21 to 2023-09-01, recovered 2023-12-05; worst month 2023-05 -10.72%"
    )


def test_what_has_no_meaning_says_why() -> None:
    empty = metrics(
        n_trades=figure(0),
        n_open=figure(1),
        win_rate=figure(None, reason="no_trades"),
        sharpe=figure(None, reason="no_variance"),
        sharpe_se=figure(None, reason="too_few"),
        bootstrap={"reason": "too_few"},
        deflated_sharpe=figure(None, reason="not_deflated"),
        cost_share=figure(None, reason="no_gross_profit"),
        cagr=figure(None, reason="too_short"),
        max_drawdown=figure(0.0, peak="2023-01-01T00:00:00Z"),
        monthly_returns=[],
    )
    assert said("trades", empty) == "none closed (+1 open)"
    assert said("how sure", empty) == "Sharpe none (nothing varied), resampled: none (too few days)"
    assert said("costs", empty).startswith("fees 916.94 USDT: none (no gross profit)")
    assert "CAGR none (too short a run)" in said("result", empty)
    assert said("hurt", empty) == "max drawdown 0.00%"


def test_a_drawdown_that_lasts_a_part_of_a_month_and_ruin_are_said() -> None:
    lasting = metrics(
        max_drawdown=figure(-1.2, peak="2023-02-01", trough="2023-03-01", recovered=None, flag="ruined"),
        monthly_returns=[{"month": "2023-03", "return": -1.2, "partial": True}],
    )
    assert said("hurt", lasting) == (
        "max drawdown -120.00%, 2023-02-01 to 2023-03-01, not recovered, ruined; worst month 2023-03 -120.00% (part)"
    )


def test_a_run_that_failed_says_so_first() -> None:
    lines = screen(details(status="failed", error="strategy Mine failed"), metrics(), CONFIG, "unproven")
    assert lines[0].text.endswith(": failed")
    assert lines[1] == Line(WARNING, "failed", "strategy Mine failed")


@pytest.mark.parametrize(("verdict", "word"), [("proven", "proven"), ("found", "FOUND"), ("unproven", "unproven")])
def test_the_certificate_is_named(verdict: str, word: str) -> None:
    assert screen(details(), metrics(), CONFIG, verdict)[-1].text.startswith(word)


@given(
    texts=st.lists(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30)), min_size=1),
    width=st.integers(min_value=45, max_value=120),
)
def test_no_line_is_wider_than_asked_and_no_word_is_lost(texts: list[list[str]], width: int) -> None:
    kinds = [TITLE, FIGURE, ASSUMPTION, WARNING, PLACE]
    lines = [Line(kinds[i % 5], f"label {i % 3}", " ".join(words)) for i, words in enumerate(texts)]
    broken = laid_out(lines, width)
    assert all(len(text) <= width for _, text in broken)
    for line in lines:
        own = " ".join(text for owner, text in broken if owner is line).split()
        expected = ([] if line.kind == TITLE else line.label.split()) + line.text.split()
        if lines.count(line) == 1:
            assert own == expected


def test_a_long_path_is_never_broken() -> None:
    path = "/a/very/long/path" * 12
    assert path in screen_text([Line(PLACE, "run", f"in {path}")], 80)


def lines(**values: str) -> dict[str, Any]:
    return {"lines": [{"name": name, "value": value} for name, value in values.items()]}


def test_costs_of_a_losing_run_are_told_beside_its_gross_loss_and_liquidations_by_themselves() -> None:
    made = lines(price_pnl="-1000", slippage="-50", fees="-30", liquidation="-20", funding="0")
    lost = metrics(cost_share=figure(None, reason="no_gross_profit"), costs=made)
    assert said("costs", lost).startswith(
        "fees 916.94 (20.00 of them for liquidations) USDT: 10.0% of the gross loss, on top of it"
    )


def test_what_others_wrote_steers_no_terminal() -> None:
    told = screen_text(screen(details(warnings=["\x1b[31mred\nand blue"]), FULL, CONFIG, "unproven"))
    assert "\x1b" not in told
    assert "\\x1b[31mred and blue" in told


def test_trials_outside_the_family_are_said() -> None:
    alone = metrics(
        sharpe=figure(1.0), deflated_sharpe=figure(None, reason="not_deflated", trials=1),
        trials_overlapping=figure(8),
    )  # fmt: skip
    assert said("how sure", alone) == (
        "Sharpe 1.00; not deflated (7 other trials on overlapping data are in the ledger, not counted)"
    )
    assert "ledger" not in said("how sure", alone | {"trials_overlapping": figure(1)})
