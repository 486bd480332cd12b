"""The public answers with rules, from the venue's REST interface or a folder laid out like it."""

from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.data.downloader.texts import fetch_texts
from backtester.data.rules.answers import read_answer
from backtester.data.rules.importing import Imported, Source, import_rules


class _Endpoint(NamedTuple):
    base: str
    exchange_info: str
    funding_info: str = ""


_ENDPOINTS: Final = {
    "spot": _Endpoint("https://api.binance.com", "api/v3/exchangeInfo"),
    "um": _Endpoint("https://fapi.binance.com", "fapi/v1/exchangeInfo", "fapi/v1/fundingInfo"),
    "cm": _Endpoint("https://dapi.binance.com", "dapi/v1/exchangeInfo", "dapi/v1/fundingInfo"),
    "option": _Endpoint("https://eapi.binance.com", "eapi/v1/exchangeInfo"),
}


def fetch_rules(
    market: str,
    root: Path,
    context: RunContext,
    *,
    base: str = "",
    symbols: Collection[str] = (),
    replace: bool = False,
) -> list[Imported]:
    """Fetch exchangeInfo, and for futures fundingInfo, into the lake; both are dated by the server's time.

    Args:
        market: spot, um, cm or option.
        root: the lake.
        context: whether the network may be used.
        base: http(s)://, file:// or a folder; the venue's own address by default.
        symbols: those to keep; all when empty.
        replace: lets an answer win over a different one of the same date.

    Raises:
        DataError: the server cannot be reached, refuses, or answers something else.
        UsageError: there is no such market, or the address cannot be used. StorageError: the disk refuses.
    """
    if market not in _ENDPOINTS:
        raise UsageError(f"there are no rules of market {market!r}", hint=f"allowed: {' '.join(_ENDPOINTS)}")
    endpoint = _ENDPOINTS[market]
    address = (base or endpoint.base).rstrip("/")
    keys = [key for key in (endpoint.exchange_info, endpoint.funding_info) if key]
    texts = fetch_texts(address, keys, DownloaderConfig(base_dir=root), context)
    sources = [
        Source(f"{address}/{key}", text.encode()) for key, text in zip(keys, texts, strict=True) if text is not None
    ]
    if texts[0] is None:
        raise DataError(f"{address} has no {keys[0]}", hint="--rest-url is the address below which that path is")
    date = read_answer(sources[0].content, sources[0].name, market=market).date
    return import_rules(sources, root, market=market, date=date, symbols=symbols, replace=replace)
