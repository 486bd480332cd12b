"""What strategies are made of: `from backtester.strategy import Strategy` and the events that its hooks receive."""

from backtester.core.events import Fill, OrderRejected, OrderUpdate, Side, Status
from backtester.core.margin_events import MarginAlert, MarginState
from backtester.core.market import (
    Candle,
    FundingRate,
    FuturesMetrics,
    IndexPrice,
    MarkPrice,
    OptionChain,
    OptionQuote,
    PremiumIndex,
    Quote,
    Trade,
    VolatilityIndex,
)
from backtester.strategy.base import Intents, Strategy, StrategyParams
from backtester.strategy.chain_view import ChainView
from backtester.strategy.params import param

__all__ = [
    "Candle",
    "ChainView",
    "Fill",
    "FundingRate",
    "FuturesMetrics",
    "IndexPrice",
    "Intents",
    "MarginAlert",
    "MarginState",
    "MarkPrice",
    "OptionChain",
    "OptionQuote",
    "OrderRejected",
    "OrderUpdate",
    "PremiumIndex",
    "Quote",
    "Side",
    "Status",
    "Strategy",
    "StrategyParams",
    "Trade",
    "VolatilityIndex",
    "param",
]
