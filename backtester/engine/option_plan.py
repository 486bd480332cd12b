"""The option chains of a run: which contracts they list, what the index was, and where hours are missing."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import fsum, isfinite
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.core.instruments import (
    OPTION,
    InstrumentId,
    instrument_id,
    option_name,
    split_id,
    split_symbol,
)
from backtester.core.numbers import MONEY_EXPONENT
from backtester.core.time import HOUR, TIMEFRAMES, format_time, timeframe_us
from backtester.data.feeds.records import contract_symbol
from backtester.data.lake import Lake
from backtester.data.schemas import EOH_SUMMARY, KLINES
from backtester.engine.feed_plan import FeedName, download_hint

PRICE_DECIMALS: Final = MONEY_EXPONENT  # of every chain: marks and means of the index have more digits than quotes
CHAIN_KIND: Final = EOH_SUMMARY.kind
_INDEX_SOURCES: Final = (("um", "indexPriceKlines"), ("spot", KLINES.kind))

Floats = NDArray[np.float64]


class Chain(NamedTuple):
    """One chain of a run, under `option:BTCUSDT`.

    contracts: that are traded, sorted. indices: of the underlying at each row, in 10^-8, by the time (UTC µs) at which
    it is known; index_times: of when each of them is. listings: when the first row became known that names a contract.
    lacking: how many of the run's hours have no row; without_index: how many rows imply none.
    """

    name: InstrumentId
    contracts: tuple[InstrumentId, ...]
    indices: Mapping[int, int]
    index_times: Mapping[int, int]
    listings: Mapping[InstrumentId, int]
    lacking: int
    without_index: int


def chains_of(lake: Lake, ids: Iterable[InstrumentId]) -> dict[InstrumentId, list[InstrumentId]]:
    """Return the chains that options of a run are of, and which of their contracts were asked for; [] is all.

    Args:
        ids: of options: `option:BTCUSDT` is a whole chain, `option:BTC-231229-34000-C` one contract.

    Raises:
        DataError: the lake has no such chain.
    """
    stored = lake.symbols(OPTION, CHAIN_KIND)
    bases = {split[0]: symbol for symbol in stored if (split := split_symbol(symbol)) is not None}
    whole: set[InstrumentId] = set()
    found: dict[InstrumentId, list[InstrumentId]] = {}
    for one in ids:
        symbol = split_id(one)[1]
        name = option_name(symbol)
        chain = symbol if name is None else bases.get(name.base, f"{name.base}USDT")
        if chain not in stored:
            raise DataError(
                f"{one}: the lake {lake.root} has no option chain on {chain}; it has: {', '.join(stored) or 'none'}",
                hint=f"bt download --market option --kind {CHAIN_KIND} --symbols {chain}, or write "
                "option:BTCUSDT for a chain, option:BTC-231229-34000-C for a contract",
            )
        own = found.setdefault(instrument_id(OPTION, chain), [])
        if name is None:
            whole.add(instrument_id(OPTION, chain))
        else:
            own.append(one)
    return {chain: [] if chain in whole else sorted(own) for chain, own in sorted(found.items())}


def chain_span(lake: Lake, chain: InstrumentId) -> tuple[int, int]:
    """Return from when to when (UTC µs) a chain's hours reach."""
    partitions = lake.partitions(OPTION, CHAIN_KIND, split_id(chain)[1], "")
    return partitions[0].first_time, partitions[-1].last_time + HOUR


def read_chains(
    lake: Lake,
    chained: Mapping[InstrumentId, Sequence[InstrumentId]],
    start: int,
    end: int,
    *,
    strict: bool,
    warnings: list[str],
) -> dict[InstrumentId, Chain]:
    """Return what a run must know of its chains beforehand; arguments as of `read_chain`."""
    return {
        name: read_chain(lake, name, own, start, end, strict=strict, warnings=warnings) for name, own in chained.items()
    }


