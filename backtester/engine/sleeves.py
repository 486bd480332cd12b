"""Several strategies in one run: what each trades, sees and owns. A plain run is one of them, without an id."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import structs

from backtester.config.configs import AccountSection, BacktestConfig
from backtester.config.portfolio import StrategyEntry
from backtester.core.errors import UsageError
from backtester.core.instruments import (
    OPTION,
    Holding,
    Instrument,
    InstrumentId,
    holding_of,
    in_sleeve,
    parse_instrument,
    split_holding,
    split_id,
    split_sleeve,
)
from backtester.core.numbers import MONEY_EXPONENT, MONEY_SCALE, decimal, exact_units
from backtester.core.time import first_open, format_time, last_open, parse_time, timeframe_us
from backtester.engine.feed_plan import PlannedFeed
from backtester.strategy.base import StrategyParams
from backtester.strategy.registry import FoundStrategy


class Sleeve(NamedTuple):
    """One strategy of a run. id: empty when it is the only one and has the whole account. name: as the config names it.

    instruments: what it trades, as the venue lists it. feeds: what it sees, each from its own warm-up on. warmup: how
    many candles it asked for.
    """

    id: str
    name: str
    found: FoundStrategy
    params: StrategyParams
    timeframe: str
    instruments: tuple[InstrumentId, ...]
    share: Decimal = Decimal(1)
    warmup: int = 0
    feeds: tuple[PlannedFeed, ...] = ()

    @property
    def shown(self) -> str:
        """How messages call it."""
        return f"{self.id} ({self.found.name})" if self.id and self.id != self.found.name else self.found.name

    @property
    def whose(self) -> str:
        """How sentences call it."""
        return f"strategy {self.id}" if self.id else "the strategy"

    def seed(self, seed: int) -> int:
        """Return the seed of its randomness, of the run's: each of several has its own, wherever it stands."""
        if not self.id:
            return seed
        return int.from_bytes(blake2b(f"{seed}/{self.id}".encode(), digest_size=8).digest()) >> 1


def named_instruments(texts: Iterable[str], market: str) -> tuple[InstrumentId, ...]:
    """Return the instruments that texts mean, sorted, each once: their order decides nothing."""
    return tuple(sorted({parse_instrument(text, market) for text in texts}))


def entry_symbols(config: BacktestConfig, entry: StrategyEntry) -> tuple[InstrumentId, ...]:
    """Return what an entry of `[[strategies]]` trades.

    Raises:
        UsageError: nothing is named.
    """
    found = named_instruments(entry.symbols or config.run.symbols, config.run.market)
    if not found:
        raise UsageError(
            f"strategy {entry.id} names no symbols, and [run] has none",
            hint="symbols = [...] in its [[strategies]], or --symbols for all that have none of their own",
        )
    return found


def config_for_sleeves(config: BacktestConfig) -> BacktestConfig:
    """Return the config of several strategies with what each trades spelled out, and as the run's own the symbols of
    all and their shortest timeframe.

    Raises:
        UsageError: what they ask for does not go together.
    """
    if not config.strategies:
        return config
    if config.futures.position_mode != "one_way":
        raise UsageError(
            f"[[strategies]] and futures.position_mode = {config.futures.position_mode!r} do not go together: each "
            "strategy has one position of its own in a future",
            hint="leave futures.position_mode out; a long and a short strategy have a position each",
        )
    entries = tuple(
        entry.model_copy(
            update={"symbols": entry_symbols(config, entry), "timeframe": entry.timeframe or config.run.timeframe}
        )
        for entry in config.strategies
    )
    symbols = {*named_instruments(config.run.symbols, config.run.market)}.union(*(entry.symbols for entry in entries))
    if options := sorted(i for i in symbols if split_id(i)[0] == OPTION):
        raise UsageError(
            f"[[strategies]] do not trade options yet, and {options[0]} is one",
            hint="run the strategy with options alone: --strategy",
        )
    frames = [entry.timeframe for entry in entries]
    run = {"symbols": tuple(sorted(symbols)), "timeframe": min(frames, key=timeframe_us)}
    return config.model_copy(update={"run": config.run.model_copy(update=run), "strategies": entries})


def check_entries_alone(config: BacktestConfig, params_file: Path | None, options: Mapping[str, Any]) -> None:
    """Refuse what says something of one strategy, where there are several.

    Raises:
        UsageError: says what.
    """
    ids = ", ".join(entry.id for entry in config.strategies)
    if config.strategy.name:
        raise UsageError(
            f"--strategy {config.strategy.name}, and the config has [[strategies]] {ids}: a run has the one or "
            "the others",
            hint="leave --strategy out, or choose another --config",
        )
    if params_file is not None or options:
        given = f"--params {params_file}" if params_file is not None else f"-p {next(iter(options))}=..."
        raise UsageError(
            f"{given} is of one strategy, and the config has {ids}", hint="write params into its [[strategies]]"
        )


def resolved_strategies(config: BacktestConfig, sleeves: Sequence[Sleeve]) -> dict[str, Any]:
    """Return the sections that name the strategies, every default spelled out."""
    if not config.strategies:
        return {"strategy": {"name": config.strategy.name, "params": sleeves[0].params.model_dump()}}
    return {
        "strategies": [
            {
                "id": sleeve.id,
                "name": sleeve.name,
                "symbols": [str(i) for i in sleeve.instruments],
                "timeframe": sleeve.timeframe,
                "share": sleeve.share,
                "params": sleeve.params.model_dump(),
            }
            for sleeve in sleeves
        ]
    }


