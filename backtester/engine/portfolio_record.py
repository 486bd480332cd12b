"""What run.json says of the portfolio: wallets, conversions, and the exposure per underlying at the last tick."""

from typing import Any

from backtester.core.instruments import Contract, split_holding
from backtester.core.numbers import MONEY_EXPONENT, MONEY_SCALE, fixed
from backtester.engine.assumptions import conversion_in_words
from backtester.engine.prepare import PreparedRun
from backtester.engine.wiring import Wired


def portfolio_record(run: PreparedRun, wired: Wired) -> dict[str, Any]:
    """Return wallets with what they started with, hold and are worth; conversions; exposure. Money is exact text."""
    prices, worth = wired.board.price_units, run.valuation.worth
    ledger = wired.account.ledger
    started = run.config.account.wallets
    return {
        "currency": run.valuation.currency,
        "wallets": {
            holding: {
                "start": fixed(int(started.get(holding, 0) * MONEY_SCALE), MONEY_EXPONENT),
                "end": fixed(account.cash_units, MONEY_EXPONENT),
                "worth": fixed(worth(split_holding(holding)[1], account.cash_units, prices), MONEY_EXPONENT),
            }
            for holding, account in sorted(ledger.assets.items())
        },
        "conversions": {asset: conversion_in_words(c) for asset, c in sorted(run.valuation.conversions.items())},
        "exposure": _exposure(run, wired),
    }


def _exposure(run: PreparedRun, wired: Wired) -> dict[str, dict[str, str]]:
    ledger, prices, worth = wired.account.ledger, wired.board.price_units, run.valuation.worth
    held: dict[str, list[tuple[int, float]]] = {}
    bases = {spec.base for spec in run.instruments.values()} - {run.valuation.currency}
    for asset, units in ledger.loose_cash().items():
        if asset in bases and units:
            held.setdefault(asset, []).append((worth(asset, units, prices), units / MONEY_SCALE))
    for instrument, position in sorted(ledger.positions.items()):
        spec = run.instruments[instrument]
        value = spec.notional_units(position.qty_units, prices[spec.listed])
        coins = value / MONEY_SCALE if spec.is_inverse else position.qty_units / 10**spec.scale.qty
        if spec.kind is Contract.OPTION:
            known = wired.board.greeks.get(instrument)
            coins *= spec.contract_units / MONEY_SCALE * (known[-1][1].delta if known else float("nan"))
        held.setdefault(spec.base, []).append((worth(spec.settle, value, prices), coins))
    return {
        underlying: {
            "net": fixed(sum(value for value, _ in parts), MONEY_EXPONENT),
            "gross": fixed(sum(abs(value) for value, _ in parts), MONEY_EXPONENT),
            "delta": f"{sum(coins for _, coins in parts):.8f}",
        }
        for underlying, parts in sorted(held.items())
    }
