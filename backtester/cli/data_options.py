"""Options and choices that the commands of `bt data` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from backtester.data.lake import Lake
    from backtester.data.partition import Partition

DataOption = Annotated[Path, typer.Option("--data", help="The lake's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")]
MarketOption = Annotated[str | None, typer.Option(help="spot, um, cm, option, or a venue's own name.")]
KindOption = Annotated[str | None, typer.Option(help="klines, aggTrades, fundingRate, ...")]
TimeframeOption = Annotated[str | None, typer.Option(help="1m, 5m, 1h, ...")]
SymbolArgument = Annotated[str, typer.Argument(help="BTCUSDT, or spot:BTCUSDT")]

DEFAULT_DATA: Final = Path("data")


def place_of(symbol: str | None, market: str | None) -> tuple[str | None, str | None]:
    """Return the market and the symbol that `spot:BTCUSDT` or `BTCUSDT` with `--market` mean; None where not said."""
    from backtester.data.partition import market_name

    prefix, colon, name = (symbol or "").rpartition(":")
    wanted = prefix if colon else market
    return None if wanted is None else market_name(wanted), name or None


def partitions_of(
    lake: "Lake", symbol: str, market: str | None, kind: str | None = None, timeframe: str | None = None
) -> "list[Partition]":
    """Return the partitions of a symbol, in every market, kind and timeframe that is not excluded; at least one.

    Raises:
        DataError: the lake has none; the message says what it has.
    """
    from backtester.core.errors import DataError

    where, name = place_of(symbol, market)
    of_symbol = [p for p in lake.all_partitions() if p.symbol == name and where in {None, p.market}]
    if not of_symbol:
        lake.timeframes(where or "spot", kind or "klines", name or "")
    chosen = [p for p in of_symbol if kind in {None, p.kind} and timeframe in {None, p.timeframe}]
    if not chosen:
        there = sorted({" ".join(filter(None, (p.market, p.kind, p.timeframe))) for p in of_symbol})
        wanted = " ".join(filter(None, (where, kind, timeframe)))
        raise DataError(f"{symbol} has no {wanted} in {lake.root}; it has {', '.join(there)}", hint="choose of those")
    return chosen
