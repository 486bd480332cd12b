"""An honest, event-driven backtesting engine for crypto markets: a run is its log.

For scripts and notebooks:

    import backtester as bt

    run = bt.run(strategy="sma_cross", symbols="BTCUSDT", start="2024-03-01")
    run.metrics.sharpe

docs/api.md says all of it. A name is loaded when it is first used: `import backtester` itself costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtester.api.candles import candles
    from backtester.api.comparison import compare
    from backtester.api.figures import Metrics
    from backtester.api.listing import runs
    from backtester.api.running import run
    from backtester.api.sealed_run import Run, load_run
    from backtester.core.errors import BacktesterError
    from backtester.core.market import Candle
    from backtester.strategy.base import Strategy, StrategyParams
    from backtester.strategy.signals import SignalStrategy

__all__ = [
    "BacktesterError",
    "Candle",
    "Metrics",
    "Run",
    "SignalStrategy",
    "Strategy",
    "StrategyParams",
    "candles",
    "compare",
    "load_run",
    "run",
    "runs",
]

if not TYPE_CHECKING:
    _HOMES = {
        "BacktesterError": "backtester.core.errors",
        "Candle": "backtester.core.market",
        "Metrics": "backtester.api.figures",
        "Run": "backtester.api.sealed_run",
        "SignalStrategy": "backtester.strategy.signals",
        "Strategy": "backtester.strategy.base",
        "StrategyParams": "backtester.strategy.base",
        "candles": "backtester.api.candles",
        "compare": "backtester.api.comparison",
        "load_run": "backtester.api.sealed_run",
        "run": "backtester.api.running",
        "runs": "backtester.api.listing",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'backtester' has no attribute {name!r}")
        from importlib import import_module

        return globals().setdefault(name, getattr(import_module(_HOMES[name]), name))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
