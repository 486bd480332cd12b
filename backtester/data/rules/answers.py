"""What an answer of the venue is, told by its content, and what it says of each symbol."""

import re
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from backtester.core.errors import DataError, UsageError
from backtester.data.partition import symbol_name
from backtester.data.rules.exchange_info import futures_rules, option_rules, spot_rules
from backtester.data.rules.reading import Fields, read_json
from backtester.data.rules.values import Bracket, Brackets, FeeRates, FundingTerms, Value

MARKETS: Final = ("spot", "um", "cm", "option")
_KNOWN: Final = (
    "known: exchangeInfo (spot, um, cm, option), leverageBracket (um, cm), fundingInfo (um, cm), "
    "tradeFee (spot), commissionRate (um, cm)"
)
_UNIFIED: Final = re.compile(r"(?P<base>[^/:]+)/(?P<quote>[^/:]+):(?P<settle>[^/:-]+)(?:-(?P<expiry>\d{6}))?")
_CM_SYMBOL: Final = re.compile(r".+USD_(PERP|\d{6})")


class Answer(NamedTuple):
    """One answer: its market and kind, when it was true (UTC µs), and its values by symbol."""

    name: str
    market: str
    kind: str
    date: int
    values: dict[str, Value]


def read_answer(
    content: bytes, name: str, *, market: str = "", date: int | None = None, symbols: Collection[str] = ()
) -> Answer:
    """Read an answer.

    Args:
        content: its bytes, JSON or gzipped JSON.
        name: of its file or address, for messages.
        market: what is expected; needed only where the content cannot tell.
        date: when it was true, where it does not say so itself.
        symbols: those to read; all when empty.

    Raises:
        DataError: it is no answer that is known, of another market, or something in it is missing or wrong.
        UsageError: it bears no date and none was given.
    """
    raw = read_json(content, name)
    if isinstance(raw, dict) and "code" in raw and "msg" in raw:
        raise DataError(f"{name} is an error of the venue: {raw['code']} {raw['msg']}", hint="fetch the answer again")
    found = _exchange_info(raw, name) if isinstance(raw, dict) and "serverTime" in raw else _table(raw, name)
    if market and found.market != market:
        raise DataError(f"{name} is {found.kind} of {found.market}, not of {market}", hint=f"--market {found.market}")
    server_time = Fields(raw, name).time("serverTime") if isinstance(raw, dict) and "serverTime" in raw else date
    if server_time is None:
        raise UsageError(
            f"{name} ({found.kind} of {found.market}) does not say when it was true",
            hint="--date 2024-01-31: the day on which it was fetched",
        )
    wanted = set(symbols)
    values: dict[str, Value] = {}
    for symbol, fields in found.entries:
        if wanted and symbol not in wanted:
            continue
        if symbol in values:
            raise DataError(f"{name} names {symbol} twice")
        values[symbol] = found.read(fields)
    return Answer(name, found.market, found.kind, server_time, values)


class _Found(NamedTuple):
    market: str
    kind: str
    entries: list[tuple[str, Fields]]
    read: Callable[[Fields], Value]


def _exchange_info(raw: dict[str, Any], name: str) -> _Found:
    answer = Fields(raw, name)
    if "optionSymbols" in raw:
        return _Found("option", "symbol", _entries(answer.items("optionSymbols"), name, "option"), option_rules)
    if "symbols" not in raw:
        raise DataError(f"{name} has a serverTime but no symbols: it is no exchangeInfo", hint=_KNOWN)
    items = answer.items("symbols")
    keys = {key for item in items if isinstance(item, dict) for key in item}
    if "contractSize" in keys:
        return _Found("cm", "symbol", _entries(items, name, "cm"), futures_rules)
    if keys & {"contractType", "requiredMarginPercent"}:
        return _Found("um", "symbol", _entries(items, name, "um"), futures_rules)
    return _Found("spot", "symbol", _entries(items, name, "spot"), spot_rules)


