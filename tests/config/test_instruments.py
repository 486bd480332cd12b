"""From a config section and what is known elsewhere to the rules that hold in a run."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import dictionaries, fixed_dictionaries, integers, sampled_from
from pydantic import ValidationError

from backtester.config.configs import FeesSection
from backtester.config.instrument_section import FeesVersion, InstrumentSection, RulesVersion, TradingRules
from backtester.config.instruments import KnownRules, has_rules, instrument_of, resolved_section, rules_of
from backtester.core.errors import UsageError
from backtester.core.instruments import InstrumentId
from backtester.core.time import DAY, format_time, parse_time

B = InstrumentId("spot:BTCUSDT")
UNKNOWN = InstrumentId("spot:XYZUSDT")
START, END = parse_time("2024-01-01"), parse_time("2024-02-01")


def resolved(
    instrument: InstrumentId = UNKNOWN,
    section: InstrumentSection | None = None,
    known: KnownRules | None = None,
    fees: FeesSection | None = None,
    **options: Any,
) -> InstrumentSection:
    given_ = {"price_decimals": 2, "start": START, "end": END, **options}
    return resolved_section(
        instrument, section or InstrumentSection(), known or KnownRules(), fees or FeesSection(), **given_
    )


def version(date: str, tick: str = "0.01", lot: str = "0.001", **rules: Any) -> RulesVersion:
    return RulesVersion.model_validate({"date": date, "tick_size": tick, "lot_size": lot, **rules})


def test_the_shipped_rules_are_one_version_with_its_date() -> None:
    [only] = resolved(B).versions
    assert (only.date, only.source, only.min_notional) == ("2024-09-08", "shipped with the program", 5)


def test_the_lakes_rules_stand_before_the_shipped_ones_and_the_configs_before_both() -> None:
    known = KnownRules(versions=[version("2023-01-01", min_notional=10)])
    assert resolved(B, known=known).versions[0].min_notional == 10
    own = InstrumentSection(versions=(version("2022-01-01", min_notional=7),))
    assert resolved(B, own, known).versions[0].min_notional == 7


def test_when_the_config_says_everything_no_date_matters() -> None:
    said = dict.fromkeys(TradingRules.model_fields, "1") | {
        "min_notional_at_market": True,
        "max_notional_at_market": True,
    }
    known = KnownRules(versions=[version("2023-01-01"), version("2024-01-15")])
    [only] = resolved(B, InstrumentSection.model_validate(said), known).versions
    assert (only.date, only.source) == ("", "the config")


def test_versions_that_a_value_of_the_config_makes_equal_are_one() -> None:
    known = KnownRules(versions=[version("2023-01-01", min_notional=10), version("2024-01-15", min_notional=5)])
    [only] = resolved(B, InstrumentSection(min_notional=Decimal(7)), known).versions
    assert (only.date, only.min_notional, only.source) == ("2023-01-01", 7, "min_notional from the config")


def test_without_any_rules_orders_are_rounded_to_eight_decimals() -> None:
    section = resolved()
    assert not has_rules(UNKNOWN, InstrumentSection(), KnownRules())
    rules = rules_of(instrument_of(UNKNOWN, section), section).at(START)
    assert (section.price_decimals, section.qty_decimals) == (8, 8)
    assert (rules.tick_units, rules.resting, rules.at_market) == (1, (1, 1, 0, 0, 0), (1, 1, 0, 0, 0))


def test_scales_are_fine_enough_for_all_known_versions_even_outside_the_range() -> None:
    known = KnownRules(versions=[version("2023-01-01", "0.1", "0.01"), version("2025-01-01", "0.0001", "0.00001")])
    section = resolved(known=known)
    assert (section.price_decimals, section.qty_decimals, len(section.versions)) == (4, 5, 1)


def test_a_limit_between_two_units_is_the_same_limit_at_the_unit_inside() -> None:
    known = KnownRules(versions=[version("2023-01-01", lot="0.1", market_max_qty="2.5999", max_qty="7.77")])
    section = resolved(known=known)
    rules = rules_of(instrument_of(UNKNOWN, section), section).at(START)
    assert (section.qty_decimals, rules.resting.max_qty_units, rules.at_market.max_qty_units) == (1, 77, 25)


def test_a_known_symbol_needs_no_base_and_quote() -> None:
    odd = InstrumentId("spot:ABCDEF")
    section = resolved(odd, known=KnownRules(base="ABC", quote="DEF", versions=[version("2023-01-01")]))
    assert (section.base, section.quote) == ("ABC", "DEF")
    with pytest.raises(UsageError, match="cannot tell base and quote") as caught:
        resolved(odd)
    assert "bt data rules import" in caught.value.hint


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"lot_size": "0.000000001"}, "quantities need 9 decimals"),
        ({"tick_size": "0.0000000000001"}, "its prices need 13 decimals"),
        ({"qty_decimals": 2, "lot_size": "0.001"}, "quantities need 3 decimals, qty_decimals is 2"),
        ({"price_decimals": 1}, "its prices need 2 decimals, price_decimals is less"),
    ],
)
def test_what_no_scale_can_hold_is_refused(rules: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        resolved(section=InstrumentSection.model_validate(rules))


@pytest.mark.parametrize("key", ["versions", "fees"])
def test_two_versions_of_one_date_are_refused(key: str) -> None:
    one = {"date": "2024-01-01", "maker_bps": 1, "taker_bps": 1} if key == "fees" else {"date": "2024-01-01"}
    with pytest.raises(ValidationError, match=f"two {key} have one date"):
        InstrumentSection.model_validate({key: [one, one]})


@pytest.mark.parametrize(
    ("said", "rates"),
    [({}, [(1, 2), (3, 4)]), ({"maker_bps": 9}, [(9, 2), (9, 4)]), ({"maker_bps": 9, "taker_bps": 9}, [])],
)
def test_fee_rates_of_the_config_lie_over_those_of_the_lake(said: dict[str, int], rates: list[tuple[int, int]]) -> None:
    known = KnownRules(
        fees=[
            FeesVersion(date="2023-01-01", maker_bps=Decimal(1), taker_bps=Decimal(2)),
            FeesVersion(date="2024-01-15", maker_bps=Decimal(3), taker_bps=Decimal(4)),
            FeesVersion(date="2025-01-15", maker_bps=Decimal(5), taker_bps=Decimal(6)),
        ]
    )
    found = resolved(known=known, fees=FeesSection.model_validate(said)).fees
    assert [(v.maker_bps, v.taker_bps) for v in found] == rates


SIZES = sampled_from([Decimal(text) for text in ("0", "0.001", "0.25", "3")])
RULES = fixed_dictionaries({}, optional=dict.fromkeys(["tick_size", "lot_size", "min_qty", "min_notional"], SIZES))


@given(history=dictionaries(integers(-40, 40), RULES, max_size=5), own=RULES, time=integers(0, 31), end=integers(1, 31))
def test_a_resolved_section_gives_the_rules_of_each_time_and_resolves_to_itself(
    history: dict[int, dict[str, Decimal]], own: dict[str, Decimal], time: int, end: int
) -> None:
    time = min(time, end)
    known = KnownRules(
        versions=[RulesVersion(date=format_time(START + day * DAY), **rules) for day, rules in sorted(history.items())]
    )
    section = resolved(section=InstrumentSection(**own), known=known, end=START + end * DAY)
    assert resolved(section=section, known=KnownRules(versions=[version("2020-01-01")])) == section
    days = [day for day in history if day <= time]
    held = (history[max(days) if days else min(history)] if history else {}) | own
    rules = rules_of(instrument_of(UNKNOWN, section), section).at(START + time * DAY)
    q = Decimal(10) ** (section.qty_decimals or 0)
    lot = held.get("lot_size") or Decimal("1e-8")
    assert rules.resting.lot_units == lot * q
    assert rules.resting.min_qty_units == max(lot, held.get("min_qty", Decimal(0))) * q
    assert rules.at_market.min_notional_units == held.get("min_notional", 0) * 10**8
    assert rules.tick_units == (held.get("tick_size") or Decimal("1e-8")) * 10 ** (section.price_decimals or 0)
