"""Which transfers between wallets are let through: of what is there, as much as nothing binds."""

from collections.abc import Collection, Mapping

from backtester.core.events import Reason
from backtester.core.folds import Ledger, Reservations
from backtester.core.funds import transferable_units
from backtester.core.instruments import InstrumentId, holding_of
from backtester.core.numbers import MONEY_EXPONENT, decimals_of, exact_units, fixed
from backtester.core.transfer_events import TransferIntent
from backtester.risk.order_validation import Refusal, plain


def judged_transfer(
    intent: TransferIntent,
    wallets: Collection[str],
    ledger: Ledger,
    reservations: Reservations,
    prices: Mapping[InstrumentId, int],
) -> int | Refusal:
    """Return the amount (1e-8) that a transfer may move, or why it may not.

    Args:
        wallets: the markets of the run.
        prices: the last ones, 10^-p.
    """
    way = {"from": intent.source, "to": intent.target}
    for wallet in (intent.source, intent.target):
        if wallet not in wallets:
            return Refusal(Reason.UNKNOWN_WALLET, {"wallet": wallet, "wallets": " ".join(sorted(wallets))})
    if intent.source == intent.target:
        return Refusal(Reason.SAME_WALLET, way)
    holding = holding_of(intent.source, intent.asset)
    if holding not in ledger.assets:
        there = sorted(h for h in ledger.assets if h.partition(":")[0] == intent.source)
        return Refusal(Reason.UNKNOWN_ASSET, {"asset": intent.asset, "there": " ".join(there)})
    if intent.amount <= 0 or decimals_of(intent.amount) > MONEY_EXPONENT:
        return Refusal(Reason.BAD_SIZE, {"size": plain(intent.amount), "decimals": str(MONEY_EXPONENT)})
    units = exact_units(intent.amount, MONEY_EXPONENT)
    free = transferable_units(ledger, prices, holding, reservations.total)
    if units > free:
        numbers = {"required": fixed(units, MONEY_EXPONENT), "free": fixed(max(0, free), MONEY_EXPONENT)}
        return Refusal(Reason.INSUFFICIENT_BALANCE, numbers | {"asset": intent.asset} | way)
    return units
