"""What each wallet starts with, and at which prices its assets are worth something in the account's currency."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal, InvalidOperation

from backtester.config.configs import AccountSection, BacktestConfig
from backtester.core.errors import UsageError
from backtester.core.instruments import (
    MARKETS,
    SPOT,
    Asset,
    Contract,
    Holding,
    Instrument,
    InstrumentId,
    holding_of,
    instrument_id,
    split_holding,
    split_id,
    split_sleeve,
    usual_pair,
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
        wallet = split_sleeve(wallet)[0]
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
    account: AccountSection,
    instruments: Mapping[InstrumentId, Instrument],
    warnings: list[str],
    collateral: Collection[str] = (),
) -> Valuation:
    """Return how everything that can be held is summed up.

    Args:
        account: resolved.
        collateral: assets that secure positions.
        warnings: takes what is taken to be the same, as USD and USDT.

    Raises:
        UsageError: nothing says what an asset is worth in the account's currency.
    """
    needed = {spec.settle for spec in instruments.values()}
    needed |= {spec.base for spec in instruments.values() if spec.is_spot}
    needed |= {split_holding(Holding(name))[1] for name in account.wallets} | {Asset(name) for name in collateral}
    search = _Search(account, instruments, warnings)
    return Valuation(
        Asset(account.currency),
        {asset: search.conversion(asset) for asset in sorted(needed - {Asset(account.currency)})},
    )


class _Search:
    """Looks for what an asset is worth: what the config names, else an instrument that says it, else two of them."""

    def __init__(
        self, account: AccountSection, instruments: Mapping[InstrumentId, Instrument], warnings: list[str]
    ) -> None:
        self._named = account.conversions
        self._currency = account.currency
        self._instruments = instruments
        self._warnings = warnings
        order = {market: rank for rank, market in enumerate(MARKETS)}
        priced = [spec for spec in instruments.values() if spec.kind is not Contract.OPTION]
        self._sorted = sorted(priced, key=lambda s: (order[s.market], s.expiry, s.id))

    def conversion(self, asset: str) -> Conversion:
        """Return what an asset is worth in the currency.

        Raises:
            UsageError: nothing says it.
        """
        found = self._direct(asset) or self._by_another(asset)
        if found is None:
            usual = instrument_id(SPOT, usual_pair(asset, self._currency))
            raise UsageError(
                f"nothing in this run says what {asset} is worth in {self._currency}",
                hint=f"add the symbol whose price says it, usually {usual}; or, for one price in all of the run, --set "
                f"account.conversions.{asset}=PRICE ({self._currency} for one {asset}); or --set "
                f"account.currency={asset}",
            )
        return found

    def _direct(self, asset: str) -> Conversion | None:
        if asset in self._named:
            return self._by_name(asset, self._named[asset])
        for spec in self._sorted:
            if (spec.base, spec.quote) == (asset, self._currency):
                return Conversion(spec.id, spec.scale.price)
            if (spec.quote, spec.base) == (asset, self._currency):
                return Conversion(spec.id, spec.scale.price, is_inverted=True)
        for spec in self._sorted:
            if spec.is_inverse and spec.base == asset and self._currency.startswith(spec.quote):
                self._warnings.append(
                    f"{asset} is worth what {spec.id} says in {spec.quote}: one {self._currency} is taken to be one "
                    f"{spec.quote}"
                )
                return Conversion(spec.id, spec.scale.price)
        return None

    def _by_another(self, asset: str) -> Conversion | None:
        """Return what an instrument says in an asset whose own worth is known: ETHBTC, and what BTC is worth."""
        for spec in self._sorted:
            if asset in (spec.base, spec.quote):
                other = spec.quote if spec.base == asset else spec.base
                if (then := self._direct(other)) is not None:
                    return Conversion(spec.id, spec.scale.price, is_inverted=spec.base != asset, then=then)
        return None

    def _by_name(self, asset: str, text: str) -> Conversion:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return self._by_instrument(asset, text)
        if not number.is_finite() or number <= 0 or decimals_of(number) > _RATE_DECIMALS:
            raise UsageError(f"account.conversions.{asset} is {text}: it must be above 0, with at most 8 decimals")
        return Conversion(rate_units=exact_units(number, _RATE_DECIMALS))

    def _by_instrument(self, asset: str, text: str) -> Conversion:
        spec = self._instruments.get(InstrumentId(text))
        if spec is None:
            raise UsageError(
                f"account.conversions.{asset} is {text!r}: neither a number nor an instrument of this run",
                hint=f"the run has: {', '.join(self._instruments)}",
            )
        if asset not in (spec.base, spec.quote):
            raise UsageError(
                f"account.conversions.{asset} is {text}: that has {spec.base} and {spec.quote}, no {asset}",
                hint="name an instrument of the asset, or a number",
            )
        inverted, other = (False, spec.quote) if asset == spec.base else (True, spec.base)
        if self._currency.startswith(other):
            return Conversion(spec.id, spec.scale.price, inverted)
        if (then := None if other in self._named else self._direct(other)) is None:
            raise UsageError(
                f"account.conversions.{asset} is {text}: it says what {asset} is worth in {other}, not in "
                f"{self._currency}",
                hint=f"name an instrument of {asset} and {self._currency}, or a number",
            )
        return Conversion(spec.id, spec.scale.price, inverted, then=then)


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
        for spec in [] if conversion is None else [instruments[i] for i in conversion.instruments]:
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