def read_chain(
    lake: Lake,
    name: InstrumentId,
    asked: Sequence[InstrumentId],
    start: int,
    end: int,
    *,
    strict: bool,
    warnings: list[str],
) -> Chain:
    """Return what a run must know of a chain beforehand.

    Args:
        asked: contracts; [] is all that have a row in the range and do not expire before it.
        start, end: the range, UTC µs.
        warnings: takes what a reader must know of missing hours.

    Raises:
        DataError: the chain has no rows in the range, or does not list a contract; or hours are missing, or the index
            of some, and the run is strict.
    """
    first_rows, hours = _rows(lake, name, start - HOUR, end)
    if not hours:
        raise DataError(
            f"the chain {name} has no rows from {format_time(start)} to {format_time(end)} in {lake.root}",
            hint=download_hint(FeedName(name, CHAIN_KIND, ""), start, end),
        )
    base = (split_symbol(split_id(name)[1]) or (split_id(name)[1], ""))[0]
    listings = {
        instrument_id(OPTION, contract_symbol(base, *one)): time + HOUR
        for one, time in first_rows.items()
        if one[0] > start
    }
    contracts = sorted(listings)
    for one in asked:
        if one not in contracts:
            raise _unlisted(one, name, contracts, start, end)
    index, times, without = _index(lake, name, hours)
    within = [time for time in sorted(hours) if start <= time < end]
    lacking = (end - start) // HOUR - len(within)
    problems = []
    if lacking > 0:
        problems.append(
            f"{name}: {lacking} of {(end - start) // HOUR} hours have no rows: nothing fills in them, marks stay"
        )
    if without:
        problems.append(
            f"{name}: {without} of {len(hours)} rows imply no index; "
            "candles of the underlying stand for it, else the last known one"
        )
    if problems and strict:
        hint = download_hint(FeedName(name, CHAIN_KIND, ""), start, end)
        raise DataError(f"{problems[0]}; execution.strict refuses that", hint=hint)
    warnings += problems
    return Chain(name, tuple(asked or contracts), index, times, listings, max(0, lacking), without)


def _rows(
    lake: Lake, name: InstrumentId, start: int, end: int
) -> tuple[dict[tuple[int, float, bool], int], dict[int, float | None]]:
    """Return the contracts with a row in the range by their first hour, and by hour the index that its open interest
    implies.
    """
    columns = ("expiry", "strike", "is_call", "open_interest", "open_interest_value")
    listed: dict[tuple[int, float, bool], int] = {}
    sums: dict[int, tuple[list[float], list[float]]] = {}
    for batch in lake.read(OPTION, CHAIN_KIND, split_id(name)[1], "", start, end, names=columns):
        times = batch["time"].tolist()
        contract = zip(batch["expiry"].tolist(), batch["strike"].tolist(), batch["is_call"].tolist(), strict=True)
        for one, time in zip(contract, times, strict=True):
            listed.setdefault(one, time)
        for time, contracts, value in zip(
            times,
            batch["open_interest"].tolist(),
            batch["open_interest_value"].tolist(),
            strict=True,
        ):
            seen = sums.setdefault(time, ([], []))
            if contracts > 0 and value > 0 and isfinite(contracts) and isfinite(value):
                seen[0].append(contracts)
                seen[1].append(value)
    return listed, {time: fsum(values) / fsum(held) if held else None for time, (held, values) in sums.items()}


def _unlisted(
    one: InstrumentId, chain: InstrumentId, contracts: Sequence[InstrumentId], start: int, end: int
) -> DataError:
    name = option_name(split_id(one)[1])
    span = f"from {format_time(start)} to {format_time(end)}"
    if name is not None and name.expiry <= start:
        return DataError(
            f"{one} expired at {format_time(name.expiry)}, before the run begins ({format_time(start)})",
            hint="choose an earlier --start, or a later contract",
        )
    same = [c for c in contracts if c.rpartition("-")[2] == one.rpartition("-")[2]]

    def distance(contract: InstrumentId) -> tuple[int, Decimal]:
        other = option_name(split_id(contract)[1])
        assert other is not None
        assert name is not None
        return abs(other.expiry - name.expiry), abs(other.strike - name.strike)

    near = sorted(same, key=distance)[:3] if name is not None else []
    return DataError(
        f"{one} is not in the chain {chain} {span}, which lists {len(contracts)} contracts"
        + (f"; near it: {', '.join(near)}" if near else ""),
        hint=f"--symbols {chain} takes all of them",
    )


def _index(
    lake: Lake, name: InstrumentId, hours: Mapping[int, float | None]
) -> tuple[dict[int, int], dict[int, int], int]:
    """Return the index by the time at which it is known, and of when each is; and how many rows imply none.

    It is what open interest implies, else the last candle of the underlying that closed within the hour, else the last
    known one.
    """
    found: dict[int, int] = {}
    of_when: dict[int, int] = {}
    last, since, without = 0, 0, 0
    for time in sorted(hours):
        implied, known = hours[time], time + HOUR
        without += implied is None
        price = implied if implied is not None else _candle_close(lake, split_id(name)[1], known)
        if price is not None:
            last, since = round(price * 10**PRICE_DECIMALS), known
        found[known], of_when[known] = last, since
    return found, of_when, without


def _candle_close(lake: Lake, symbol: str, known: int) -> float | None:
    for market, kind in _INDEX_SOURCES:
        if symbol not in lake.symbols(market, kind):
            continue
        for timeframe in lake.timeframes(market, kind, symbol):
            length = timeframe_us(timeframe) if timeframe in TIMEFRAMES else 0
            if not 0 < length <= HOUR:
                continue
            rows = lake.read(market, kind, symbol, timeframe, known - HOUR, known - length + 1, names=("close",))
            closes = [float(close) for batch in rows for close in batch["close"]]
            if closes:
                return closes[-1]
    return None
