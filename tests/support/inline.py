"""Where the strategy registry finds the class that a test wrote inline."""

from backtester.strategy.base import Strategy

Current: type[Strategy] = Strategy
