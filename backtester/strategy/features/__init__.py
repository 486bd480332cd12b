"""Features: named, pure columns over candles, in a graph that computes each once and knows when each is known."""

from backtester.strategy.features.feature import Feature, formula, indicator
from backtester.strategy.features.frame import Frame, Source, candle_frame
from backtester.strategy.features.graph import FeatureGraph
from backtester.strategy.features.stream import FeatureStream, Row

__all__ = [
    "Feature",
    "FeatureGraph",
    "FeatureStream",
    "Frame",
    "Row",
    "Source",
    "candle_frame",
    "formula",
    "indicator",
]
