"""Leverage tables of the lake as the exchange's rules take them: integers, dated, checked."""

from typing import Final

from backtester.core.errors import DataError
from backtester.core.numbers import MONEY_EXPONENT, exact_units
from backtester.core.timeline import Timeline
from backtester.data.rules.lake_rules import LakeRules
from backtester.data.rules.values import Brackets
from backtester.sim.brackets import Bracket, BracketTable, table_fault

_RATE_EXPONENT: Final = 8


def bracket_tables(lake: LakeRules, instrument: str) -> Timeline[BracketTable] | None:
    """Return an instrument's leverage tables by date, UTC µs; None when the lake has none.

    Raises:
        DataError: a table is not sound, or has more than 8 decimals.
    """
    history = lake.history(instrument, Brackets)
    if not history:
        return None
    return Timeline((one.date, bracket_table(one.value, f"{instrument} in {one.source}")) for one in history)


def bracket_table(brackets: Brackets, where: str) -> BracketTable:
    """Return a table in units: sizes and deductions in 1e-8 (of quote for um, of coin for cm), rates in 1e-8.

    Args:
        brackets: as the venue says it.
        where: names it in errors.

    Raises:
        DataError: it is not sound (`sim.brackets.table_fault`), or has more than 8 decimals.
    """
    try:
        table = tuple(
            Bracket(
                exact_units(step.floor, MONEY_EXPONENT),
                exact_units(step.cap, MONEY_EXPONENT),
                step.max_leverage,
                exact_units(step.maintenance_rate, _RATE_EXPONENT),
                exact_units(step.deduction, MONEY_EXPONENT),
            )
            for step in brackets.steps
        )
    except ValueError as error:
        raise _unsound(where, str(error)) from None
    fault = table_fault(table)
    if fault:
        raise _unsound(where, fault)
    return table


def _unsound(where: str, why: str) -> DataError:
    return DataError(
        f"the leverage table of {where} cannot be used: {why}",
        hint="import a correct answer in its place: bt data rules import FILE --replace",
    )
