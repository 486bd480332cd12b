"""The options that say what is run: shared by the commands that run something."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from backtester.cli.argv import split_list

if TYPE_CHECKING:
    from backtester.config.configs import BacktestConfig
    from backtester.engine.prepare import PreparedRun

Strategy = Annotated[str, typer.Option(help="Name of a strategy, path/to/file.py:Class, or path/to/composed.toml.")]
Symbols = Annotated[
    list[str] | None, typer.Option(help="Symbols, several after one flag: BTCUSDT ETHUSDT, spot:BTCUSDT um:BTCUSDT.")
]
Market = Annotated[str, typer.Option(help="Market of bare symbols: spot, um (futures), cm or option.")]
Timeframe = Annotated[str, typer.Option(help="Candles that the strategy sees: 1m, 15m, 1h ...")]
Start = Annotated[str, typer.Option(help="First candle, UTC: 2024-01-31 or 2024-01-31T12:00:00Z.")]
End = Annotated[str, typer.Option(help="End, exclusive.")]
Config = Annotated[Path | None, typer.Option(help="TOML of the run [default: configs/backtest.toml].")]
Risk = Annotated[Path | None, typer.Option(help="TOML of limits and breakers [default: configs/risk.toml].")]
Params = Annotated[Path | None, typer.Option(help="TOML of the strategy [default: configs/STRATEGY.toml].")]
Param = Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A strategy parameter.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any config key: fees.taker_bps=10.")]
Wallet = Annotated[
    list[str] | None,
    typer.Option(metavar="WALLET:ASSET=AMOUNT", help="What a market's wallet starts with: um:USDT=5000, cm:BTC=1."),
]
Data = Annotated[str, typer.Option(help="Folder of the lake [default: data].")]
Seed = Annotated[int | None, typer.Option(help="Seed of the strategy's randomness.")]
Feeds = Annotated[
    list[str] | None, typer.Option(help="Market data besides the candles: fundingRate markPriceKlines:1h 1h ...")
]
GapPolicy = Annotated[
    str, typer.Option(help="What unknown gaps mean: refuse, continue or pause_entries [default: refuse].")
]


class Asked(NamedTuple):
    """A config with all options laid over it; prepared resolves it. relative_to: where strategy files may lie, too.

    params_file, params_options: what is laid over the strategy's parameters.
    """

    config: "BacktestConfig"
    prepared: "Callable[[BacktestConfig], PreparedRun]"
    relative_to: Path | None
    params_file: Path | None
    params_options: dict[str, Any]


def asked_run(
    *,
    strategy: str,
    symbols: list[str] | None,
    market: str,
    timeframe: str,
    start: str,
    end: str,
    config: Path | None,
    risk: Path | None,
    params: Path | None,
    param: list[str] | None,
    set_: list[str] | None,
    wallet: list[str] | None,
    data: str,
    seed: int | None,
    feeds: list[str] | None,
    gap_policy: str,
) -> Asked:
    """Return what these options mean together.

    Raises:
        UsageError: a file cannot be read, or a key or value is wrong.
    """
    from backtester.config.loading import assignment, dotted_layer, load_backtest_config, risk_layers, with_strategy
    from backtester.engine.prepare import prepare

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
    loaded = with_strategy(loaded, strategy)
    relative_to = config.parent if config is not None else None
    options_of = dict(assignment(text, "-p") for text in param or [])
    prepared_of = partial(prepare, params_file=params, params_options=options_of, relative_to=relative_to)
    return Asked(loaded, prepared_of, relative_to, params, options_of)
