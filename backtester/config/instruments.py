"""From config sections, known rules and what prices need to the instruments of a run and the rules that hold in it."""

import tomllib
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from backtester.config.configs import FeesSection
from backtester.config.instrument_section import FeesVersion, InstrumentSection, RulesVersion, TradingRules
from backtester.core.errors import UsageError
from backtester.core.instruments import (
    CM,
    OPTION,
    Asset,
    Instrument,
    InstrumentId,
    Scale,
    expiry_of,
    split_id,
    split_symbol,
)
from backtester.core.numbers import CEIL, FLOOR, MONEY_EXPONENT, decimal, decimals_of, exact_units, units_of
from backtester.core.rules import InstrumentRules, OrderLimits, VenueFilters, both
from backtester.core.time import parse_time
from backtester.core.timeline import EVER, Timeline

MAX_PRICE_DECIMALS = 12
_RATE_DECIMALS = 8
_SHIPPED = "shipped with the program"
_OPTION_UNITS = {"XRP": 100, "DOGE": 1000}
_COUNTS = ("max_orders", "max_algo_orders")
_NO_RULES: dict[str, Any] = {
    key: True if key.endswith("_at_market") else 0 if key in _COUNTS else Decimal(0)
    for key in TradingRules.model_fields
}


class KnownRules(NamedTuple):
    """What is known of an instrument outside the config. versions, fees: all of them, by date; empty when unknown."""

    base: str = ""
    quote: str = ""
    contract_size: Decimal | None = None
    versions: Sequence[RulesVersion] = ()
    fees: Sequence[FeesVersion] = ()


@cache
def _shipped_rules() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("backtester.config").joinpath("rules.toml").read_text(encoding="utf-8"))


def _versions(instrument: InstrumentId, section: InstrumentSection, known: KnownRules) -> Sequence[RulesVersion]:
    """Return the versions to go by: the config's, else the lake's, else the shipped one, else one that says nothing."""
    shipped = _shipped_rules().get(instrument)
    found = section.versions or known.versions
    if not found and shipped is not None:
        found = [RulesVersion.model_validate(shipped | {"source": _SHIPPED})]
    return found or [RulesVersion()]


def has_rules(instrument: InstrumentId, section: InstrumentSection, known: KnownRules) -> bool:
    """Say whether tick and lot of an instrument are declared."""
    return {"tick_size", "lot_size"} <= section.said().keys() | _versions(instrument, section, known)[0].said().keys()


def date_of(version: RulesVersion | FeesVersion) -> int:
    """Return from when on a version holds, UTC µs; without a date, ever."""
    return parse_time(version.date) if version.date else EVER


def resolved_section(
    instrument: InstrumentId,
    section: InstrumentSection,
    known: KnownRules,
    fees: FeesSection,
    *,
    price_decimals: int,
    start: int,
    end: int,
) -> InstrumentSection:
    """Return a section with every rule spelled out that holds from start to end, by date.

    The config's own value wins in every version. Without a rule, orders are rounded to eight decimals (COIN-M: to whole
    contracts) and nothing is too small or too large. Tick and lot are not guessed from the data: what comes after a run
    would change it. For the same reason the scales are fine enough for all known versions, not only for those of the
    range.

    Args:
        instrument: the identity.
        section: what the config says.
        known: what is known outside the config.
        fees: what the config says of fees; `spot_asset = "received"` needs the base asset's full eight decimals.
        price_decimals: decimals that the instrument's prices in the lake need.
        start, end: the range of the run, UTC µs. Its last tick is at `end`: what begins to hold there counts.

    Raises:
        UsageError: base and quote are not known, or a rule has more decimals than its scale.
    """
    finest = decimal(1, MONEY_EXPONENT if price_decimals <= MONEY_EXPONENT else MAX_PRICE_DECIMALS)
    own = section.said()
    history = [
        _complete(version, own, finest, _usual_lot(instrument)) for version in _versions(instrument, section, known)
    ]
    if own.keys() == _NO_RULES.keys():  # then every version says the same, whenever it held
        history = history[:1]
    base, quote = _assets(instrument, section, known)
    rules = Timeline((date_of(version), version) for version in history)
    return InstrumentSection(
        base=base,
        quote=quote,
        price_decimals=_price_decimals(instrument, section, history, price_decimals),
        qty_decimals=_qty_decimals(instrument, section, history, received=fees.spot_asset == "received"),
        contract_size=section.contract_size or known.contract_size or _usual_contract(instrument, base),
        versions=_distinct(rules.between(start, end + 1)),
        fees=_fees_versions(section, known, fees, start, end + 1),
    )


