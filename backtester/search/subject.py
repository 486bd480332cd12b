"""What is varied over: a config and a strategy, ready to be given other parameters."""

import threading
from pathlib import Path
from typing import Any

from backtester.config.configs import BacktestConfig, StrategySection
from backtester.core.errors import UsageError
from backtester.engine.prepare import PreparedRun, prepare
from backtester.engine.strategy_plans import Needs, needs_of, params_of
from backtester.strategy.base import StrategyParams
from backtester.strategy.registry import FoundStrategy, find_strategy


class Subject:
    """One strategy under one config. The lake is resolved once for all parameters that need the same of it."""

    def __init__(self, config: BacktestConfig, relative_to: Path | None) -> None:
        """config: as asked, not resolved, with all that is known of the strategy's parameters.

        relative_to: a folder in which a relative strategy file is looked for.

        Raises:
            UsageError, StrategyError: there is no such strategy, or there are several.
        """
        if config.strategies:
            raise UsageError("a sweep varies one strategy, the config names several", hint="leave [[strategies]] out")
        self.config = config
        self.relative_to = relative_to
        self.found: FoundStrategy = find_strategy(config.strategy.name, relative_to=relative_to)
        self._prepared: dict[Needs, PreparedRun] = {}
        self._lock = threading.Lock()

    def params(self, values: dict[str, Any]) -> StrategyParams:
        """Return the parameters with some of them varied.

        Raises:
            UsageError: they refuse the values.
        """
        return params_of(self.found, self.config.strategy.params, None, values)

    def prepared(self, values: dict[str, Any]) -> PreparedRun:
        """Return the run of some values.

        Raises:
            BacktesterError: it cannot be prepared; see `prepare`.
        """
        params = self.params(values)
        needs = needs_of(self.found, params, self.config.run.timeframe)
        with self._lock:
            run = self._prepared.get(needs)
            if run is None:
                run = self._prepared[needs] = prepare(self._with(self.config, params), relative_to=self.relative_to)
        return run.with_strategy(self.found, params)._replace(config=self._with(run.config, params))

    def _with(self, config: BacktestConfig, params: StrategyParams) -> BacktestConfig:
        section = StrategySection(name=config.strategy.name, params=params.model_dump())
        return config.model_copy(update={"strategy": section})
