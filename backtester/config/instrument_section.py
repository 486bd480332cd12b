"""`[instruments]`: what a config says of trading rules and fees of single instruments, by date."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from backtester.config.fields import Bps, Exact, Multiplier, Section, Time


class TradingRules(Section):
    """What the venue accepts of an order. 0 is none: no step (eight decimals), no limit; None is not said.

    market_*: of orders that execute at the market, beside the others. *_at_market: whether a limit of the notional
    holds for those too. bid_*, ask_*: the limit price of a purchase, of a sale, as multiples of the last price.
    max_orders, max_algo_orders: open at a time, the second of those with a trigger. max_position: base units.
    """

    tick_size: Annotated[Exact, Field(ge=0)] | None = None
    lot_size: Annotated[Exact, Field(ge=0)] | None = None
    min_qty: Annotated[Exact, Field(ge=0)] | None = None
    max_qty: Annotated[Exact, Field(ge=0)] | None = None
    market_lot_size: Annotated[Exact, Field(ge=0)] | None = None
    market_min_qty: Annotated[Exact, Field(ge=0)] | None = None
    market_max_qty: Annotated[Exact, Field(ge=0)] | None = None
    min_notional: Annotated[Exact, Field(ge=0)] | None = None
    max_notional: Annotated[Exact, Field(ge=0)] | None = None
    min_notional_at_market: bool | None = None
    max_notional_at_market: bool | None = None
    min_price: Annotated[Exact, Field(ge=0)] | None = None
    max_price: Annotated[Exact, Field(ge=0)] | None = None
    bid_multiplier_down: Multiplier | None = None
    bid_multiplier_up: Multiplier | None = None
    ask_multiplier_down: Multiplier | None = None
    ask_multiplier_up: Multiplier | None = None
    max_orders: Annotated[int, Field(ge=0)] | None = None
    max_algo_orders: Annotated[int, Field(ge=0)] | None = None
    max_position: Annotated[Exact, Field(ge=0)] | None = None

    def said(self) -> dict[str, Any]:
        """Return the rules that are said, by key."""
        found = {key: getattr(self, key) for key in TradingRules.model_fields}
        return {key: value for key, value in found.items() if value is not None}


class RulesVersion(TradingRules):
    """The rules that held from a date on; without a date they always held. source: who says so, for people."""

    date: Time = ""
    source: str = ""


class FeesVersion(Section):
    """The fee rates that held from a date on."""

    date: Time = ""
    source: str = ""
    maker_bps: Bps
    taker_bps: Bps


class InstrumentSection(TradingRules):
    """One instrument. What is said here wins over every version; what is left out comes from the versions.

    versions: the rules by date, instead of those of the lake, or those that ship. fees: fee rates by date, instead of
    `[fees]` and the lake. price_decimals, qty_decimals: the scale of the exchange's integers; by default what data and
    rules need. contract_size: of an inverse contract the quote money that it is worth, of an option the base units that
    it is on.
    """

    base: str | None = None
    quote: str | None = None
    price_decimals: Annotated[int, Field(ge=0, le=12)] | None = None
    qty_decimals: Annotated[int, Field(ge=0, le=8)] | None = None
    contract_size: Annotated[Exact, Field(gt=0, decimal_places=8)] | None = None
    versions: tuple[RulesVersion, ...] = ()
    fees: tuple[FeesVersion, ...] = ()

    @model_validator(mode="after")
    def _dates_differ(self) -> "InstrumentSection":
        for key, dates in (("versions", [v.date for v in self.versions]), ("fees", [v.date for v in self.fees])):
            if len(set(dates)) < len(dates):
                raise ValueError(f"two {key} have one date; each needs its own, one of them may have none")
        return self