def _complete(version: RulesVersion, own: dict[str, Any], finest: Decimal, lot: Decimal) -> RulesVersion:
    """Return a version with every rule said: the config's own, else the version's, else none."""
    rules = _NO_RULES | version.said() | own
    rules["tick_size"] = rules["tick_size"] or finest
    rules["lot_size"] = rules["lot_size"] or lot
    if own.keys() == rules.keys():
        return RulesVersion(source="the config", **rules)
    source = "; ".join(filter(None, (version.source, f"{', '.join(own)} from the config" if own else "")))
    return RulesVersion(date=version.date, source=source, **rules)


def _distinct(versions: Timeline[RulesVersion]) -> tuple[RulesVersion, ...]:
    """Return the versions without those that say the same as the one before."""
    kept: list[RulesVersion] = []
    for version in versions.values:
        if not kept or kept[-1].said() != version.said():
            kept.append(version)
    return tuple(kept)


def _fees_versions(
    section: InstrumentSection, known: KnownRules, fees: FeesSection, start: int, end: int
) -> tuple[FeesVersion, ...]:
    """Return the fee rates by date: the section's own, else the lake's under what `[fees]` says; () for `[fees]`."""
    said = {key: rate for key in ("maker_bps", "taker_bps") if (rate := getattr(fees, key)) is not None}
    found = section.fees or [v.model_copy(update=said) for v in known.fees if len(said) < 2]
    if not found:
        return ()
    return Timeline((date_of(version), version) for version in found).between(start, end).values


def _assets(instrument: InstrumentId, section: InstrumentSection, known: KnownRules) -> tuple[str, str]:
    told = split_symbol(split_id(instrument)[1]) or ("", "")
    base, quote = section.base or known.base or told[0], section.quote or known.quote or told[1]
    if not base or not quote:
        raise UsageError(
            f"{instrument}: cannot tell base and quote asset from the symbol",
            hint=f"bt data rules import the exchangeInfo that lists it, or add to the config: "
            f'[instruments."{instrument}"] base = "...", quote = "..."',
        )
    return base, quote


def _usual_lot(instrument: InstrumentId) -> Decimal:
    """Return the step of quantities where none is known: COIN-M trades whole contracts."""
    return Decimal(1) if split_id(instrument)[0] == CM else decimal(1, MONEY_EXPONENT)


def _usual_contract(instrument: InstrumentId, base: str) -> Decimal | None:
    """Return the size of a contract where none is listed: the venue's COIN-M contracts are of 100 USD of BTC, else of
    10; its options of one base unit, of XRP 100, of DOGE 1000.
    """
    market = split_id(instrument)[0]
    if market == OPTION:
        return Decimal(_OPTION_UNITS.get(base, 1))
    if market != CM:
        return None
    return Decimal(100 if base == "BTC" else 10)


def _price_decimals(
    instrument: InstrumentId, section: InstrumentSection, history: Sequence[RulesVersion], of_data: int
) -> int:
    needed = max(of_data, *(decimals_of(version.tick_size or Decimal(0)) for version in history))
    if section.price_decimals is None:
        if needed > MAX_PRICE_DECIMALS:
            raise UsageError(
                f"{instrument}: its prices need {needed} decimals, at most {MAX_PRICE_DECIMALS} are possible"
            )
        return needed
    if section.price_decimals < of_data:
        raise UsageError(f"{instrument}: its prices need {of_data} decimals, price_decimals is less")
    return section.price_decimals