def _table(raw: object, name: str) -> _Found:
    """Return an answer that is a list of objects, or one such object."""
    items = raw if isinstance(raw, list) else [raw]
    if not items:
        raise DataError(f"{name} is an empty list", hint="fetch the answer again")
    keys = set(items[0]) if isinstance(items[0], dict) else set()
    known: tuple[tuple[str, str, Callable[[Fields], Value]], ...] = (
        ("brackets", "brackets", _brackets),
        ("fundingIntervalHours", "funding", _funding),
        ("makerCommissionRate", "fees", _futures_fees),
        ("makerCommission", "fees", _spot_fees),
    )
    for key, kind, read in known:
        if key in keys and "symbol" in keys:
            markets = {"spot"} if read is _spot_fees else {_futures_market(item, name) for item in items}
            if len(markets) > 1:
                raise DataError(f"{name} mixes {' and '.join(sorted(markets))}", hint="split it by market")
            [market] = markets
            return _Found(market, kind, _entries(items, name, market), read)
    shown = ", ".join(sorted(map(str, keys))[:8]) or type(raw).__name__
    raise DataError(f"{name} is no answer with rules that is known (it has: {shown})", hint=_KNOWN)


def _entries(items: list[object], name: str, market: str) -> list[tuple[str, Fields]]:
    entries = []
    for number, item in enumerate(items, start=1):
        symbol = symbol_name(venue_symbol(Fields(item, f"{name}, entry {number}").text("symbol")))
        entries.append((symbol, Fields(item, f"{name}: {market}:{symbol}")))
    return entries


def venue_symbol(symbol: str) -> str:
    """Return a symbol as the venue writes it; BASE/QUOTE:SETTLE, with -YYMMDD for a delivery, is translated."""
    match = _UNIFIED.fullmatch(symbol)
    if match is None:
        return symbol
    perpetual = "_PERP" if match["settle"] != match["quote"] else ""
    return match["base"] + match["quote"] + (f"_{match['expiry']}" if match["expiry"] else perpetual)


def _futures_market(item: object, name: str) -> str:
    symbol = venue_symbol(Fields(item, f"{name}: an entry").text("symbol"))
    return "cm" if _CM_SYMBOL.fullmatch(symbol) else "um"


def _brackets(one: Fields) -> Brackets:
    steps: list[Bracket] = []
    for number, item in enumerate(one.items("brackets"), start=1):
        fields = Fields(item, f"{one.where}: bracket {number}")
        floor, cap = ("notionalFloor", "notionalCap") if fields.has("notionalCap") else ("qtylFloor", "qtyCap")
        step = Bracket(
            floor=fields.number(floor),
            cap=fields.number(cap),
            max_leverage=fields.integer("initialLeverage", least=1),
            maintenance_rate=fields.number("maintMarginRatio"),
            deduction=fields.number("cum"),
        )
        if step.floor != (steps[-1].cap if steps else 0) or step.cap <= step.floor:
            raise DataError(f"{fields.where} is from {step.floor} to {step.cap}: brackets must follow each other")
        steps.append(step)
    return Brackets(tuple(steps))


def _funding(one: Fields) -> FundingTerms:
    return FundingTerms(
        interval_hours=one.integer("fundingIntervalHours", least=1),
        floor=one.number("adjustedFundingRateFloor", signed=True),
        cap=one.number("adjustedFundingRateCap", signed=True),
    )


def _spot_fees(one: Fields) -> FeeRates:
    return _fees(one, "makerCommission", "takerCommission")


def _futures_fees(one: Fields) -> FeeRates:
    return _fees(one, "makerCommissionRate", "takerCommissionRate")


def _fees(one: Fields, maker: str, taker: str) -> FeeRates:
    rates = {}
    for side, name in (("maker", maker), ("taker", taker)):
        rates[side] = one.number(name, signed=True)
        if abs(rates[side]) >= 1 or rates[side].as_tuple().exponent < -8:  # type: ignore[operator]
            raise DataError(f"{one.where}: {name} is {rates[side]}, not a fraction of at most eight decimals")
    return FeeRates(**rates)
