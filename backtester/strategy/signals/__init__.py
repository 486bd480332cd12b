"""Signals: a frame goes in, a target a row comes out; the engine turns changed targets into orders."""

from backtester.strategy.signals.exits import ExitPlan
from backtester.strategy.signals.strategy import SignalStrategy
from backtester.strategy.signals.targets import TargetPosition, Targets

__all__ = ["ExitPlan", "SignalStrategy", "TargetPosition", "Targets"]
