"""Sources of candles by name: built in, or by entry point `backtester.candle_sources`."""

import difflib
import importlib
from importlib.metadata import entry_points
from typing import Final

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import BacktesterError, UsageError
from backtester.data.downloader.sources.exchanges import Ccxt
from backtester.data.downloader.sources.page import CandleSource

_HERE: Final = "backtester.data.downloader.sources"
BUILT_IN: Final = {
    "binance-archive": f"{_HERE}.archive:BinanceArchive",
    "binance-rest": f"{_HERE}.rest:BinanceRest",
    "ccxt": f"{_HERE}.exchanges:Ccxt",
    "files": f"{_HERE}.files:Files",
}
OTHER_NAMES: Final = {"archive": "binance-archive", "rest": "binance-rest"}
ENTRY_POINT_GROUP: Final = "backtester.candle_sources"


def source_names() -> dict[str, str]:
    """Return every name and where it leads: module:Class."""
    named = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return dict(sorted({**named, **BUILT_IN}.items()))


def sources_beside(market: str, kind: str, cfg: DownloaderConfig, context: RunContext) -> list[CandleSource]:
    """Return the sources, apart from Binance's and files, that serve a market: what is installed for it, else ccxt.

    Raises:
        UsageError: one that is installed cannot be used.
    """
    installed = [open_source(name, cfg, context) for name in source_names() if name not in BUILT_IN]
    serving = [source for source in installed if source.serves(market, kind)]
    ccxt = open_source(Ccxt.name, cfg, context)
    return serving or ([ccxt] if ccxt.serves(market, kind) else [])


def open_source(name: str, cfg: DownloaderConfig, context: RunContext) -> CandleSource:
    """Return the source of a name.

    Raises:
        UsageError: there is none, or what was found is none.
    """
    names = source_names()
    name = OTHER_NAMES.get(name, name)
    target = names.get(name)
    if target is None:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"source {name!r} is not known", hint=f"{hint}there are: auto, {', '.join(names)}")
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)(cfg, context)
    except BacktesterError:
        raise
    except Exception as error:
        raise UsageError(
            f"source {name!r} cannot be made from {target}: {type(error).__name__}: {error}",
            hint="it must be a class that takes (DownloaderConfig, RunContext)",
        ) from error
    if not isinstance(found, CandleSource):
        raise UsageError(
            f"{target} is not a source of candles", hint="it needs name, offers, serves(market, kind) and pages(...)"
        )
    return found
