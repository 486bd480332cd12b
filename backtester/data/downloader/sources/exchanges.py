"""Candles of other exchanges through ccxt, an extra: `--source ccxt --market kraken.spot`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import first_open, last_open, timeframe_us
from backtester.data.downloader.patience import Again, Patience
from backtester.data.downloader.rows import Series
from backtester.data.downloader.sources.page import Page, UnknownSymbolError, page_of_rows
from backtester.data.downloader.transport import refuse_closed_network
from backtester.data.manifest_writer import now_us
from backtester.data.schemas import KLINES

_TYPES: Final = ("spot", "swap")
_COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume")
_ROWS: Final = 500  # asked for at a time where ccxt does not say what an exchange allows
_MS: Final = 1000
_SLOW_DOWN: Final = frozenset({"RateLimitExceeded", "DDoSProtection"})


class Ccxt:
    """Candles of the exchange that a market names, as `kraken.spot` or `okx.swap`; see `CandleSource`.

    exchange: makes the exchange of an id; ccxt's own classes when not given.
    """

    name = "ccxt"
    offers = "klines of EXCHANGE.spot and EXCHANGE.swap, as kraken.spot"

    def __init__(
        self,
        cfg: DownloaderConfig,
        context: RunContext,
        *,
        exchange: Callable[[str], Any] | None = None,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._context, self._now = context, now
        self._patience = Patience(cfg, context.seed)
        self._seconds = cfg.read_seconds
        self._make = exchange or self._installed
        self._made: dict[str, Any] = {}

    def serves(self, market: str, kind: str) -> bool:
        """See `CandleSource`."""
        _, dot, what = market.rpartition(".")
        return bool(dot) and what in _TYPES and kind == KLINES.kind

    async def pages(self, series: Series, start: int, end: int) -> AsyncIterator[Page]:
        """Yield pages of closed candles; see `CandleSource`."""
        name, _, what = series.market.rpartition(".")
        refuse_closed_network(name, allow_net=self._context.allow_net)
        if name not in self._made:
            self._made[name] = self._make(name)
        exchange = self._made[name]
        length = timeframe_us(series.timeframe)
        await self._ask(name, exchange.load_markets)
        if not exchange.has.get("fetchOHLCV"):
            raise DataError(f"ccxt has no candles of {name}", hint="choose another exchange")
        known = exchange.timeframes or {}
        if known and series.timeframe not in known:
            raise UsageError(f"{name} has no {series.timeframe} candles", hint=f"it has: {' '.join(known)}")
        symbol = _symbol(exchange, name, what, series.symbol)
        cursor, end = (
            first_open(start, length),
            min(first_open(end, length), last_open(self._now(), length)),
        )
        limit = _most_rows(exchange, what)
        while cursor < end:
            rows = await self._ask(name, exchange.fetch_ohlcv, symbol, series.timeframe, cursor // _MS, limit)
            wanted = _between(name, rows, cursor, end)
            if not wanted:
                # some exchanges answer a window of time instead of the next rows, and nobody traded in this one
                cursor += limit * length
                continue
            address = f"ccxt:{name}/{symbol}?timeframe={series.timeframe}&since={cursor // _MS}&limit={limit}"
            page = f"{series.symbol}-{series.timeframe}-{name}-{cursor // _MS}"
            yield page_of_rows(page, address, _COLUMNS, wanted, (cursor, end))
            cursor = int(wanted[-1][0]) * _MS + length

    async def _ask(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call ccxt in a thread, again where its error says that another attempt may help."""

        async def once() -> Any:
            try:
                return await asyncio.to_thread(call, *arguments)
            except Exception as error:
                text = f"{type(error).__name__}: {str(error)[:200]}"
                kinds = {cls.__name__ for cls in type(error).__mro__}  # told by name: ccxt need not be imported
                if kinds & _SLOW_DOWN:
                    raise Again(f"{name} asks to slow down ({text})", everyone=True) from error
                if "NetworkError" in kinds:
                    raise Again(f"{name} cannot be reached ({text})") from error
                if "BaseError" in kinds:
                    raise DataError(f"{name} refuses: {text}", hint="check symbol and timeframe") from error
                raise

        return await self._patience.attempt(name, once)

    def _installed(self, name: str) -> Any:
        try:
            import ccxt
        except ImportError:
            raise UsageError(
                "candles of other exchanges need ccxt, which is not installed", hint="pip install 'backtester[ccxt]'"
            ) from None
        if name not in ccxt.exchanges:
            raise UsageError(f"ccxt knows no exchange {name!r}", hint="for example --market kraken.spot")
        return getattr(ccxt, name)({"enableRateLimit": True, "timeout": int(self._seconds * 1000)})


def _symbol(exchange: Any, name: str, what: str, wanted: str) -> str:
    """Return ccxt's spelling (BTC/EUR) of a symbol of the lake (BTCEUR)."""
    listed = exchange.markets
    plain = [symbol for symbol, facts in listed.items() if facts.get("type") == what and lake_symbol(symbol) == wanted]
    if len(plain) == 1:
        return str(plain[0])
    if plain:
        raise UsageError(f"{name} {what} has several {wanted}: {', '.join(plain)}", hint="it cannot be told apart here")
    near = [symbol for symbol in listed if wanted[:3] in symbol][:5]
    raise UnknownSymbolError(
        f"{name} has no {what} symbol {wanted}", hint=f"it has, among others: {', '.join(near or list(listed)[:5])}"
    )


def _most_rows(exchange: Any, what: str) -> int:
    features = (getattr(exchange, "features", None) or {}).get(what) or {}
    limits = (features.get("linear") or features).get("fetchOHLCV") or {}
    return int(limits.get("limit") or _ROWS)


def lake_symbol(text: str) -> str:
    """Return a symbol as the lake spells it: BTCEUR for BTC/EUR, BTCUSDT for BTC/USDT:USDT."""
    return text.partition(":")[0].replace("/", "").upper()


def _between(name: str, rows: Any, start: int, end: int) -> list[list[Any]]:
    """Return the rows of an answer whose open times lie in a range, in order; what is no row is refused."""
    if not isinstance(rows, list) or not all(isinstance(row, list) and row and _is_time(row[0]) for row in rows):
        raise DataError(f"{name} sent no candles but {str(rows)[:80]}", hint="try again later")
    return sorted((row for row in rows if start <= row[0] * _MS < end), key=lambda row: row[0])


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
