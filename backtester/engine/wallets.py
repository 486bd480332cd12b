"""What each wallet starts with, and at which prices its assets are worth something in the account's currency."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from backtester.config.configs import AccountSection, BacktestConfig
from backtester.core.errors import UsageError
from backtester.core.instruments import (
    MARKETS,
    Asset,
    Holding,
    Instrument,
    InstrumentId,
    holding_of,
    split_holding,
    split_id,
)
from backtester.core.numbers import MONEY_EXPONENT, decimals_of, exact_units
from backtester.core.valuation import Conversion, Valuation
from backtester.data.lake import Lake
from backtester.data.schemas import KLINES

_RATE_DECIMALS = 8


def resolved_account(
    config: BacktestConfig, ids: Iterable[InstrumentId], instruments: Mapping[InstrumentId, Instrument]
) -> AccountSection:
    """Return `[account]` with every wallet spelled out: by default the initial cash in the run's market.

    Raises:
        UsageError: a wallet is not one of a market of the run.
    """
    account, markets = config.account, sorted({split_id(i)[0] for i in ids})
    wallets = dict(account.wallets)
    if not wallets:
        market = config.run.market if config.run.market in markets else markets[0]
        own = sorted({spec.settle for spec in instruments.values() if spec.market == market})
        if len(markets) == 1 and account.currency not in own and all(s.is_inverse for s in instruments.values()):
            raise UsageError(
                f"{market} settles in {', '.join(own)}, the account would start with {account.currency} alone",
                hint=f'say what its wallet holds: --set account.wallets."{market}:{own[0]}"=1',
            )
        wallets = {holding_of(market, account.currency): account.initial_cash}
    for name in wallets:
        wallet, asset = split_holding(Holding(name))
        if wallet not in MARKETS or not asset:
            raise UsageError(
                f"account.wallets names {name!r}", hint="write MARKET:ASSET, for example um:USDT or cm:BTC"
            )
        if wallet not in markets:
            raise UsageError(
                f"account.wallets names {name!r}, and this run trades {', '.join(markets)}",
                hint="leave it out, or add a symbol of that market",
            )
    return account.model_copy(update={"wallets": {name: wallets[name] for name in sorted(wallets)}})


def valuation_of(
    account: AccountSection, instruments: Mapping[InstrumentId, Instrument], warnings: list[str]
) -> Valuation:
    """Return how everything that can be held is summed up.

    Args:
        account: resolved.
        warnings: takes what is taken to be the same, as USD and USDT.

    Raises:
        UsageError: nothing says what an asset is worth in the account's currency.
    """
    needed = {spec.settle for spec in instruments.values()}
    needed |= {spec.base for spec in instruments.values() if spec.is_spot}
    needed |= {split_holding(Holding(name))[1] for name in account.wallets}
    named: dict[str, Conversion] = {
        asset: _named(asset, text, account.currency, instruments) for asset, text in account.conversions.items()
    }
    found = dict(named)
    for asset in sorted(needed - {Asset(account.currency)} - named.keys()):
        conversion = _found(asset, Asset(account.currency), instruments, warnings)
        if conversion is None:
            raise UsageError(
                f"nothing in this run says what {asset} is worth in {account.currency}",
                hint=f"--set account.conversions.{asset}=1 (a number, or an instrument of the run), or --set "
                f"account.currency={asset}",
            )
        found[asset] = conversion
    return Valuation(Asset(account.currency), found)


def _named(asset: str, text: str, currency: str, instruments: Mapping[InstrumentId, Instrument]) -> Conversion:
    try:
        number = Decimal(text)
    except InvalidOperation:
        spec = instruments.get(InstrumentId(text))
        if spec is None:
            raise UsageError(
                f"account.conversions.{asset} is {text!r}: neither a number nor an instrument of this run",
                hint=f"the run has: {', '.join(instruments)}",
            ) from None
        inverted = spec.base == currency and spec.base != asset
        return Conversion(spec.id, spec.scale.price, inverted)
    if number <= 0 or decimals_of(number) > _RATE_DECIMALS:
        raise UsageError(f"account.conversions.{asset} is {text}: it must be above 0, with at most 8 decimals")
    return Conversion(rate_units=exact_units(number, _RATE_DECIMALS))


def _found(
    asset: Asset, currency: Asset, instruments: Mapping[InstrumentId, Instrument], warnings: list[str]
) -> Conversion | None:
    """Return the first instrument whose price says what an asset is worth: spot first, then futures."""
    order = {market: rank for rank, market in enumerate(MARKETS)}
    for spec in sorted(instruments.values(), key=lambda s: (order[s.market], s.expiry, s.id)):
        if spec.market not in ("spot", "um", "cm"):
            continue
        if (spec.base, spec.quote) == (asset, currency):
            return Conversion(spec.id, spec.scale.price)
        if (spec.quote, spec.base) == (asset, currency):
            return Conversion(spec.id, spec.scale.price, is_inverted=True)
    for spec in sorted(instruments.values(), key=lambda s: (s.expiry, s.id)):
        if spec.is_inverse and spec.base == asset and currency.startswith(spec.quote):
            warnings.append(
                f"{asset} is worth what {spec.id} says in {spec.quote}: one {currency} is taken to be one {spec.quote}"
            )
            return Conversion(spec.id, spec.scale.price)
    return None


def opening_prices(
    account: AccountSection,
    valuation: Valuation,
    lake: Lake,
    instruments: Mapping[InstrumentId, Instrument],
    sources: Mapping[InstrumentId, str],
    start: int,
    warnings: list[str],
) -> dict[InstrumentId, int]:
    """Return at which prices (10^-p) what is deposited is valued before the first candle closes: the opens at start.

    Args:
        account: resolved.
        sources: the stored timeframe that executes, by instrument.
        warnings: takes what has no price then, and is worth nothing until its first.
    """
    found: dict[InstrumentId, int] = {}
    for asset in sorted({split_holding(Holding(name))[1] for name in account.wallets}):
        conversion = valuation.conversions.get(asset)
        if conversion is None or conversion.instrument is None:
            continue
        spec = instruments[conversion.instrument]
        rows = lake.read(spec.market, KLINES.kind, spec.symbol, sources[spec.id], start, start + 1, names=["open"])
        opens = [float(value) for batch in rows for value in batch["open"]]
        if opens:
            found[spec.id] = round(opens[0] * 10**spec.scale.price)
        else:
            warnings.append(f"{asset} is worth nothing before {spec.id} has a price: no candle begins at the start")
    return found


def deposits(account: AccountSection) -> list[tuple[str, Asset, int]]:
    """Return (wallet, asset, 1e-8) of everything that a resolved account starts with."""
    return [
        (*split_holding(Holding(name)), exact_units(amount, MONEY_EXPONENT))
        for name, amount in account.wallets.items()
        if amount
    ]
