"""At which prices the options of a run settle: the mean of the index over the last half hour before their expiry."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from backtester.core.errors import DataError
from backtester.core.instruments import Instrument, InstrumentId, split_id
from backtester.core.time import TIMEFRAMES, format_time, timeframe_us
from backtester.data.lake import Lake
from backtester.data.schemas import INDEX_KLINES, KLINES
from backtester.engine.option_plan import PRICE_DECIMALS, Chain
from backtester.sim.settlement import OPTION_WINDOW, settlement_price

_SOURCES: Final = (("um", INDEX_KLINES.kind), ("spot", KLINES.kind))
_HINT: Final = "import index candles: bt download --market um --kind indexPriceKlines --timeframe 1m, or spot candles"


class OptionSettlement(NamedTuple):
    """What an expiry settles at, in 10^-8. source: the series whose candles were the samples; empty: the chain's own
    index, which is one sample and not a mean. samples, expected: how many there were, and how many the half hour has.
    known: until when they reach, UTC µs.
    """

    price_units: int
    source: str
    samples: int
    expected: int
    known: int


SettlementPlan = Mapping[tuple[InstrumentId, int], OptionSettlement]


def option_settlements(
    lake: Lake,
    chains: Mapping[InstrumentId, Chain],
    instruments: Mapping[InstrumentId, Instrument],
    start: int,
    end: int,
    *,
    strict: bool,
    warnings: list[str],
) -> dict[tuple[InstrumentId, int], OptionSettlement]:
    """Return the settlement of every expiry in (start, end], by chain and time (UTC µs).

    The samples are the opens and closes of all candles within the half hour, of the finest series that has them all: of
    the index, else of spot; else of the one that lacks the least. Where there are none, the chain's own index stands.

    Raises:
        DataError: samples are missing, and the run is strict; or no index is known at all.
    """
    plan: dict[tuple[InstrumentId, int], OptionSettlement] = {}
    for chain in chains.values():
        for expiry in sorted({instruments[i].expiry for i in chain.contracts if start < instruments[i].expiry <= end}):
            found = _mean(lake, split_id(chain.name)[1], expiry) or _own_index(chain, expiry)
            plan[chain.name, expiry] = found
    for what, said in _problems(plan):
        if strict:
            raise DataError(f"{said}; execution.strict refuses to settle {what}", hint=_HINT)
        warnings.append(f"{said} ({_HINT})")
    return plan


def _mean(lake: Lake, symbol: str, expiry: int) -> OptionSettlement | None:
    """Return the mean by the first series that is complete, else by the most complete one; None: there is none."""
    best: OptionSettlement | None = None
    for market, kind in _SOURCES:
        if symbol not in lake.symbols(market, kind):
            continue
        for timeframe in lake.timeframes(market, kind, symbol):
            length = timeframe_us(timeframe) if timeframe in TIMEFRAMES else 0
            if not length or OPTION_WINDOW % length:
                continue
            found = _mean_of(lake, (market, kind, symbol, timeframe), expiry, length)
            if found is None:
                continue
            if found.samples == found.expected:
                return found
            if best is None or found.samples * best.expected > best.samples * found.expected:
                best = found
    return best


def _mean_of(lake: Lake, series: tuple[str, str, str, str], expiry: int, length: int) -> OptionSettlement | None:
    market, kind, symbol, timeframe = series
    samples: list[int] = []
    last = 0
    names = ("open_time", "open", "close")
    for batch in lake.read(*series, expiry - OPTION_WINDOW, expiry, names=names):
        for name in ("open", "close"):
            samples += [round(float(price) * 10**PRICE_DECIMALS) for price in batch[name]]
        last = int(batch["open_time"][-1]) + length if len(batch["open_time"]) else last
    if not samples:
        return None
    source = f"{market}:{symbol}/{kind}:{timeframe}"
    return OptionSettlement(settlement_price(samples), source, len(samples), 2 * OPTION_WINDOW // length, last)


def _own_index(chain: Chain, expiry: int) -> OptionSettlement:
    """Return what the last row before an expiry that implies an index says of it."""
    last = max((time for time in chain.indices if time <= expiry), default=None)
    if last is None or not chain.indices[last]:
        raise DataError(f"{chain.name}: no index is known for what expires at {format_time(expiry)}", hint=_HINT)
    return OptionSettlement(chain.indices[last], "", 1, 0, chain.index_times[last])


def _problems(plan: SettlementPlan) -> list[tuple[str, str]]:
    """Return in words what was settled without all samples, by chain: how, and what is lacking."""
    own: dict[InstrumentId, list[str]] = {}
    partial: dict[InstrumentId, list[str]] = {}
    for (name, expiry), one in plan.items():
        if not one.source:
            own.setdefault(name, []).append(f"{format_time(expiry)} (the index of {format_time(one.known)})")
        elif one.samples < one.expected:
            shown = f"{format_time(expiry)} ({one.samples} of {one.expected} samples of {one.source})"
            partial.setdefault(name, []).append(shown)
    found = [
        (
            "without",
            f"{name}: no index or spot candles within the half hour before {_first(times)}: "
            "the chain's own last index is taken as settlement price",
        )
        for name, times in own.items()
    ]
    found += [
        (
            "by a part",
            f"{name}: candles are missing within the half hour before {_first(times)}: the mean of the others is taken",
        )
        for name, times in partial.items()
    ]
    return found


def _first(times: list[str]) -> str:
    return ", ".join(times[:3]) + (f" and {len(times) - 3} more" if len(times) > 3 else "")


def settlement_in_words(plan: SettlementPlan) -> str:
    """Return from what the settlement prices of a run are made."""
    if not plan:
        return "nothing expires"
    sources = sorted({one.source for one in plan.values() if one.source})
    words = (
        [f"the mean of opens and closes of {' and '.join(sources)} over the half hour before expiry"] if sources else []
    )
    words += ["the chain's own last index"] if any(not one.source for one in plan.values()) else []
    return ", else ".join(words)
