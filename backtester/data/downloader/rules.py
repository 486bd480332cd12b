"""The rules of the sanitiser, by name: what each refuses, repairs or flags. Counters and ledgers use these names."""

from dataclasses import dataclass
from typing import Final, Literal

from backtester.core.time import MINUTE, SECOND


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. refuse: the row does not enter the lake. repair: the row is mended. flag: it is kept and counted."""

    name: str
    action: Literal["refuse", "repair", "flag"]
    says: str


RULES: Final[dict[str, Rule]] = {
    rule.name: rule
    for rule in (
        Rule("wrong_columns", "refuse", "the line does not split into the file's columns"),
        Rule("not_a_time", "refuse", "a time is no epoch in s, ms or µs and no ISO date"),
        Rule("not_a_number", "refuse", "a number or flag cannot be read, or a required one is missing"),
        Rule("not_finite", "refuse", "a number is infinite"),
        Rule("not_positive", "refuse", "a price is zero or negative"),
        Rule("negative", "refuse", "a volume, count or id is negative"),
        Rule("low_above", "refuse", "low is above open or close"),
        Rule("high_below", "refuse", "high is below open or close"),
        Rule("outside_dates", "refuse", "the time is outside the dates in the file's name"),
        Rule("off_grid", "refuse", "the open time is off the timeframe's grid"),
        Rule("conflicting", "refuse", "two rows of one identity differ; all of that identity are refused"),
        Rule("rows_sorted", "repair", "a row stood after a later one"),
        Rule("duplicates_dropped", "repair", "a row was there more than once"),
        Rule("prices_rounded", "repair", "prices were rounded because the user asked for it"),
        Rule("jumps_flagged", "flag", "a close is more than 5 times, or less than a fifth of, the one before"),
    )
}

JUMP: Final = 5.0

# How far outside its file's dates a row may lie: the last metrics row of a day is at the following midnight, funding
# times jitter by milliseconds.
DATE_SLACK: Final = {"metrics": 5 * MINUTE, "fundingRate": SECOND}


def dropped(rule: str) -> str:
    """Return the ledger's name for rows that were left out because of a rule."""
    return f"dropped_{rule}"
