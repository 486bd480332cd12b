"""How a trade ends when its target does not end it: a plan, as data."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ExitPlan(BaseModel):
    """The exits of every trade of a signal. Distances are measured from the close at which the entry was decided.

    stop_pct: the stop's distance, percent; or the targets say `stop`, a price a row; without both, trail_pct.
    R is the distance to the stop. ladder: partial exits, nearest first: (how far in favour, which share of the
    trade). ladder_in: whether that far is counted in R or in percent. break_even_r: once the price has gone so many R
    in favour, the stop moves to the average price paid. trail_pct: the stop follows the best price so far at this
    distance, percent; or the targets say `trail`. trail_after_r: only once the price has gone so many R in favour.
    max_candles: at whose close the trade ends at the latest. cooldown: candles after a trade without an entry.
    one_trade_per_tag: a tag that has had a trade gets no other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stop_pct: Annotated[float, Field(gt=0, lt=100)] | None = None
    ladder: tuple[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0, le=1)]], ...] = ()
    ladder_in: Literal["r", "percent"] = "r"
    break_even_r: Annotated[float, Field(gt=0)] | None = None
    trail_pct: Annotated[float, Field(gt=0, lt=100)] | None = None
    trail_after_r: Annotated[float, Field(ge=0)] = 0.0
    max_candles: Annotated[int, Field(ge=1)] | None = None
    cooldown: Annotated[int, Field(ge=0)] = 0
    one_trade_per_tag: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "ExitPlan":
        if sum(share for _, share in self.ladder) > 1 + 1e-12:
            raise ValueError(f"the shares of the ladder sum to {sum(share for _, share in self.ladder)}, at most 1")
        if [far for far, _ in self.ladder] != sorted(far for far, _ in self.ladder):
            raise ValueError("the ladder names its nearest exit first")
        return self

    def needs_stop(self) -> str:
        """Return which part of the plan means nothing without a stop; empty when none does."""
        for name, used in (
            ("ladder in R", bool(self.ladder) and self.ladder_in == "r"),
            ("break_even_r", self.break_even_r is not None),
            ("trail_after_r", self.trail_after_r > 0),
        ):
            if used:
                return name
        return ""