def grid_us(sleeves: Sequence[Sleeve]) -> int:
    """Return on which grid a run begins and ends: the longest timeframe of its strategies, µs."""
    return max(timeframe_us(sleeve.timeframe) for sleeve in sleeves)


def with_sleeves(
    instruments: Mapping[InstrumentId, Instrument], sleeves: Sequence[Sleeve]
) -> dict[InstrumentId, Instrument]:
    """Return the instruments, and after each the positions that several strategies have in it."""
    found: dict[InstrumentId, Instrument] = {}
    for instrument, spec in instruments.items():
        owners = tuple(sleeve.id for sleeve in sleeves if sleeve.id and instrument in sleeve.instruments)
        found[instrument] = structs.replace(spec, sleeves=owners) if owners else spec
        for owner in owners:
            name = InstrumentId(in_sleeve(instrument, owner))
            found[name] = structs.replace(spec, id=name, symbol=in_sleeve(spec.symbol, owner))
    return found


def wallets_of_sleeves(config: BacktestConfig, sleeves: Sequence[Sleeve], account: AccountSection) -> AccountSection:
    """Return `[account]` with what each of several strategies starts with in wallets of its own: "um@trend:USDT".

    The initial cash is split by the shares, and lies in the run's market where the strategy trades it, else in the
    first that it trades. Wallets that the config names are split likewise among the strategies that trade their market;
    wallets that name a strategy are what they say. What is left is the reserve.

    Args:
        account: resolved.

    Raises:
        UsageError: a wallet names a strategy or a market that is none.
    """
    if not sleeves[0].id:
        return account
    markets = {sleeve.id: sorted({split_id(i)[0] for i in sleeve.instruments}) for sleeve in sleeves}
    if any(split_sleeve(split_holding(Holding(name))[0])[1] for name in account.wallets):
        _check_own_wallets(account, markets)
        return account
    wallets: dict[str, Decimal] = {}
    for name, amount in account.wallets.items():
        market, asset = split_holding(Holding(name))
        units = exact_units(amount, MONEY_EXPONENT)
        paid = [s for s in sleeves if not config.account.wallets or market in markets[s.id]]
        parts = split_units(units, [sleeve.share for sleeve in paid])
        for sleeve, part in zip(paid, parts, strict=True):
            own = market if market in markets[sleeve.id] else markets[sleeve.id][0]
            wallets[holding_of(in_sleeve(own, sleeve.id), asset)] = decimal(part, MONEY_EXPONENT)
        if left := units - sum(parts):
            wallets[name] = decimal(left, MONEY_EXPONENT)
    return account.model_copy(update={"wallets": {name: wallets[name] for name in sorted(wallets)}})


def starting_warnings(
    config: BacktestConfig, account: AccountSection, sleeves: Sequence[Sleeve], start: int, end: int
) -> list[str]:
    """Return what a reader must know of several strategies beforehand: who has nothing, and where the range moved.

    Args:
        account: resolved.
        start, end: of the run, on the grid of all of them.
    """
    return [*_moneyless(account, sleeves), *_moved_range(config, start, end)] if config.strategies else []


def _moneyless(account: AccountSection, sleeves: Sequence[Sleeve]) -> list[str]:
    """Return a warning for each strategy that starts with nothing."""
    paid = {split_sleeve(split_holding(Holding(name))[0])[1] for name, amount in account.wallets.items() if amount}
    return [
        f"strategy {sleeve.id} starts with no money: account.wallets names {', '.join(account.wallets)}, and it can "
        "trade nothing"
        for sleeve in sleeves
        if sleeve.id not in paid
    ]


def _moved_range(config: BacktestConfig, start: int, end: int) -> list[str]:
    """Return a warning for an end of the range that the longest timeframe moved."""
    own = timeframe_us(config.run.timeframe)
    asked = {
        "start": (start, config.run.start and first_open(parse_time(config.run.start), own)),
        "end": (end, config.run.end and last_open(parse_time(config.run.end), own)),
    }
    return [
        f"run.{name} is {getattr(config.run, name)}, and the run's {name} {format_time(at)}: it begins and ends on the "
        "grid of the longest timeframe of its strategies"
        for name, (at, wanted) in asked.items()
        if wanted and wanted != at
    ]


def _check_own_wallets(account: AccountSection, markets: Mapping[str, Sequence[str]]) -> None:
    for name in account.wallets:
        market, owner = split_sleeve(split_holding(Holding(name))[0])
        if owner and owner not in markets:
            raise UsageError(f"account.wallets names {name!r}", hint=f"the strategies are: {', '.join(markets)}")
        if owner and market not in markets[owner]:
            raise UsageError(
                f"account.wallets names {name!r}, and {owner} trades {', '.join(markets[owner])}",
                hint="a strategy has wallets of the markets that it trades",
            )


def split_units(units: int, shares: Sequence[Decimal]) -> list[int]:
    """Return parts of an amount by shares of it, together exactly the share that all have: each rounded down, then one
    unit more for the largest remainders, of equal ones the first.
    """
    exact = [units * exact_units(share, MONEY_EXPONENT) for share in shares]
    parts = [one // MONEY_SCALE for one in exact]
    missing = sum(exact) // MONEY_SCALE - sum(parts)
    by_remainder = sorted(range(len(parts)), key=lambda i: (-(exact[i] % MONEY_SCALE), i))
    for i in by_remainder[:missing]:
        parts[i] += 1
    return parts
