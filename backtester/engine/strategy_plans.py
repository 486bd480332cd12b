"""Which strategies a run has, what each needs to see, and from when on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from backtester.config.configs import BacktestConfig
from backtester.config.loading import Layer, merged, read_toml, validated
from backtester.config.portfolio import StrategyEntry
from backtester.core.errors import BacktesterError, StrategyError, UsageError
from backtester.core.instruments import OPTION, InstrumentId, split_id
from backtester.core.time import first_open, timeframe_us
from backtester.data.lake import Lake
from backtester.engine.feed_plan import FEED_HINT, FeedName, PlannedFeed, feed_names, traded_candles
from backtester.engine.resolution import mark_feeds
from backtester.engine.sleeves import Sleeve, check_entries_alone, named_instruments
from backtester.strategy.base import Strategy, StrategyParams
from backtester.strategy.contract import in_words, line_of
from backtester.strategy.registry import FoundStrategy, find_strategy
from backtester.strategy.signals import SignalStrategy


class Chosen(NamedTuple):
    """A strategy and its parameters; entry: of `[[strategies]]`, None when it is the only one."""

    entry: StrategyEntry | None
    found: FoundStrategy
    params: StrategyParams


class StrategyPlan(NamedTuple):
    """What a strategy is to see. names: the feeds that it or the config asks for. candles: of what it trades. starts:
    from when on each instrument is read for it.
    """

    sleeve: Sleeve
    names: list[FeedName]
    candles: list[FeedName]
    starts: Mapping[InstrumentId, int] = {}

    def read_from(self, lake: Lake, sources: Mapping[InstrumentId, str], start: int, least: int) -> "StrategyPlan":
        """Return the plan with the warm-up that the strategy asks for, or at least so many candles."""
        own, warmup = self.sleeve, max(self.sleeve.warmup, least)
        traded = [i for i in own.instruments if i in sources]
        found = {i: warmup_start(lake, i, sources[i], own.timeframe, start, warmup) for i in traded}
        return self._replace(starts=found)

    def seeing(self, feeds: list[PlannedFeed]) -> Sleeve:
        """Return the strategy with its feeds, of all that the run reads."""
        if not self.sleeve.id:
            return self.sleeve._replace(feeds=tuple(feeds))
        own, earliest = {*self.names, *self.candles}, min(self.starts.values())
        seen = [feed for feed in feeds if feed.name in own]
        starts = [max(feed.start, self.starts.get(feed.name.instrument, earliest)) for feed in seen]
        return self.sleeve._replace(feeds=tuple(feed._replace(start=at) for feed, at in zip(seen, starts, strict=True)))


def planned(config: BacktestConfig, asked: list[InstrumentId], chosen: Chosen) -> StrategyPlan:
    """Return what a strategy trades and asks for; asked: what the run names."""
    entry, found, params = chosen
    timeframe, traded, own = config.run.timeframe, tuple(asked), Sleeve("", config.strategy.name, *chosen[1:], "", ())
    if entry is not None:
        timeframe, traded = entry.timeframe, named_instruments(entry.symbols, config.run.market)
        own = own._replace(id=entry.id, name=entry.name, share=entry.share)
    ids = [i for i in traded if split_id(i)[0] != OPTION]
    needs = needs_of(found, params, timeframe)
    names = feed_names([*config.data.feeds, *needs.feeds, *mark_feeds(config, ids)], ids, config.run.market)
    own = own._replace(timeframe=timeframe, instruments=traded, warmup=needs.warmup_candles)
    return StrategyPlan(own, names, traded_candles(ids, timeframe))


def chosen_strategies(
    config: BacktestConfig,
    params_file: Path | None,
    options: Mapping[str, Any],
    relative_to: Path | None,
    found: FoundStrategy | None = None,
) -> list[Chosen]:
    """Return the strategies that a config names, in its order; found: the only one, where it is at hand."""
    if not config.strategies:
        found = found or find_strategy(config.strategy.name, relative_to=relative_to)
        return [Chosen(None, found, params_of(found, config.strategy.params, params_file, options))]
    check_entries_alone(config, params_file, options)
    chosen = []
    for entry in config.strategies:
        try:
            found = find_strategy(entry.name, relative_to=relative_to)
            chosen.append(Chosen(entry, found, params_of(found, entry.params, None, {})))
        except UsageError as error:
            raise UsageError(f"[[strategies]] {entry.id}: {error.message}", hint=error.hint) from error
    _check_files(chosen)
    return chosen


def _check_files(chosen: Sequence[Chosen]) -> None:
    """Refuse strategies in two files of one name: in a process, and in the folder of a run, they would be one.

    Raises:
        UsageError: names them.
    """
    files: dict[str, Path] = {}
    for file in [one.found.file for one in chosen if one.found.file is not None]:
        other = files.setdefault(file.stem, file)
        if other != file:
            raise UsageError(
                f"two strategies are in files of one name: {other} and {file}", hint="rename one of the files"
            )


def params_of(
    found: FoundStrategy, said: Mapping[str, Any] | None, params_file: Path | None, options: Mapping[str, Any]
) -> StrategyParams:
    """Return a strategy's parameters: what the config says, else its TOML, with options laid over.

    Raises:
        UsageError: a key is unknown, or a value or a combination of them is not allowed.
    """
    content, where = params_layer(found, said, params_file)
    return validated(found.cls.Params, merged(content, options), where=where)


def params_layer(found: FoundStrategy, said: Mapping[str, Any] | None, params_file: Path | None) -> tuple[Layer, str]:
    """Return what config and files say of a strategy's parameters, not validated, and who says so."""
    content: Layer = {}
    where = f"parameters of {found.name}"
    default = Path("configs") / f"{found.name}.toml"
    if said is not None:
        content = dict(said)
    elif params_file is None and default.exists() and not found.is_composed:
        params_file = default
    if params_file is not None:
        content = merged(content, read_toml(params_file))
        where = f"{where} ({params_file})"
    return content, where


