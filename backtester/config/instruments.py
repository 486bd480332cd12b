"""From config sections, shipped rules and what prices need to the instruments of a run."""

import tomllib
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from backtester.config.configs import InstrumentSection
from backtester.core.errors import UsageError
from backtester.core.instruments import Asset, Instrument, InstrumentId, InstrumentRules, Scale, split_id, split_symbol
from backtester.core.numbers import MONEY_EXPONENT, decimal, decimals_of, exact_units

MAX_PRICE_DECIMALS = 12


@cache
def _shipped_rules() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("backtester.config").joinpath("rules.toml").read_text(encoding="utf-8"))


def has_rules(instrument: InstrumentId, section: InstrumentSection) -> bool:
    """Say whether tick and lot of an instrument are declared."""
    shipped = _shipped_rules().get(instrument, {})
    return all(getattr(section, key) is not None or key in shipped for key in ("tick_size", "lot_size"))


def resolved_section(
    instrument: InstrumentId, section: InstrumentSection, *, price_decimals: int, fee_from_received: bool
) -> InstrumentSection:
    """Return a section with every rule spelled out: the config's, else the shipped one, else none.

    Without a rule, orders are rounded to eight decimals and nothing is too small or too large. Tick and lot are not
    guessed from the data: what comes after a run would change it.

    Args:
        instrument: the identity.
        section: what the config says.
        price_decimals: decimals that the instrument's prices in the lake need.
        fee_from_received: whether fees are taken in the base asset, which needs its full eight decimals.

    Raises:
        UsageError: base and quote are not known, or a rule has more decimals than its scale.
    """
    rules: dict[str, Any] = {
        "tick_size": decimal(1, MONEY_EXPONENT if price_decimals <= MONEY_EXPONENT else MAX_PRICE_DECIMALS),
        "lot_size": decimal(1, MONEY_EXPONENT),
        "min_qty": Decimal(0),
        "max_qty": Decimal(0),
        "min_notional": Decimal(0),
        "max_notional": Decimal(0),
    }
    rules.update({key: Decimal(value) for key, value in _shipped_rules().get(instrument, {}).items()})
    rules.update({key: value for key, value in section.model_dump().items() if value is not None})
    market, symbol = split_id(instrument)
    assets = split_symbol(symbol)
    if assets is not None:
        rules.setdefault("base", assets[0])
        rules.setdefault("quote", assets[1])
    if not rules.get("base") or not rules.get("quote"):
        raise UsageError(
            f"{instrument}: cannot tell base and quote asset from the symbol",
            hint=f'add to the config: [instruments."{instrument}"] base = "...", quote = "..."',
        )
    needed_qty = max(decimals_of(rules[key]) for key in ("lot_size", "min_qty", "max_qty"))
    if fee_from_received and market == "spot":
        needed_qty = MONEY_EXPONENT
    rules.setdefault("price_decimals", max(price_decimals, decimals_of(rules["tick_size"])))
    rules.setdefault("qty_decimals", needed_qty)
    if rules["qty_decimals"] < needed_qty or needed_qty > MONEY_EXPONENT:
        raise UsageError(
            f"{instrument}: quantities need {needed_qty} decimals, qty_decimals is {rules['qty_decimals']} "
            f"and at most {MONEY_EXPONENT} are possible"
        )
    if rules["price_decimals"] < price_decimals:
        raise UsageError(f"{instrument}: its prices need {price_decimals} decimals, price_decimals is less")
    return InstrumentSection(**rules)


def instrument_of(instrument: InstrumentId, section: InstrumentSection) -> Instrument:
    """Return the instrument that a resolved section describes.

    Raises:
        UsageError: a rule does not fit its scale.
    """
    assert section.price_decimals is not None
    assert section.qty_decimals is not None
    market, symbol = split_id(instrument)
    p, q = section.price_decimals, section.qty_decimals

    def units(key: str, exponent: int) -> int:
        try:
            return exact_units(getattr(section, key), exponent)
        except ValueError as error:
            raise UsageError(f'instruments."{instrument}".{key}: {error}') from None

    return Instrument(
        id=instrument,
        market=market,
        symbol=symbol,
        base=Asset(section.base or ""),
        quote=Asset(section.quote or ""),
        scale=Scale(p, q),
        rules=InstrumentRules(
            tick_units=units("tick_size", p),
            lot_units=units("lot_size", q),
            min_qty_units=units("min_qty", q),
            max_qty_units=units("max_qty", q),
            min_notional_units=units("min_notional", MONEY_EXPONENT),
            max_notional_units=units("max_notional", MONEY_EXPONENT),
        ),
    )
