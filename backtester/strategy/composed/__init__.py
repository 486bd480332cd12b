"""Strategies composed in TOML from registered parts, without code; docs/composed.md."""

from backtester.strategy.composed.parts import formula_part, rule
from backtester.strategy.composed.reading import composed

__all__ = ["composed", "formula_part", "rule"]
