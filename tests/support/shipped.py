"""Shipped strategies on markets drawn by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backtester.engine.prepare import prepare
from backtester.engine.replay import replay, verify
from tests.support.market import Row, Rows, write_candles
from tests.support.runs import Ran, config_of, run_prepared


def closing_at(closes: Sequence[float]) -> list[Row | None]:
    """Candles that open where the one before closed and reach no further."""
    opens = [closes[0], *closes]
    return [(o, max(o, c), min(o, c), c) for o, c in zip(opens, closes, strict=False)]


def ran_shipped(
    folder: Path,
    name: str,
    markets: Rows | Mapping[str, Rows],
    *,
    market: str = "um",
    timeframe: str = "1m",
    futures: Mapping[str, Any] | None = None,
    **params: Any,
) -> Ran:
    """Run a shipped strategy on rows of BTCUSDT, or rows by symbol; it is replayed and verified."""
    by_symbol = markets if isinstance(markets, Mapping) else {"BTCUSDT": markets}
    for symbol, rows in by_symbol.items():
        write_candles(folder / "lake", rows, symbol=symbol, market=market, timeframe=timeframe)
    sections: dict[str, Any] = {
        "run": {"market": market, "timeframe": timeframe},
        "strategy": {"name": name, "params": params},
    }
    if futures:
        sections["futures"] = dict(futures)
    ran = run_prepared(folder, prepare(config_of(folder / "lake", list(by_symbol), **sections)))
    replay(ran.path)
    verify(ran.path)
    return ran


def deals(ran: Ran) -> list[tuple[str, int, str, str]]:
    """Tag, candle, price and quantity of every fill; sales are negative."""
    return [
        (f.tag, f.candle, f"{f.price.normalize():f}", f"{(f.qty if f.side == 'buy' else -f.qty).normalize():f}")
        for f in ran.fills
    ]
