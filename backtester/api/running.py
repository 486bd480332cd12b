"""`bt.run`: a backtest from a script or a notebook."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from backtester.api.config_of import Sections, When, config_of, symbols_of, time_text
from backtester.api.hints import hinted
from backtester.api.sealed_run import Run
from backtester.api.waiting import waited_for
from backtester.api.written_strategy import found_class
from backtester.core.errors import Interrupted
from backtester.engine.prepare import PreparedRun, prepare
from backtester.engine.run import INTERRUPTED, RunResult, run_backtest
from backtester.engine.run_folder import RUNS
from backtester.engine.run_summaries import note_run
from backtester.strategy.base import Strategy
from backtester.strategy.registry import FoundStrategy


@hinted
def run(
    strategy: str | Path | type[Strategy] = "",
    symbols: str | Sequence[str] = (),
    *,
    start: When | None = None,
    end: When | None = None,
    timeframe: str = "",
    market: str = "",
    params: Mapping[str, Any] | None = None,
    seed: int | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    data: str | Path | Mapping[str, Any] | None = None,
    risk: str | Path | Mapping[str, Any] | None = None,
    runs: str | Path = RUNS,
    keep: bool = True,
    **sections: Unpack[Sections],
) -> Run:
    """Run a backtest and return it; the same as `bt run` with the same words, and the same log.

    Works inside a running event loop, too. An interrupt ends it between two ticks; what was done is sealed.

    Args:
        strategy: a name (`bt strategies` lists them), a file (`path/to/file.py:Class`), or a Strategy class. A class
            that was written in a notebook is recorded with the run, as far as its source can be found.
        symbols: "BTCUSDT", ["spot:BTCUSDT", "um:ETHUSDT"]: market and symbol, or a symbol of `market`.
        start, end: the range [start, end), UTC; by default all that the lake has of every symbol.
        timeframe: of the candles that the strategy sees.
        market: of bare symbols: spot, um, cm or option.
        params: of the strategy, over those of configs/<strategy>.toml where that exists.
        seed: of the strategy's randomness.
        config: a TOML file, or a dict like one; by default configs/backtest.toml where it exists.
        data: the folder of the lake, or keys of `[data]`: {"dir": "data", "gap_policy": "continue"}.
        risk: a TOML file of limits and breakers, or keys of `[risk]`.
        runs: where the run's folder is made.
        keep: False makes a temporary run: its folder goes when the returned object does.
        sections: any other section of the config: account={"initial_cash": 5_000}, fees={"taker_bps": 4}.

    Raises:
        UsageError: strategy, symbols, range, parameters or config are wrong.
        DataError: the lake lacks what the run needs.
        StrategyError: the strategy raised; what was done before that is sealed.
        Interrupted: it was stopped; what was done is sealed.
    """
    found, name = (None, str(strategy)) if isinstance(strategy, str | Path) else _of_class(strategy)
    asked: dict[str, Any] = {
        "symbols": symbols_of(symbols),
        "start": time_text(start),
        "end": time_text(end),
        "timeframe": timeframe,
        "market": market,
        "seed": seed,
    }
    whole = config_of(config, name, asked, data, risk, sections)
    relative_to = Path(config).parent if isinstance(config, str | Path) else None
    prepared = prepare(whole, params_options=params, relative_to=relative_to, found=found)
    if found is not None and found.unrecorded:
        prepared.warnings.append(
            f"the source of {found.name} was not recorded, {found.unrecorded}: bt replay --verify cannot run it again"
        )
    scratch = None if keep else tempfile.TemporaryDirectory(prefix="bt-run-")
    folder = Path(runs) if scratch is None else Path(scratch.name)
    result = _sealed(prepared, folder)
    if scratch is None:
        note_run(result.path)
    return Run(result.path, scratch)


def _of_class(cls: type[Strategy]) -> tuple[FoundStrategy, str]:
    found = found_class(cls)
    return found, found.name


def _sealed(prepared: PreparedRun, folder: Path) -> RunResult:
    """Run; raises what ended it early, with a note that says where it is sealed."""
    result = waited_for(lambda stop: run_backtest(prepared, folder, stop=stop))
    error = result.error
    if result.status == INTERRUPTED:
        error = Interrupted("the run was interrupted")
    if error is not None:
        error.add_note(f"what was done is sealed: bt.load_run({str(result.path)!r})")
        raise error
    return result
