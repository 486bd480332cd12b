"""The account at one instant, as the log holds it."""

from typing import Annotated

import msgspec

from backtester.core.events import (
    MONEY,
    OMITTED,
    Event,
    LogScale,
    MoneyUnits,
    OmittedInt,
    OmittedTexts,
    PriceUnits,
    QtyUnits,
)
from backtester.core.instruments import Asset, InstrumentId


class AssetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One asset in a market's wallet, all in 1e-8 of it: cash held, reserved for orders, and sums since the start."""

    wallet: str
    asset: Asset
    cash_units: MoneyUnits
    reserved_units: MoneyUnits
    realised_units: MoneyUnits
    fees_units: MoneyUnits
    funding_units: MoneyUnits


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One position of a snapshot: signed quantity, signed cost basis, last mark and when it was set.

    leverage, margin, and what was added to that: of a future that is not secured by its full notional; else left out.
    """

    instrument: InstrumentId
    qty_units: QtyUnits
    basis_units: MoneyUnits
    mark_units: PriceUnits
    mark_time: int
    unrealised_units: MoneyUnits
    leverage: OmittedInt = 0
    margin_units: Annotated[int, MONEY, OMITTED] = 0
    added_units: Annotated[int, MONEY, OMITTED] = 0
    scale: LogScale


class AccountSnapshot(Event, frozen=True, kw_only=True):
    """The whole account at one instant, valued at mark in its currency.

    rates: what one unit of each other asset that is held was worth in it, as text.
    """

    currency: Asset
    rates: OmittedTexts = {}  # noqa: RUF012 - msgspec makes a new one for each
    equity_units: MoneyUnits
    assets: tuple[AssetRow, ...]
    positions: tuple[PositionRow, ...]