def _qty_decimals(
    instrument: InstrumentId, section: InstrumentSection, history: Sequence[RulesVersion], *, received: bool
) -> int:
    steps = [getattr(v, key) for v in history for key in ("lot_size", "min_qty", "market_lot_size", "market_min_qty")]
    needed = max(decimals_of(step) for step in steps)
    if received and split_id(instrument)[0] == "spot":
        needed = max(needed, MONEY_EXPONENT)
    chosen = needed if section.qty_decimals is None else section.qty_decimals
    if chosen < needed or needed > MONEY_EXPONENT:
        raise UsageError(
            f"{instrument}: quantities need {needed} decimals, qty_decimals is {chosen} "
            f"and at most {MONEY_EXPONENT} are possible"
        )
    return chosen


def instrument_of(instrument: InstrumentId, section: InstrumentSection) -> Instrument:
    """Return the instrument that a resolved section describes; of an option the section of its chain.

    Raises:
        UsageError: an option's contract is not of whole base units.
    """
    if split_id(instrument)[0] == OPTION and (section.contract_size or Decimal(0)) % 1:
        raise UsageError(f"{instrument}: a contract of {section.contract_size} {section.base} is not of whole units")
    assert section.price_decimals is not None
    assert section.qty_decimals is not None
    market, symbol = split_id(instrument)
    return Instrument(
        id=instrument,
        market=market,
        symbol=symbol,
        base=Asset(section.base or ""),
        quote=Asset(section.quote or ""),
        scale=Scale(section.price_decimals, section.qty_decimals),
        contract_units=exact_units(section.contract_size or Decimal(0), MONEY_EXPONENT),
        expiry=expiry_of(symbol),
    )


def rules_of(spec: Instrument, section: InstrumentSection) -> Timeline[InstrumentRules]:
    """Return the rules of a resolved section in the instrument's integers, by date.

    Raises:
        UsageError: a step does not fit its scale.
    """
    return Timeline((date_of(version), _in_units(spec, version)) for version in section.versions)


def _in_units(spec: Instrument, version: RulesVersion) -> InstrumentRules:
    price, qty = spec.scale

    def exact(key: str, exponent: int) -> int:
        try:
            return exact_units(getattr(version, key), exponent)
        except ValueError as error:
            raise UsageError(f'instruments."{spec.id}".{key}: {error}') from None

    def limits(prefix: str, at_market: bool) -> OrderLimits:
        # Quantities are whole lots, so a limit between two of the scale's units is the same limit at the unit inside.
        lot, least, most = (getattr(version, prefix + key) for key in ("lot_size", "min_qty", "max_qty"))
        held = {key: not at_market or getattr(version, f"{key}_at_market") for key in ("min_notional", "max_notional")}
        return OrderLimits(
            exact(f"{prefix}lot_size", qty) if lot else 0,
            units_of(least, qty, CEIL),
            units_of(most, qty, FLOOR),
            *(exact(key, MONEY_EXPONENT) if held[key] else 0 for key in ("min_notional", "max_notional")),
        )

    resting = limits("", at_market=False)
    return InstrumentRules(
        exact("tick_size", price),
        both(resting, resting),
        both(resting, limits("market_", at_market=True)),
        _filters(spec, version),
    )


def _filters(spec: Instrument, version: RulesVersion) -> VenueFilters | None:
    """Return the filters that are on; as with quantities, a limit between two units is the one at the unit inside."""
    price, qty = spec.scale
    bid_down, bid_up, ask_down, ask_up = (
        exact_units(getattr(version, f"{side}_multiplier_{way}"), _RATE_DECIMALS)
        for side in ("bid", "ask")
        for way in ("down", "up")
    )
    found = VenueFilters(
        min_price_units=units_of(version.min_price or Decimal(0), price, CEIL),
        max_price_units=units_of(version.max_price or Decimal(0), price, FLOOR),
        bid_down=bid_down,
        bid_up=bid_up,
        ask_down=ask_down,
        ask_up=ask_up,
        max_orders=version.max_orders or 0,
        max_algo_orders=version.max_algo_orders or 0,
        max_position_units=units_of(version.max_position or Decimal(0), qty, FLOOR),
    )
    return found if any(found) else None
