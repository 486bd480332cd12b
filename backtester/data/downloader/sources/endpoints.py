"""What the REST interface of each market answers: paths, page sizes, weights, and how it understands a range."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from backtester.core.time import DAY, HOUR, TIMEFRAMES
from backtester.data.downloader.rows import Series

_MS: Final = 1000
_BY_ROWS: Final = ((99, 1), (499, 2), (1000, 5), (1500, 10))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path. most: rows that are asked for at a time; what more would cost in weight is not worth it.

    weights: (rows asked for, weight), ascending. windowed: of a range with two ends it answers the last rows instead of
    the first, so each request must span no more rows than fit. widest: µs that a range may span, 0 for any.
    by_pair: the symbol goes by the name of `pair`. spacing: µs between rows of kinds without a timeframe, at least.
    """

    path: str
    most: int
    weights: tuple[tuple[int, int], ...]
    windowed: bool = False
    widest: int = 0
    by_pair: bool = False
    spacing: int = 0

    def row_us(self, timeframe: str) -> int:
        """Return how far rows are apart, at least."""
        return TIMEFRAMES[timeframe] if timeframe else self.spacing

    def weight(self, rows: int) -> int:
        """Return what a request for so many rows weighs."""
        return next((weight for most, weight in self.weights if rows <= most), self.weights[-1][1])

    def query(self, series: Series, start: int, end: int, rows: int) -> str:
        """Return the path and query that ask for rows of [start, end); the interface counts whole ms, both ends in."""
        asked: dict[str, str | int] = {"pair" if self.by_pair else "symbol": series.symbol}
        if series.timeframe:
            asked["interval"] = series.timeframe
        asked |= {"startTime": -(-start // _MS), "endTime": -(-end // _MS) - 1, "limit": rows}
        return f"{self.path}?{urlencode(asked)}"


def asked_range(address: str) -> tuple[int, int] | None:
    """Return the range [start, end) in UTC µs that the address of a REST page asks for; None for other addresses."""
    if not address.startswith(("http://", "https://")):
        return None
    query = parse_qs(urlsplit(address).query)
    try:
        return int(query["startTime"][0]) * _MS, (int(query["endTime"][0]) + 1) * _MS
    except (KeyError, ValueError):
        return None


def _futures(prefix: str, *, windowed: bool) -> dict[str, Endpoint]:
    widest = 200 * DAY if windowed else 0

    def candles(path: str, *, by_pair: bool = False) -> Endpoint:
        return Endpoint(f"{prefix}/v1/{path}", 1000, _BY_ROWS, windowed, widest, by_pair)

    return {
        "klines": candles("klines"),
        "markPriceKlines": candles("markPriceKlines"),
        "indexPriceKlines": candles("indexPriceKlines", by_pair=True),
        "premiumIndexKlines": candles("premiumIndexKlines"),
        "fundingRate": Endpoint(f"{prefix}/v1/fundingRate", 1000, ((1000, 1),), spacing=HOUR),
    }


ENDPOINTS: Final[dict[str, dict[str, Endpoint]]] = {
    "spot": {"klines": Endpoint("api/v3/klines", 1000, ((1000, 2),))},
    "um": _futures("fapi", windowed=False),
    "cm": _futures("dapi", windowed=True),
    "option": {"klines": Endpoint("eapi/v1/klines", 1500, ((1500, 1),), windowed=True)},
}
WEIGHTS: Final = {"spot": 6000, "um": 2400, "cm": 2400, "option": 2400}
