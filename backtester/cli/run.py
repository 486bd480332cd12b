"""`bt run`: a backtest from the command line."""

import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from backtester.cli.argv import split_list
from backtester.cli.console import console, print_error, print_json, print_note


def run_command(
    strategy: Annotated[str, typer.Option(help="Name of a strategy, or path/to/file.py:Class.")] = "",
    symbols: Annotated[
        list[str] | None, typer.Option(help="Symbols, several after one flag: BTCUSDT ETHUSDT, or spot:BTCUSDT.")
    ] = None,
    market: Annotated[str, typer.Option(help="Market of bare symbols: spot or um (futures).")] = "",
    timeframe: Annotated[str, typer.Option(help="Candles that the strategy sees: 1m, 15m, 1h ...")] = "",
    start: Annotated[str, typer.Option(help="First candle, UTC: 2024-01-31 or 2024-01-31T12:00:00Z.")] = "",
    end: Annotated[str, typer.Option(help="End, exclusive.")] = "",
    config: Annotated[Path | None, typer.Option(help="TOML of the run [default: configs/backtest.toml].")] = None,
    risk: Annotated[Path | None, typer.Option(help="TOML of limits and breakers [default: configs/risk.toml].")] = None,
    params: Annotated[Path | None, typer.Option(help="TOML of the strategy [default: configs/STRATEGY.toml].")] = None,
    param: Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A strategy parameter.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any config key: fees.taker_bps=10.")
    ] = None,
    data: Annotated[str, typer.Option(help="Folder of the lake [default: data].")] = "",
    runs: Annotated[Path, typer.Option(help="Folder for results.")] = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="Seed of the strategy's randomness.")] = None,
    feeds: Annotated[
        list[str] | None, typer.Option(help="Market data besides the candles: fundingRate markPriceKlines:1h 1h ...")
    ] = None,
    gap_policy: Annotated[
        str, typer.Option(help="What unknown gaps mean: refuse, continue or pause_entries [default: refuse].")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run a backtest and seal it under runs/.

    Example: bt run --strategy sma_extended --symbols BTCUSDT ETHUSDT
    """
    from backtester.config.loading import assignment, dotted_layer, load_backtest_config, risk_layers
    from backtester.engine.prepare import prepare
    from backtester.engine.run import run_backtest
    from backtester.engine.run_folder import dead_partials

    options: dict[str, Any] = {
        "run": {
            "symbols": split_list(symbols or []),
            "market": market,
            "timeframe": timeframe,
            "start": start,
            "end": end,
            "seed": seed,
        },
        "data": {"dir": data, "feeds": split_list(feeds or []), "gap_policy": gap_policy},
    }
    given = {s: {k: v for k, v in keys.items() if v not in (None, "", [])} for s, keys in options.items()}
    below, over = risk_layers(risk)
    loaded = load_backtest_config(config, over, dotted_layer(set_ or []), given, below=below)
    if strategy and strategy != loaded.strategy.name:  # another strategy's parameters are not this one's
        from backtester.config.configs import StrategySection

        loaded = loaded.model_copy(update={"strategy": StrategySection(name=strategy)})
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        prepared = prepare(
            loaded,
            params_file=params,
            params_options=dict(assignment(text, "-p") for text in param or []),
            relative_to=config.parent if config is not None else None,
        )
    dead = dead_partials(runs)
    with _progress(prepared.start, prepared.end, quiet=as_json) as progress:
        began = time.perf_counter()
        with redirect_stdout(sys.stderr if as_json else sys.stdout):  # what a strategy prints is not our one object
            result = run_backtest(prepared, runs, progress=progress)
        seconds = time.perf_counter() - began
    if as_json:
        print_json(
            {
                "run_id": result.run_id,
                "path": str(result.path),
                "status": result.status,
                "digest": result.digest,
                "metrics": result.metrics,
                "warnings": result.warnings,
                **({"error": str(result.error)} if result.error else {}),
            }
        )
    else:
        from backtester.cli.summary import print_summary

        print_summary(prepared, result, seconds)
    if dead:
        others = f" (and {len(dead) - 1} more)" if len(dead) > 1 else ""
        print_note(
            f"an earlier run was killed before it was sealed: {dead[-1]}{others}",
            f"bt replay {dead[-1]} shows what it did; remove the folder when you need it no more",
        )
    if result.error is not None:
        raise result.error
    if result.status == "interrupted":
        print_error(f"interrupted; what was done is sealed in {result.path}")
        raise typer.Exit(130)


class _progress:  # noqa: N801 - used as a function
    """A live line on a terminal: simulated date, candles per second, equity, time left; nothing elsewhere."""

    def __init__(self, start: int, end: int, *, quiet: bool) -> None:
        self._start, self._end = start, end
        out = console(stderr=True)
        self._bar: Any = None
        if not quiet and out.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%  fills {task.fields[fills]}"),
                TimeRemainingColumn(),
                console=out,
                transient=True,
            )

    def __enter__(self) -> Any:
        if self._bar is None:
            return None
        self._bar.start()
        self._task = self._bar.add_task("starting", total=self._end - self._start, fills=0)
        return self._update

    def _update(self, now: int, wired: Any) -> None:
        from backtester.core.time import utc

        self._bar.update(
            self._task,
            completed=max(0, now - self._start),
            description=f"{utc(now):%Y-%m-%d %H:%M}",
            fills=wired.recorder.fills,
        )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
