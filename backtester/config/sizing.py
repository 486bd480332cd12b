"""[sizing]: how large an entry is that does not say it itself."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from backtester.config.fields import Exact, Section

Share = Annotated[Exact, Field(gt=0, le=100, decimal_places=6)]
_NEEDS: dict[str, tuple[str, ...]] = {
    "fixed_qty": ("qty",),
    "fixed_quote": ("quote",),
    "percent_equity": ("percent",),
    "risk_per_trade": ("percent",),
    "volatility_target": ("target_percent",),
}


class SizingRules(Section):
    """How large an entry is that does not say it itself. A model reads its own keys, and max_percent.

    qty, quote: of fixed_qty and fixed_quote. percent: of equity, to buy (percent_equity) or to lose at the stop
    (risk_per_trade). stop_atr: the distance of an entry without a stop of its own, in average true ranges; 0 refuses
    it. include_costs: count fees and slippage as lost. target_percent: volatility a year; measure and window (candles):
    how it is measured. fraction: of Kelly's, from win_rate and payoff, or from the last `window` trades; start_percent:
    of equity, until there are min_trades. max_percent: the most of equity that any model takes.
    """

    model: Literal[
        "none", "fixed_qty", "fixed_quote", "percent_equity", "risk_per_trade", "volatility_target", "kelly"
    ] = "none"
    qty: Annotated[Exact, Field(gt=0)] | None = None
    quote: Annotated[Exact, Field(gt=0)] | None = None
    percent: Share | None = None
    stop_atr: Annotated[Exact, Field(ge=0, le=1_000)] = Decimal(0)
    include_costs: bool = True
    target_percent: Annotated[Exact, Field(gt=0, le=10_000, decimal_places=6)] | None = None
    measure: Literal["realised", "atr"] = "realised"
    window: Annotated[int, Field(ge=2, le=10_000)] = 20
    fraction: Annotated[Exact, Field(gt=0, le=1, decimal_places=8)] = Decimal("0.5")
    win_rate: Annotated[Exact, Field(gt=0, lt=1, decimal_places=8)] | None = None
    payoff: Annotated[Exact, Field(gt=0, le=10**6, decimal_places=8)] | None = None
    min_trades: Annotated[int, Field(ge=1)] = 20
    start_percent: Share | None = None
    max_percent: Share = Decimal(100)

    @property
    def measures(self) -> str:
        """What it must know of the candles: "atr", "realised", or nothing."""
        if self.model == "volatility_target":
            return self.measure
        return "atr" if self.model == "risk_per_trade" and self.stop_atr else ""

    @model_validator(mode="after")
    def _complete(self) -> "SizingRules":
        missing = [key for key in _NEEDS.get(self.model, ()) if getattr(self, key) is None]
        if missing:
            raise ValueError(f"the model {self.model} needs {missing[0]}")
        if self.model != "kelly":
            return self
        if (self.win_rate is None) != (self.payoff is None):
            raise ValueError("the model kelly needs both win_rate and payoff, or neither to learn them from trades")
        if self.win_rate is None and self.start_percent is None:
            raise ValueError("the model kelly needs start_percent until it has min_trades, or win_rate and payoff")
        if self.win_rate is None and self.min_trades > self.window:
            raise ValueError(f"min_trades ({self.min_trades}) may not exceed window ({self.window}) trades")
        return self


class SizingSection(SizingRules):
    """How large entries are. instruments: other rules for some; what they leave out is as above."""

    instruments: dict[str, SizingRules] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _own_rules_build_on_these(cls, data: Any) -> Any:
        own = data.get("instruments") if isinstance(data, dict) else None
        if not isinstance(own, dict):
            return data
        common = {key: value for key, value in data.items() if key in SizingRules.model_fields}
        return {
            **data,
            "instruments": {i: common | rules if isinstance(rules, dict) else rules for i, rules in own.items()},
        }

    @property
    def warmup_candles(self) -> int:
        """How many candles the measures need."""
        return max((rules.window + 1 for rules in (self, *self.instruments.values()) if rules.measures), default=0)

    def of(self, instrument: str) -> SizingRules:
        """Return the rules of an instrument."""
        return self.instruments.get(instrument, self)
