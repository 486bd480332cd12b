"""Indicators: one recurrence each, candle by candle or over columns, equal bit for bit; see docs/indicators.md."""

from backtester.strategy.indicators.base import Indicator
from backtester.strategy.indicators.directional import Adx, Direction
from backtester.strategy.indicators.dispersion import Bands, Bollinger, Std, ZScore
from backtester.strategy.indicators.extremes import Channel, Donchian, Max, Min, Oscillator, Stochastic
from backtester.strategy.indicators.ichimoku import Cloud, Ichimoku
from backtester.strategy.indicators.means import Sma, Wma
from backtester.strategy.indicators.momentum import Rsi
from backtester.strategy.indicators.pivots import Pivots, Swing
from backtester.strategy.indicators.ranges import Atr, Keltner, Supertrend, Trend
from backtester.strategy.indicators.regression import Slope
from backtester.strategy.indicators.smoothing import Convergence, Dema, Ema, Macd
from backtester.strategy.indicators.volatility import RealisedVolatility
from backtester.strategy.indicators.volume import Obv, Vwap

__all__ = [
    "Adx",
    "Atr",
    "Bands",
    "Bollinger",
    "Channel",
    "Cloud",
    "Convergence",
    "Dema",
    "Direction",
    "Donchian",
    "Ema",
    "Ichimoku",
    "Indicator",
    "Keltner",
    "Macd",
    "Max",
    "Min",
    "Obv",
    "Oscillator",
    "Pivots",
    "RealisedVolatility",
    "Rsi",
    "Slope",
    "Sma",
    "Std",
    "Stochastic",
    "Supertrend",
    "Swing",
    "Trend",
    "Vwap",
    "Wma",
    "ZScore",
]
