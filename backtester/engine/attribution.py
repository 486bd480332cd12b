"""What each of several strategies made of its share: figures that add up to the account's to the last unit."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from backtester.account.strategies import StrategyAccounts
from backtester.core.errors import EngineError
from backtester.core.folds import Ledger
from backtester.core.instruments import Holding, InstrumentId, in_sleeve, split_holding, split_sleeve
from backtester.core.numbers import MONEY_EXPONENT, exact_units, fixed
from backtester.engine.prepare import PreparedRun
from backtester.engine.strategy_hosts import HostedStrategy

_SUMS = ("realised", "fees", "funding")
_KEPT = ("cash_units", "transfers_units", "realised_units", "fees_units", "funding_units", "traded_units")
Amounts = dict[str, int]


def attribution_breaks(account: Ledger, parts: StrategyAccounts, hosted: Iterable[HostedStrategy]) -> list[str]:
    """Return where what strategies have is not what the account has, or not what they themselves know; [] when exact.

    Three folds of one log: the account's, that of each part, and that of what each strategy was told.
    """
    breaks, total = [], Counter[tuple[str, str]]()
    for owner, ledger in parts.ledgers.items():
        breaks += [f"strategy {owner or 'reserve'}: {one}" for one in ledger.identity_breaks()]
        for holding, kept in _kept(ledger).items():
            total.update({(holding, name): units for name, units in kept.items()})
        whole = {i: p for i, p in account.positions.items() if split_sleeve(i)[1] == owner}
        if whole != ledger.positions:
            breaks.append(f"strategy {owner or 'reserve'}: its positions are {ledger.positions}, the account's {whole}")
    for holding, kept in _kept(account).items():
        breaks += [
            f"{holding}: {name.removesuffix('_units')} is {fixed(units, 8)}, the strategies' sum to "
            f"{fixed(total[holding, name], 8)}"
            for name, units in kept.items()
            if total[holding, name] != units
        ]
    for one in hosted:
        breaks += _known_breaks(one, parts.ledgers[one.sleeve.id])
    return breaks


def _known_breaks(one: HostedStrategy, own: Ledger) -> list[str]:
    """Return where a strategy knows other balances or positions than it has."""
    owner = one.sleeve.id
    known = {_own_holding(holding, owner): kept for holding, kept in _kept(one.view.ledger).items()}
    positions = {InstrumentId(in_sleeve(i, owner)): p for i, p in one.view.ledger.positions.items()}
    if any(known.get(holding, kept) != kept for holding, kept in _kept(own).items()) or positions != own.positions:
        return [f"strategy {owner} knows other money or positions than it has"]
    return []


def _own_holding(holding: Holding, owner: str) -> Holding:
    wallet, asset = split_holding(holding)
    return Holding(f"{in_sleeve(wallet, owner)}:{asset}")


def _kept(ledger: Ledger) -> dict[Holding, Amounts]:
    return {holding: {name: getattr(one, name) for name in _KEPT} for holding, one in ledger.assets.items()}


def strategies_record(
    run: PreparedRun, account: Ledger, parts: StrategyAccounts, fills: Counter[str], trades: Counter[str], prices: Any
) -> dict[str, Any]:
    """Return what run.json says of each of several strategies, of the reserve, and of the account; money as text.

    Amounts are sums in the account's currency at the last prices. Where assets are converted, the parts round on their
    own: `rounding` is what they then lack, a few units at most.

    Args:
        prices: the last ones, 10^-p.
    """
    found = {owner: _amounts(run, ledger, owner, prices) for owner, ledger in parts.ledgers.items()}
    whole = _amounts(run, account, None, prices)
    rounding = {name: units - sum(one[name] for one in found.values()) for name, units in whole.items()}
    if not run.valuation.conversions and any(rounding.values()):
        raise EngineError(f"what strategies made does not add up to the account: {rounding}")
    shares = {sleeve.id: f"{sleeve.share:f}" for sleeve in run.sleeves}
    named = {
        owner: {"share": shares[owner], **_text(found[owner]), "fills": fills[owner], "trades": trades[owner]}
        for owner in shares
    }
    return {
        "currency": run.valuation.currency,
        "parts": named,
        "reserve": _text(found[""]),
        "account": {**_text(whole), "fills": fills.total(), "trades": trades.total()},
        **({"rounding": _text(rounding)} if any(rounding.values()) else {}),
    }


def _amounts(run: PreparedRun, ledger: Ledger, owner: str | None, prices: Any) -> Amounts:
    """Return what a part came to, 1e-8 of the account's currency; None: all parts."""
    worth = run.valuation.worth
    started = {
        Holding(name): exact_units(amount, MONEY_EXPONENT)
        for name, amount in run.config.account.wallets.items()
        if owner is None or split_sleeve(split_holding(Holding(name))[0])[1] == owner
    }
    sums = {name: _by_asset((h, getattr(a, f"{name}_units")) for h, a in ledger.assets.items()) for name in _SUMS}
    start = _by_asset(started.items())
    open_profit = Counter[str]()
    for instrument in ledger.positions:
        spec = ledger.instruments[instrument]
        open_profit[spec.settle] += worth(spec.settle, ledger.unrealised_units(instrument, prices[spec.listed]), prices)
    return {
        "start_equity": sum(worth(asset, units, run.openings) for asset, units in start.items()),
        "end_equity": ledger.equity_units(prices),
        "realised": sum(worth(asset, units, prices) for asset, units in sums["realised"].items()),
        "unrealised": open_profit.total(),
        "fees": sum(worth(asset, units, prices) for asset, units in sums["fees"].items()),
        "funding": sum(worth(asset, units, prices) for asset, units in sums["funding"].items()),
    }


def _by_asset(amounts: Iterable[tuple[Holding, int]]) -> Counter[str]:
    found = Counter[str]()
    for holding, units in amounts:
        found[split_holding(holding)[1]] += units
    return found


def _text(amounts: Amounts) -> dict[str, str]:
    return {name: fixed(units, MONEY_EXPONENT) for name, units in amounts.items()}
