"""`[options]`: how options are traded, and what the venue does not say in so many words."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, model_validator

from backtester.config.fields import Bps, Exact, Section

Fraction = Annotated[Exact, Field(ge=0, le=1, decimal_places=8)]


class OptionsSection(Section):
    """How options are traded. What is not said by the venue in so many words can be changed here: docs/options.md.

    allow_short: options may be written; what a short binds is (max(initial x index - out of the money, min_initial x
    index) + mark) x unit per contract, and what it must keep the same with the maintenance pair: fractions.
    exercise_bps, liquidation_bps: of the underlying, at expiry in the money, and when a short is liquidated.
    fee_cap_pct: the most that a fee may be, percent of the premium, or of the payoff.
    """

    allow_short: bool = False
    initial_margin: Fraction = Decimal("0.15")
    min_initial_margin: Fraction = Decimal("0.1")
    maintenance_margin: Fraction = Decimal("0.075")
    min_maintenance_margin: Fraction = Decimal("0.05")
    exercise_bps: Annotated[Bps, Field(ge=0)] = Decimal("1.5")
    liquidation_bps: Annotated[Bps, Field(ge=0)] = Decimal(19)
    fee_cap_pct: Annotated[Exact, Field(ge=0, le=100, decimal_places=4)] = Decimal(10)

    @model_validator(mode="after")
    def _margins_agree(self) -> "OptionsSection":
        if self.maintenance_margin > self.initial_margin or self.min_maintenance_margin > self.min_initial_margin:
            raise ValueError("what a short must keep cannot be more than what it needs at first")
        return self
