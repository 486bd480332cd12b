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
    index at that time, which is one sample and not a mean.
    """

    price_units: int
    source: str
    samples: int


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

    The samples are the opens and closes of all candles within the half hour, of the finest that are stored: of the
    index, else of spot. Where there are none, the chain's own index stands.

    Raises:
        DataError: that is so, and the run is strict.
    """
    plan: dict[tuple[InstrumentId, int], OptionSettlement] = {}
    poor: dict[InstrumentId, list[int]] = {}
    for chain in chains.values():
        for expiry in sorted({instruments[i].expiry for i in chain.contracts if start < instruments[i].expiry <= end}):
            found = _mean(lake, split_id(chain.name)[1], expiry)
            if found is None:
                poor.setdefault(chain.name, []).append(expiry)
                last = max((time for time in chain.indices if time <= expiry), default=None)
                found = OptionSettlement(0 if last is None else chain.indices[last], "", 1)
            plan[chain.name, expiry] = found
    for name, times in poor.items():
        shown = ", ".join(format_time(time) for time in times[:3]) + (
            f" and {len(times) - 3} more" if len(times) > 3 else ""
        )
        said = f"{name}: no index or spot candles within the half hour before {shown}"
        if strict:
            raise DataError(f"{said}; execution.strict refuses to settle without", hint=_HINT)
        warnings.append(f"{said}: the chain's own last index is taken as settlement price ({_HINT})")
    return plan


def _mean(lake: Lake, symbol: str, expiry: int) -> OptionSettlement | None:
    for market, kind in _SOURCES:
        if symbol not in lake.symbols(market, kind):
            continue
        for timeframe in lake.timeframes(market, kind, symbol):
            length = timeframe_us(timeframe) if timeframe in TIMEFRAMES else 0
            if not length or OPTION_WINDOW % length:
                continue
            rows = lake.read(market, kind, symbol, timeframe, expiry - OPTION_WINDOW, expiry, names=("open", "close"))
            samples = [
                round(float(price) * 10**PRICE_DECIMALS)
                for batch in rows
                for name in ("open", "close")
                for price in batch[name]
            ]
            if samples:
                return OptionSettlement(
                    settlement_price(samples), f"{market}:{symbol}/{kind}:{timeframe}", len(samples)
                )
    return None


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
