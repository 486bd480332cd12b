"""Instruments for tests below the level of a run."""

from backtester.core.instruments import Asset, Instrument, InstrumentId, InstrumentRules, Scale


def instrument(
    symbol: str = "BTCUSDT",
    market: str = "spot",
    *,
    price_decimals: int = 2,
    qty_decimals: int = 3,
    tick: int = 1,
    lot: int = 1,
    min_qty: int = 0,
    max_qty: int = 0,
    min_notional: int = 0,
    max_notional: int = 0,
) -> Instrument:
    """An instrument in USDT; rules in its own units, notionals in 1e-8."""
    return Instrument(
        id=InstrumentId(f"{market}:{symbol}"),
        market=market,
        symbol=symbol,
        base=Asset(symbol.removesuffix("USDT")),
        quote=Asset("USDT"),
        scale=Scale(price_decimals, qty_decimals),
        rules=InstrumentRules(
            tick_units=tick,
            lot_units=lot,
            min_qty_units=min_qty,
            max_qty_units=max_qty,
            min_notional_units=min_notional,
            max_notional_units=max_notional,
        ),
    )
