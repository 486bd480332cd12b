"""Which rules and fee rates hold in a run: the config's, else the lake's, else those that ship; and that in words."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from backtester.config.configs import BacktestConfig
from backtester.config.instrument_section import FeesVersion, InstrumentSection, RulesVersion
from backtester.config.instruments import KnownRules, date_of, has_rules, resolved_section
from backtester.core.instruments import (
    CM,
    OPTION,
    InstrumentId,
    instrument_id,
    option_name,
    split_id,
    split_symbol,
)
from backtester.core.numbers import RATE_SCALE, decimal, exact_units
from backtester.core.time import day_of, format_time
from backtester.data.rules.lake_rules import LakeRules
from backtester.data.rules.values import FeeRates, SymbolRules
from backtester.engine.own_sections import own_sections

_DATES_SHOWN = 3
_OF_ALL_CONTRACTS = ("tick_size", "lot_size", "min_qty", "max_qty")
_RATE_DECIMALS = len(str(RATE_SCALE)) - 1
_BPS_DECIMALS = _RATE_DECIMALS - 4

Version = RulesVersion | FeesVersion


def applied_sections(
    config: BacktestConfig, price_decimals: Mapping[InstrumentId, int], start: int, end: int, warnings: list[str]
) -> dict[InstrumentId, InstrumentSection]:
    """Return the section of each instrument with everything spelled out that holds from start to end.

    Args:
        config: what was asked; its lake's rules are read.
        price_decimals: of each instrument of the run, what its prices need.
        start, end: UTC µs.
        warnings: takes what a reader must know of rules that are not known for all of the range.

    Raises:
        UsageError: a section is wrong, or base and quote of a symbol are not known.
        DataError: the lake's rules are damaged.
    """
    lake = LakeRules(Path(config.data.dir))
    sections = {}
    own = own_sections("instruments", config.instruments, price_decimals.keys(), config.run.market, warnings)
    for instrument, decimals in price_decimals.items():
        section = own.get(instrument, InstrumentSection())
        known = known_rules(lake, instrument)
        if not has_rules(instrument, section, known):
            warnings.append(
                f"{instrument}: no trading rules are known: orders are not rounded to a tick or lot, none is too "
                f'small; bt data rules import them, or give them in [instruments."{instrument}"]'
            )
        sections[instrument] = resolved_section(
            instrument, section, known, config.fees, price_decimals=decimals, start=start, end=end
        )
    warnings.extend(_too_young("rules", {i: s.versions for i, s in sections.items()}, start))
    warnings.extend(_too_young("fee rates", {i: s.fees for i, s in sections.items() if s.fees}, start))
    return sections


def known_rules(lake: LakeRules, instrument: InstrumentId) -> KnownRules:
    """Return what a lake knows of an instrument, in the words of a config; of an option chain what it knows of the
    first contract that is listed.
    """
    symbol, fees = lake.history(instrument, SymbolRules), lake.history(instrument, FeeRates)
    if not symbol and split_id(instrument)[0] == OPTION:
        return _known_of_chain(lake, instrument)
    if not symbol and not fees:
        return KnownRules()
    return KnownRules(
        base=symbol[-1].value.base if symbol else "",
        quote=symbol[-1].value.quote if symbol else "",
        contract_size=symbol[-1].value.contract_size if symbol and split_id(instrument)[0] in (CM, OPTION) else None,
        versions=[RulesVersion(date=format_time(v.date), source=v.source, **v.value.order_rules()) for v in symbol],
        fees=[
            FeesVersion(
                date=format_time(v.date),
                source=v.source,
                **{
                    f"{side}_bps": decimal(exact_units(getattr(v.value, side), _RATE_DECIMALS), _BPS_DECIMALS)
                    for side in ("maker", "taker")
                },
            )
            for v in fees
        ],
    )


def _known_of_chain(lake: LakeRules, chain: InstrumentId) -> KnownRules:
    """Return steps, quantities and unit of a contract of a chain: those are of all; its price limits are its own."""
    base, quote = split_symbol(split_id(chain)[1]) or ("", "")
    for symbol in lake.market(OPTION).symbols:
        name = option_name(symbol)
        found = lake.history(instrument_id(OPTION, symbol), SymbolRules) if name and name.base == base else []
        if not found or found[-1].value.quote != quote:
            continue
        return KnownRules(
            base=base,
            quote=quote,
            contract_size=found[-1].value.contract_size,
            versions=[
                RulesVersion(
                    date=format_time(v.date),
                    source=v.source,
                    **{key: rule for key, rule in v.value.order_rules().items() if key in _OF_ALL_CONTRACTS},
                )
                for v in found
            ],
        )
    return KnownRules()


def _too_young(what: str, versions: Mapping[InstrumentId, Iterable[Version]], start: int) -> list[str]:
    """Return a warning per date that is later than the start of a run and yet the first that is known."""
    by_day: dict[str, list[str]] = {}
    for instrument, known in versions.items():
        first = date_of(next(iter(known)))
        if first > start:
            by_day.setdefault(day_of(first), []).append(instrument)
    return [
        f"{', '.join(found)}: {what} of {day} applied before that date: earlier {what} are not known"
        for day, found in sorted(by_day.items())
    ]


def applied_versions(config: BacktestConfig) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Return by instrument the date and source of each version that a resolved config applies."""
    return {
        instrument: {
            what: [{"date": version.date, "source": version.source} for version in versions]
            for what, versions in (("rules", section.versions), ("fees", section.fees))
        }
        for instrument, section in config.instruments.items()
    }


def rules_in_words(config: BacktestConfig) -> str:
    """Return which versions of the rules a resolved config applies, instruments with the same dates together."""
    return _in_words({i: s.versions for i, s in config.instruments.items()}, "rules")


def fees_in_words(config: BacktestConfig) -> str:
    """Return which instruments of a resolved config pay rates of their own, and of when these are; else nothing."""
    return _in_words({i: s.fees for i, s in config.instruments.items() if s.fees}, "rates")


def _in_words(versions: Mapping[str, Iterable[Version]], what: str) -> str:
    same: dict[str, list[str]] = {}
    for instrument, known in versions.items():
        same.setdefault(_dates_in_words(list(known), what), []).append(instrument)
    return "; ".join(f"{', '.join(instruments)}: {words}" for words, instruments in same.items())


def _dates_in_words(versions: list[Version], what: str) -> str:
    first = versions[0]
    if not first.date and len(versions) == 1:
        return f"{what} of {first.source} applied" if first.source else f"no {what} known"
    days = [day_of(date_of(version)) if version.date else "ever" for version in versions]
    if len(days) > _DATES_SHOWN:
        return f"{what} of {len(days)} dates from {days[0]} to {days[-1]} applied"
    return f"{what} of {' and '.join(days)} applied" + (f" ({first.source})" if len(days) == 1 else "")
