"""Instruments and rules for tests below the level of a run."""

from backtester.core.instruments import Asset, Instrument, InstrumentId, Scale, expiry_of
from backtester.core.rules import InstrumentRules, OrderLimits


def instrument(
    symbol: str = "BTCUSDT",
    market: str = "spot",
    *,
    price_decimals: int = 2,
    qty_decimals: int = 3,
    expiry: int = 0,
) -> Instrument:
    """An instrument in USDT."""
    return Instrument(
        id=InstrumentId(f"{market}:{symbol}"),
        market=market,
        symbol=symbol,
        base=Asset(symbol.removesuffix("USDT")),
        quote=Asset("USDT"),
        scale=Scale(price_decimals, qty_decimals),
        expiry=expiry,
    )


def inverse(
    symbol: str = "BTCUSD_PERP", *, contract: int = 100, price_decimals: int = 1, qty_decimals: int = 0, expiry: int = 0
) -> Instrument:
    """A COIN-M contract of so many USD; traded whole, unless a part of it is asked for."""
    return Instrument(
        id=InstrumentId(f"cm:{symbol}"),
        market="cm",
        symbol=symbol,
        base=Asset(symbol.partition("USD")[0]),
        quote=Asset("USD"),
        scale=Scale(price_decimals, qty_decimals),
        contract_units=contract * 10**8,
        expiry=expiry or expiry_of(symbol),
    )


def rules(
    *,
    tick: int = 1,
    lot: int = 1,
    min_qty: int = 0,
    max_qty: int = 0,
    min_notional: int = 0,
    max_notional: int = 0,
    at_market: OrderLimits | None = None,
) -> InstrumentRules:
    """Rules in an instrument's own units, notionals in 1e-8; the same for all orders unless at_market differs."""
    resting = OrderLimits(lot, max(lot, min_qty), max_qty, min_notional, max_notional)
    return InstrumentRules(tick, resting, at_market or resting)