def decided_timeframes(sleeves: list[Sleeve], instrument: InstrumentId, otherwise: str) -> list[str]:
    """Return on which candles of an instrument strategies decide."""
    return [sleeve.timeframe for sleeve in sleeves if instrument in sleeve.instruments] or [otherwise]


def made(found: FoundStrategy, params: StrategyParams, timeframe: str) -> Strategy:
    """Return a fresh instance of a strategy.

    Raises:
        StrategyError: its constructor failed.
    """
    try:
        strategy = found.cls(params)
    except Exception as error:
        reason, hint = in_words(error)
        hint = hint or ("begin its __init__ with super().__init__(params)" if isinstance(error, AttributeError) else "")
        where = line_of(found.cls.__init__)
        raise StrategyError(f"strategy {found.name} cannot be made{where}: {reason}", hint=hint) from error
    if not hasattr(strategy, "pending_notes"):
        raise StrategyError(
            f"strategy {found.name} does not initialise its base class",
            hint="begin its __init__ with super().__init__(params)",
        )
    if isinstance(strategy, SignalStrategy):
        strategy.decide_on(timeframe)
    return strategy


class Needs(NamedTuple):
    """What a strategy asks for before it runs."""

    warmup_candles: int
    feeds: tuple[str, ...]


def needs_of(found: FoundStrategy, params: StrategyParams, timeframe: str) -> Needs:
    """Return what a strategy with these parameters asks for before it runs.

    Raises:
        StrategyError: it cannot be made, or asks for what is none.
    """
    strategy = made(found, params, timeframe)
    asked: dict[str, Any] = {}
    for name in ("warmup_candles", "feeds"):
        try:
            asked[name] = getattr(strategy, name)
        except BacktesterError:
            raise
        except Exception as error:
            raise StrategyError(f"strategy {found.name} failed in {name}: {type(error).__name__}: {error}") from error
    candles, feeds = asked["warmup_candles"], asked["feeds"]
    if not isinstance(candles, int) or candles < 0:
        raise StrategyError(f"strategy {found.name}: warmup_candles is {candles!r}, it must be an int >= 0")
    if isinstance(feeds, str) or not all(isinstance(feed, str) for feed in feeds):
        raise StrategyError(f"strategy {found.name}: feeds is {feeds!r}, it must be a tuple of texts", hint=FEED_HINT)
    return Needs(candles, tuple(feeds))


def warmup_start(lake: Lake, instrument: InstrumentId, source: str, timeframe: str, start: int, candles: int) -> int:
    """Return from when to read so that the strategy is warm at `start`: as far back as the lake goes without a gap."""
    if candles <= 0:
        return start
    market, symbol = split_id(instrument)
    length = timeframe_us(timeframe)
    wanted = start - candles * length
    gaps = lake.gaps(market, "klines", symbol, source, wanted, start)
    first = max((gap_end for _, gap_end in gaps), default=wanted)
    return min(start, first_open(first, length))
