"""At which price each contract that expires in a run is settled: the mean of its index over the last hour."""

from collections.abc import Mapping, Sequence
from typing import Final

from backtester.core.errors import DataError, UsageError
from backtester.core.instruments import Instrument, InstrumentId, split_id
from backtester.core.numbers import HALF_EVEN, decimal_of, units_of
from backtester.core.time import MINUTE, format_time, timeframe_us
from backtester.data.lake import Lake
from backtester.data.schemas import INDEX_KLINES, KLINES
from backtester.engine.feed_plan import FeedName, download_hint
from backtester.execution.settlement import Settlement
from backtester.sim.settlement import DELIVERY_WINDOW, is_sampled, settlement_price

_EXPONENT: Final = 12  # of index prices: no instrument has more decimals


def settlement_plan(
    lake: Lake,
    instruments: Mapping[InstrumentId, Instrument],
    sources: Mapping[InstrumentId, str],
    start: int,
    end: int,
    *,
    strict: bool,
    warnings: list[str],
) -> dict[InstrumentId, Settlement]:
    """Return how the futures that expire in (start, end] are settled.

    Args:
        lake: its index candles are read, those of the pair.
        instruments: the futures of the run.
        sources: the timeframe of their candles that execute.
        start, end: UTC µs.
        strict: refuse a price that is not made of the index.
        warnings: takes what a reader must know of prices that are coarse or assumed.

    Raises:
        UsageError: a contract expired before the run begins.
        DataError: the run is strict, and no index is known.
    """
    plan: dict[InstrumentId, Settlement] = {}
    found: dict[InstrumentId, Settlement] = {}  # by what the venue lists: both sides of a hedge end alike
    for instrument, spec in instruments.items():
        if not spec.expiry:
            continue
        if spec.expiry <= start:
            raise UsageError(
                f"{spec.listed} expired at {format_time(spec.expiry)}, the run starts at {format_time(start)}",
                hint="choose an earlier --start, or a contract that is still traded then",
            )
        if spec.expiry <= end:
            if spec.listed not in found:
                found[spec.listed] = _settlement(lake, spec, sources[instrument], strict, warnings)
            plan[instrument] = found[spec.listed]
    return plan


def _settlement(lake: Lake, spec: Instrument, source: str, strict: bool, warnings: list[str]) -> Settlement:
    pair = f"{spec.base}{spec.quote}"
    found = _index(lake, spec.market, pair, spec.expiry)
    if found is not None:
        timeframe, closes = found
        words = f"the mean of {_counted(len(closes), 'index candle')} of {timeframe}"
        if timeframe_us(timeframe) > MINUTE:
            warnings.append(f"{spec.listed}: settled at {words}: coarser than the venue's index of every second")
        return Settlement(spec.expiry, _mean(closes, spec), words)
    closes = _closes(lake, spec.market, KLINES.kind, split_id(spec.listed)[1], source, spec.expiry)
    words = f"the mean of {_counted(len(closes), 'candle')} of its own of {source}" if closes else "its own last price"
    problem = f"{spec.listed}: no index of {pair} is stored for the hour before it expires: settled at {words}"
    day = spec.expiry - DELIVERY_WINDOW
    index = FeedName(InstrumentId(f"{spec.market}:{pair}"), INDEX_KLINES.kind, "1m")
    hint = download_hint(index, day, spec.expiry)
    if strict:
        raise DataError(f"{problem}; execution.strict refuses that", hint=hint)
    warnings.append(f"{problem} ({hint})")
    return Settlement(spec.expiry, _mean(closes, spec) if closes else 0, f"{words}: no index is known")


def _index(lake: Lake, market: str, pair: str, expiry: int) -> tuple[str, list[int]] | None:
    """Return the closes of the finest index candles that cover the last hour, and their timeframe."""
    if pair not in lake.symbols(market, INDEX_KLINES.kind):
        return None
    for timeframe in lake.timeframes(market, INDEX_KLINES.kind, pair):
        length = timeframe_us(timeframe)
        closes = _closes(lake, market, INDEX_KLINES.kind, pair, timeframe, expiry)
        if length <= DELIVERY_WINDOW and len(closes) == DELIVERY_WINDOW // length:
            return timeframe, closes
    return None


def _closes(lake: Lake, market: str, kind: str, symbol: str, timeframe: str, expiry: int) -> list[int]:
    """Return the closes (10^-12) that became known in the last hour up to an expiry."""
    last_second = timeframe_us(timeframe) - 1  # of a candle: when its close was made
    closes: list[int] = []
    rows = lake.read(market, kind, symbol, timeframe, expiry - DELIVERY_WINDOW - last_second, expiry, names=["close"])
    for batch in rows:
        for opened, close in zip(batch[INDEX_KLINES.key].tolist(), batch["close"].tolist(), strict=True):
            if is_sampled(opened + last_second, expiry, DELIVERY_WINDOW):
                closes.append(units_of(decimal_of(close), _EXPONENT, HALF_EVEN))
    return closes


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _mean(closes: Sequence[int], spec: Instrument) -> int:
    """Return the mean in an instrument's price units, rounded once."""
    return settlement_price(closes, int(10 ** (_EXPONENT - spec.scale.price)))


def settlements_in_words(plan: Mapping[InstrumentId, Settlement]) -> str:
    """Return what is assumed of expiry, contracts of the same together."""
    same: dict[str, list[str]] = {}
    for instrument, settlement in plan.items():
        words = f"at {format_time(settlement.ts)} at {settlement.found}"
        same.setdefault(words, []).append(split_id(instrument)[1])
    return "; ".join(f"{', '.join(names)} {words}" for words, names in same.items()) + ", charged as a taker"
