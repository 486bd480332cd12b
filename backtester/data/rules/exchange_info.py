"""Symbols as exchangeInfo lists them: filters and terms of spot, futures and options."""

from decimal import Decimal
from typing import Any, Final

from backtester.core.errors import DataError
from backtester.core.instruments import split_symbol
from backtester.data.rules.reading import Fields
from backtester.data.rules.values import Contract, OptionTerms, SymbolRules

_COUNTS: Final = (
    ("MAX_NUM_ORDERS", "max_orders", "maxNumOrders"),
    ("MAX_NUM_ALGO_ORDERS", "max_algo_orders", "maxNumAlgoOrders"),
)
_NO_DELIVERY_FROM: Final = 4_133_404_800_000_000  # 2100-12-25: what a perpetual's delivery date says


def spot_rules(one: Fields) -> SymbolRules:
    """Return the rules of a spot symbol.

    Raises:
        DataError: a field or filter is missing or wrong.
    """
    filters = _Filters(one)
    return SymbolRules(
        base=one.text("baseAsset"),
        quote=one.text("quoteAsset"),
        status=one.text("status"),
        **filters.prices(),
        **filters.quantities(),
        **filters.price_band(),
        **filters.counts(),
        **filters.spot_notional(),
    )


def futures_rules(one: Fields) -> SymbolRules:
    """Return the rules of a um or cm symbol.

    Raises:
        DataError: a field or filter is missing or wrong.
    """
    filters = _Filters(one)
    delivery = one.time("deliveryDate") if one.has("deliveryDate") else _NO_DELIVERY_FROM
    notional = filters.find("MIN_NOTIONAL")
    return SymbolRules(
        base=one.text("baseAsset"),
        quote=one.text("quoteAsset"),
        status=one.text("status" if one.has("status") else "contractStatus"),
        **filters.prices(),
        **filters.quantities(),
        **filters.price_band(),
        **filters.counts(),
        min_notional=Decimal(0) if notional is None else notional.number("notional"),
        contract=Contract(
            kind=one.text_if_there("contractType"),  # empty while it is pending or settling
            pair=one.text_if_there("pair") or one.text("symbol"),
            margin_asset=one.text_if_there("marginAsset") or one.text("quoteAsset"),
            onboard=one.time("onboardDate") if one.has("onboardDate") else None,
            delivery=delivery if delivery < _NO_DELIVERY_FROM else None,
            size=one.number_if_there("contractSize") or Decimal(1),
            liquidation_fee=one.number_if_there("liquidationFee"),
            market_take_bound=one.number_if_there("marketTakeBound"),
            trigger_protect=one.number_if_there("triggerProtect"),
        ),
    )


def option_rules(one: Fields) -> SymbolRules:
    """Return the rules of an option; its base asset is that of its underlying.

    Raises:
        DataError: a field or filter is missing or wrong.
    """
    filters = _Filters(one)
    underlying, side = one.text("underlying"), one.text("side")
    if side not in ("CALL", "PUT"):
        raise DataError(f"{one.where}: side is {side!r}, not CALL or PUT")
    base = (split_symbol(underlying) or (one.text("symbol").partition("-")[0],))[0]
    return SymbolRules(
        base=base,
        quote=one.text("quoteAsset"),
        status=one.text_if_there("status"),
        **filters.prices(),
        **filters.quantities(),
        **filters.price_band(),
        **filters.counts(),
        option=OptionTerms(
            underlying=underlying,
            is_call=side == "CALL",
            strike=one.number("strikePrice"),
            expiry=one.time("expiryDate"),
            unit=one.number("unit"),
            initial_margin=one.number_if_there("initialMargin"),
            maintenance_margin=one.number_if_there("maintenanceMargin"),
            min_initial_margin=one.number_if_there("minInitialMargin"),
            min_maintenance_margin=one.number_if_there("minMaintenanceMargin"),
        ),
    )


class _Filters:
    """The filters of one symbol by their type."""

    def __init__(self, one: Fields) -> None:
        self._where = one.where
        self._found: dict[str, Fields] = {}
        for item in one.items("filters"):
            fields = Fields(item, f"{one.where}: a filter")
            kind = fields.text("filterType")
            self._found[kind] = Fields(item, f"{one.where}: {kind}")

    def find(self, kind: str) -> Fields | None:
        """Return a filter that may be absent."""
        return self._found.get(kind)

    def need(self, kind: str) -> Fields:
        """Return a filter that must be there."""
        if kind not in self._found:
            raise DataError(
                f"{self._where} has no filter {kind}; it has {', '.join(self._found)}",
                hint="--symbols imports only the symbols named, and reads no others",
            )
        return self._found[kind]

    def prices(self) -> dict[str, Any]:
        one = self.need("PRICE_FILTER")
        return {
            "tick_size": one.number("tickSize"),
            "min_price": one.number("minPrice"),
            "max_price": one.number("maxPrice"),
        }

    def quantities(self) -> dict[str, Any]:
        found = self._steps(self.need("LOT_SIZE"), "")
        market = self.find("MARKET_LOT_SIZE")
        return found if market is None else found | self._steps(market, "market_")

    @staticmethod
    def _steps(one: Fields, prefix: str) -> dict[str, Any]:
        return {
            f"{prefix}lot_size": one.number("stepSize"),
            f"{prefix}min_qty": one.number("minQty"),
            f"{prefix}max_qty": one.number("maxQty"),
        }

    def price_band(self) -> dict[str, Any]:
        """Return between which multiples of the average or mark price a price may lie; futures have one for both."""
        by_side, both = self.find("PERCENT_PRICE_BY_SIDE"), self.find("PERCENT_PRICE")
        found: dict[str, Any] = {}
        for side in ("bid", "ask"):
            for way in ("Down", "Up"):
                key = f"{side}_multiplier_{way.lower()}"
                if by_side is not None:
                    found[key] = by_side.number(f"{side}Multiplier{way}")
                elif both is not None:
                    found[key] = both.number(f"multiplier{way}")
        return found

    def counts(self) -> dict[str, Any]:
        """Return how many orders may be open, and how much may be held; futures name the counts differently."""
        found: dict[str, Any] = {}
        for kind, key, name in _COUNTS:
            one = self.find(kind)
            if one is not None:
                found[key] = one.integer(name if one.has(name) else "limit")
        position = self.find("MAX_POSITION")
        return found if position is None else found | {"max_position": position.number("maxPosition")}

    def spot_notional(self) -> dict[str, Any]:
        """Return the limits of the notional: NOTIONAL, or the older MIN_NOTIONAL."""
        found: dict[str, Any] = {}
        older, newer = self.find("MIN_NOTIONAL"), self.find("NOTIONAL")
        if older is not None:
            found["min_notional"] = older.number("minNotional")
            found["min_notional_at_market"] = not older.has("applyToMarket") or older.flag("applyToMarket")
        if newer is not None:
            found |= {
                "min_notional": newer.number("minNotional"),
                "min_notional_at_market": newer.flag("applyMinToMarket"),
                "max_notional": newer.number("maxNotional"),
                "max_notional_at_market": newer.flag("applyMaxToMarket"),
            }
        return found
