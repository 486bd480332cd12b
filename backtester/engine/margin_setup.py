"""From `[futures]` and the lake's leverage tables to how a run's positions are secured; and that in words."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from backtester.config.configs import BacktestConfig, FuturesSection, OwnLeverage
from backtester.core.errors import DataError, UsageError
from backtester.core.instruments import (
    UM,
    Holding,
    Instrument,
    InstrumentId,
    for_sides,
    holding_of,
    in_sleeve,
    split_holding,
)
from backtester.core.margin import FULL, MarginTerms
from backtester.core.numbers import MONEY_SCALE, decimal, exact_units
from backtester.core.time import day_of, format_time
from backtester.core.timeline import EVER, Timeline
from backtester.data.rules.bracket_tables import bracket_tables
from backtester.data.rules.lake_rules import LakeRules
from backtester.data.rules.values import Brackets
from backtester.engine.own_sections import own_sections
from backtester.engine.position_sides import listed_only
from backtester.sim.brackets import BracketTable
from backtester.sim.default_brackets import default_brackets

_USUAL_FEE = 2_000_000  # 2 %
_RATE_EXPONENT = 8
_HINT = "bt data rules import the venue's answer of leverageBracket"


class MarginPlan(NamedTuple):
    """How a run's futures are secured. brackets: by date, what leverage may be and what must be kept. sources: where
    they come from, by instrument; without one the built-in table holds. fees: of liquidation, rates in 1e-8.
    """

    terms: MarginTerms = FULL
    brackets: Mapping[InstrumentId, Timeline[BracketTable]] = {}
    fees: Mapping[InstrumentId, int] = {}
    sources: Mapping[InstrumentId, list[dict[str, str]]] = {}

    def for_sides(self, instruments: Mapping[InstrumentId, Instrument]) -> "MarginPlan":
        """Return the plan with what it says of instruments said of their sides as well."""
        terms = self.terms._replace(
            leverage=for_sides(instruments, self.terms.leverage),
            cross=frozenset(i for i, spec in instruments.items() if spec.listed in self.terms.cross),
            collateral={**self.terms.collateral, **_own_collateral(self.terms.collateral, instruments)},
        )
        return self._replace(
            terms=terms,
            brackets=for_sides(instruments, self.brackets),
            fees=for_sides(instruments, self.fees),
        )


def _own_collateral(
    collateral: Mapping[Holding, int], instruments: Mapping[InstrumentId, Instrument]
) -> dict[Holding, int]:
    """Return the collateral of wallets that belong to one strategy."""
    owners = {spec.sleeve for spec in instruments.values() if spec.sleeve}
    split = [(*split_holding(holding), rate) for holding, rate in collateral.items()]
    return {
        holding_of(in_sleeve(wallet, owner), asset): rate for wallet, asset, rate in split for owner in sorted(owners)
    }


def resolved_futures(config: BacktestConfig, ids: Iterable[InstrumentId], warnings: list[str]) -> FuturesSection:
    """Return `[futures]` with what each of the run's futures has of its own, under their identities; ids: the futures.

    Raises:
        UsageError: there are no futures, and the config asks for leverage; or `futures.instruments` is wrong.
    """
    section, ids = config.futures, list(ids)
    if not ids and (section.leverage > 1 or any((one.leverage or 1) > 1 for one in section.instruments.values())):
        raise UsageError("spot and options have no leverage", hint="--set futures.leverage=1, or --market um")
    own = own_sections("futures.instruments", section.instruments, ids, config.run.market, warnings, what="a future")
    return section.model_copy(update={"instruments": {str(i): own[i] for i in ids if i in own}})


def check_collateral(section: FuturesSection, instruments: Mapping[InstrumentId, Instrument]) -> None:
    """Refuse collateral that could secure nothing, or more than one thing.

    Args:
        section: resolved.
        instruments: of the run.

    Raises:
        UsageError: says why.
    """
    if not section.collateral:
        return
    futures = [spec for spec in instruments.values() if spec.market == UM]
    own = {
        spec.id: section.instruments.get(spec.id, OwnLeverage()).margin_mode or section.margin_mode for spec in futures
    }
    alone = [i for i, mode in own.items() if mode != "cross"]
    settles = sorted({spec.settle for spec in futures})
    if not futures:
        raise UsageError("futures.collateral secures um futures, and this run has none", hint="leave it out")
    if alone:
        raise UsageError(
            f"futures.collateral secures positions with cross margin, {', '.join(alone)} is isolated",
            hint="--set futures.margin_mode=cross",
        )
    if len(settles) > 1:
        raise UsageError(f"futures.collateral secures one asset, this run settles in {', '.join(settles)}")
    if settles[0] in section.collateral:
        raise UsageError(f"futures.collateral names {settles[0]}, in which the futures settle", hint="it counts whole")


def margin_plan(
    section: FuturesSection,
    ids: list[InstrumentId],
    lake: Path,
    coin_prices: Mapping[InstrumentId, int],
    start: int,
    end: int,
    *,
    strict: bool,
    warnings: list[str],
) -> MarginPlan:
    """Return how the positions of a run are secured.

    Args:
        section: resolved.
        ids: the futures that it trades.
        coin_prices: of those that settle in coin the price (1e-8) at which they begin, for built-in tables.
        start, end: the range, UTC µs.
        warnings: takes what a reader must know of tables that are not known, or not for all of the range.

    Raises:
        DataError: a leverage table is not sound; or none is known, leverage is more than 1, and the run is strict.
        UsageError: no table of the range allows the leverage, however small the position.
    """
    own = {i: section.instruments.get(i, OwnLeverage()) for i in ids}
    terms = MarginTerms(
        {i: one.leverage or section.leverage for i, one in own.items()},
        frozenset(i for i, one in own.items() if (one.margin_mode or section.margin_mode) == "cross"),
        collateral={
            holding_of(UM, asset): exact_units(rate, _RATE_EXPONENT) for asset, rate in section.collateral.items()
        },
    )
    rules = LakeRules(lake)
    brackets, sources = {}, {}
    for instrument in ids:
        found = bracket_tables(rules, instrument)
        brackets[instrument] = (
            found or Timeline([(EVER, default_brackets(coin_prices.get(instrument, MONEY_SCALE)))])
        ).between(start, end + 1)
        problem = ""
        if found is None:
            problem = f"{instrument}: no leverage table is known: a strict built-in one is assumed"
        else:
            known = Timeline((v.date, v) for v in rules.history(instrument, Brackets)).between(start, end + 1)
            sources[instrument] = [{"date": format_time(v.date), "source": v.source} for v in known.values]
            if found.dates[0] > start:
                day = day_of(found.dates[0])
                problem = (
                    f"{instrument}: the leverage table of {day} applied before that date: earlier ones are not known"
                )
        if problem and terms.leverage_of(instrument) > 1:
            if strict and found is None:
                raise DataError(f"{problem}; execution.strict refuses that", hint=_HINT)
            warnings.append(f"{problem} ({_HINT})")
        asked = "leverage" if own[instrument].leverage is None else f'instruments."{instrument}".leverage'
        asked = f"futures.{asked}={terms.leverage_of(instrument)}"
        check_leverage(instrument, asked, brackets[instrument], is_known=found is not None, warnings=warnings)
    return MarginPlan(terms, brackets, {i: _liquidation_fee(rules, i, start) for i in ids}, sources)


def check_leverage(
    instrument: InstrumentId, asked: str, tables: Timeline[BracketTable], *, is_known: bool, warnings: list[str]
) -> None:
    """Refuse a leverage with which nothing can be opened in all of a run, and say so where it is a part of it.

    Args:
        asked: the key that asks for it, and how much: `futures.leverage=100`.
        tables: those that hold in the run, by date.
        is_known: they come from the lake; else it is the built-in one.
        warnings: takes the dates whose tables allow less for any size.

    Raises:
        UsageError: no table allows it.
    """
    key, _, leverage = asked.rpartition("=")
    allowed = [max(bracket.max_leverage for bracket in table) for table in tables.values]
    too_low = [(date, most) for date, most in zip(tables.dates, allowed, strict=True) if most < int(leverage)]
    if not too_low:
        return
    if len(too_low) == len(allowed):
        dates = " and ".join(day_of(date) for date in tables.dates if is_known)
        whose = f"its leverage table of {dates}" if is_known else "the built-in leverage table (no other is known)"
        raise UsageError(
            f"{instrument}: {asked}, and {whose} allows at most {max(allowed)}x, for any size: nothing could be opened",
            hint=f"--set '{key}={max(allowed)}' or less" + ("" if is_known else f", or {_HINT}"),
        )
    said = ", ".join(f"that of {day_of(date)} at most {most}x" for date, most in too_low)
    warnings.append(f"{instrument}: {asked}, and not all of its leverage tables allow that, for any size: {said}")


def _liquidation_fee(rules: LakeRules, instrument: InstrumentId, time: int) -> int:
    """Return what the venue takes of what it liquidates, as it lists it; else the larger one that is usual."""
    listed = rules.symbol_at(instrument, time)
    contract = None if listed is None else listed.contract
    fee = None if contract is None else contract.liquidation_fee
    return _USUAL_FEE if fee is None else exact_units(fee, _RATE_EXPONENT)


def margin_in_words(plan: MarginPlan) -> str:
    """Return what leverage and margin are in force, instruments of the same together."""
    same: dict[str, list[str]] = {}
    for instrument in listed_only(plan.brackets):
        leverage = plan.terms.leverage_of(instrument)
        mode = "cross" if instrument in plan.terms.cross else "isolated"
        found = plan.sources.get(instrument)
        dates = " and ".join(one["date"].partition("T")[0] for one in found) if found else ""
        words = f"{leverage}x, {mode} margin, " + (
            f"leverage table of {dates}" if found else "a built-in leverage table"
        )
        same.setdefault(words, []).append(instrument)
    said = [f"{', '.join(instruments)}: {words}" for words, instruments in same.items()]
    for holding, rate in sorted(plan.terms.collateral.items()):
        percent = f"{decimal(rate, _RATE_EXPONENT - 2).normalize():f}%"
        said.append(f"{percent} of the worth of {split_holding(holding)[1]} in the um wallet secures as well")
    return "; ".join(said)


def margin_record(plan: MarginPlan) -> dict[str, Any]:
    """Return for run.json, by instrument: leverage, mode, and where the leverage tables come from."""
    return {
        str(i): {
            "leverage": plan.terms.leverage_of(i),
            "mode": "cross" if i in plan.terms.cross else "isolated",
            "brackets": plan.sources.get(i, "built in"),
        }
        for i in listed_only(plan.brackets)
    }
