"""`bt run`: a backtest from the command line."""

import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from backtester.cli.argv import split_list
from backtester.cli.console import print_error, print_json, print_note, prints_aside
from backtester.cli.progress import RunProgress


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
    wallet: Annotated[
        list[str] | None,
        typer.Option(metavar="WALLET:ASSET=AMOUNT", help="What a market's wallet starts with: um:USDT=5000, cm:BTC=1."),
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
    band: Annotated[
        bool, typer.Option("--band", help="Three runs: the config's assumptions, pessimistic and optimistic ones.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run a backtest and seal it under runs/.

    Example: bt run --strategy sma_extended --symbols BTCUSDT ETHUSDT --band
    """
    from backtester.cli.summary import print_summary, result_object
    from backtester.config.loading import assignment, dotted_layer, load_backtest_config, risk_layers
    from backtester.engine.prepare import prepare
    from backtester.engine.run import run_backtest

    options: dict[str, Any] = {
        "run": {
            "symbols": split_list(symbols or []),
            "market": market,
            "timeframe": timeframe,
            "start": start,
            "end": end,
            "seed": seed,
        },
        "account": {"wallets": dict(assignment(text, "--wallet", "um:USDT=5000") for text in wallet or [])},
        "data": {"dir": data, "feeds": split_list(feeds or []), "gap_policy": gap_policy},
    }
    given = {s: {k: v for k, v in keys.items() if v not in (None, "", [], {})} for s, keys in options.items()}
    below, over = risk_layers(risk)
    loaded = load_backtest_config(config, over, dotted_layer(set_ or []), given, below=below)
    if strategy and strategy != loaded.strategy.name:  # another strategy's parameters are not this one's
        from backtester.config.configs import StrategySection

        loaded = loaded.model_copy(update={"strategy": StrategySection(name=strategy)})
    prepared_of = partial(
        prepare,
        params_file=params,
        params_options=dict(assignment(text, "-p") for text in param or []),
        relative_to=config.parent if config is not None else None,
    )
    _note_killed_runs(runs)
    if band:
        from backtester.cli.band import run_the_band

        run_the_band(loaded, prepared_of, runs, as_json=as_json)
        return
    with prints_aside(as_json):
        prepared = prepared_of(loaded)
    began = time.perf_counter()
    with RunProgress(prepared.start, prepared.end, quiet=as_json) as progress, prints_aside(as_json):
        result = run_backtest(prepared, runs, progress=progress)
    seconds = time.perf_counter() - began
    if as_json:
        print_json(result_object(result))
    else:
        print_summary(prepared, result, seconds)
    if result.error is not None:
        raise result.error
    if result.status == "interrupted":
        print_error(f"interrupted; what was done is sealed in {result.path}")
        raise typer.Exit(130)


def _note_killed_runs(runs: Path) -> None:
    from backtester.engine.run_folder import dead_partials

    if dead := dead_partials(runs):
        others = f" (and {len(dead) - 1} more)" if len(dead) > 1 else ""
        print_note(
            f"an earlier run was killed before it was sealed: {dead[-1]}{others}",
            f"bt replay {dead[-1]} shows what it did; remove the folder when you need it no more",
        )
