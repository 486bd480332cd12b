"""From what the user asked to what will run: strategy, range, instruments and feeds, with every default resolved."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from backtester.config.configs import AccountSection, BacktestConfig, FuturesSection
from backtester.config.instrument_section import InstrumentSection
from backtester.config.loading import validated
from backtester.config.sizing import SizingSection
from backtester.core.errors import DataError, UsageError
from backtester.core.instruments import MARKETS, OPTION, Instrument, InstrumentId, for_sides, parse_instrument, split_id
from backtester.core.rules import RuleBook
from backtester.core.time import first_open, format_time, last_open, parse_time, timeframe_us
from backtester.core.valuation import Valuation
from backtester.data.lake import Lake, damaged_error
from backtester.data.partition import Partition
from backtester.data.schemas import KLINES
from backtester.engine.applied_rules import applied_sections
from backtester.engine.expiry_grid import blind_expiries, checked_expiries
from backtester.engine.feed_plan import (
    FeedName,
    PlannedFeed,
    check_told_once,
    execution_timeframe,
    planned_feeds,
    traded_candles,
)
from backtester.engine.first_prices import coin_prices
from backtester.engine.funding_plan import FundingPlan, check_funding, funding_plan
from backtester.engine.gap_policy import RunGap, check_gaps, gaps_before, gaps_of_run, paused_spans
from backtester.engine.margin_setup import MarginPlan, check_collateral, margin_plan, resolved_futures
from backtester.engine.mark_paths import check_marks, mark_paths
from backtester.engine.option_plan import CHAIN_KIND, PRICE_DECIMALS, Chain, chain_span, chains_of, read_chains
from backtester.engine.option_settlement import OptionSettlement, option_settlements
from backtester.engine.option_setup import config_for, described, known_before
from backtester.engine.own_sections import own_sections
from backtester.engine.position_sides import check_position_mode, listed_only, with_sides
from backtester.engine.resolution import check_mark_feeds, check_resolution, finer_candles
from backtester.engine.settlement_plan import settlement_plan
from backtester.engine.sleeves import (
    Sleeve,
    config_for_sleeves,
    grid_us,
    resolved_strategies,
    starting_warnings,
    wallets_of_sleeves,
    with_sleeves,
)
from backtester.engine.strategy_plans import StrategyPlan, chosen_strategies, decided_timeframes, made, planned
from backtester.engine.tapes import (
    check_quotes,
    check_tapes,
    common_span,
    quotes_name,
    tape_name,
    tape_partitions,
    tapes_of,
)
from backtester.engine.wallets import opening_prices, resolved_account, valuation_of
from backtester.execution.mark_path import MarkPath
from backtester.execution.settlement import Settlement
from backtester.strategy.base import Strategy, StrategyParams
from backtester.strategy.contract import misspelt_hooks
from backtester.strategy.registry import FoundStrategy


class Series(NamedTuple):
    """Where an instrument's candles come from: the stored timeframe, and from when on they are read.

    tape: the kind of its trades when these execute, not the candles; empty otherwise. quotes: whether its best bid and
    ask are read beside them.
    """

    instrument: InstrumentId
    market: str
    symbol: str
    stored_timeframe: str
    warmup_start: int
    tape: str = ""
    quotes: bool = False


class PreparedRun(NamedTuple):
    """All that a run needs. config has every default spelled out; times are UTC microseconds, end exclusive.

    sleeves: its strategies, at least one. feeds: what they see, the run's own candles included. gaps: what the lake
    lacks of it from start to end.
    pauses: the spans [from, to) of ticks, per instrument, in which no position may be opened.
    funding: None where none is applied. margin: how positions in futures are secured. marks: by which they are
    liquidated, where that is known. settlements: of futures that expire. valuation: in what currency the account is
    summed up, and how. openings: the prices (10^-p) of what the account starts with, before the first candle closes.
    chains: of options, by name; option_settlements: what their expiries settle at. blind: what is not watched before
    contracts expire, in words.
    """

    config: BacktestConfig
    sleeves: tuple[Sleeve, ...]
    instruments: dict[InstrumentId, Instrument]
    rules: RuleBook
    lake: Lake
    series: list[Series]
    feeds: list[PlannedFeed]
    gaps: list[RunGap]
    pauses: dict[InstrumentId, list[tuple[int, int]]]
    funding: FundingPlan | None
    margin: MarginPlan
    marks: dict[InstrumentId, MarkPath]
    settlements: dict[InstrumentId, Settlement]
    valuation: Valuation
    openings: dict[InstrumentId, int]
    chains: dict[InstrumentId, Chain]
    option_settlements: dict[tuple[InstrumentId, int], OptionSettlement]
    blind: list[str]
    start: int
    end: int
    warnings: list[str]

    @property
    def timeframe_us(self) -> int:
        """The run's timeframe in microseconds."""
        return timeframe_us(self.config.run.timeframe)

    @property
    def name(self) -> str:
        """What the run is called: its strategy, or the ids of several."""
        return "+".join(sleeve.id or sleeve.found.name for sleeve in self.sleeves)

    @property
    def symbols(self) -> list[str]:
        """The symbols that the run names, as the venue lists them."""
        return [split_id(i)[1] for i in self.config.run.symbols]

    @property
    def unproven(self) -> frozenset[InstrumentId]:
        """The futures whose leverage a strict run may not raise: without a leverage table, or without mark candles."""
        if not self.config.execution.strict:
            return frozenset()
        futures = listed_only(self.margin.brackets)
        return frozenset(i for i in futures if i not in self.margin.sources or i not in self.marks)

    def make_strategy(self, sleeve: Sleeve) -> Strategy:
        """Return a fresh instance of a strategy.

        Raises:
            StrategyError: its constructor failed.
        """
        return made(sleeve.found, sleeve.params, sleeve.timeframe)

    def with_strategy(self, found: FoundStrategy, params: StrategyParams) -> "PreparedRun":
        """Return the run with another strategy in the place of its only one."""
        (own,) = self.sleeves
        return self._replace(sleeves=(own._replace(found=found, params=params),))

    def alone(self, sleeve: Sleeve) -> "PreparedRun":
        """Return the run as one of its strategies sees it: its timeframe, its instruments, its feeds."""
        if not sleeve.id:
            return self
        run = self.config.run.model_copy(update={"timeframe": sleeve.timeframe, "symbols": sleeve.instruments})
        decided = [feed for feed in sleeve.feeds if feed.name in traded_candles(sleeve.instruments, sleeve.timeframe)]
        starts = {feed.name.instrument: feed.start for feed in decided}
        return self._replace(
            config=self.config.model_copy(update={"run": run}),
            sleeves=(sleeve,),
            instruments={i: self.instruments[i] for i in sleeve.instruments},
            series=[i._replace(warmup_start=starts[i.instrument]) for i in self.series if i.instrument in starts],
            feeds=list(sleeve.feeds),
        )


def prepare(
    config: BacktestConfig,
    *,
    params_file: Path | None = None,
    params_options: Mapping[str, Any] | None = None,
    relative_to: Path | None = None,
    found: FoundStrategy | None = None,
) -> PreparedRun:
    """Resolve a config against the lake.

    Args:
        config: what the files and options say.
        params_file: the strategy's TOML; by default configs/<strategy>.toml, unless the config has params.
        params_options: `-p` options, laid over it.
        relative_to: the config's folder: a relative strategy file is looked for there first.
        found: the strategy, where it is at hand and need not be found by name.

    Raises:
        UsageError: strategy, symbols, range or parameters are wrong.
        DataError: the lake lacks symbols or candles, or mixes synthetic and real ones.
        GapError: candles are missing inside the range and gaps are not allowed.
    """
    config = config_for_sleeves(config)
    chosen = chosen_strategies(config, params_file, params_options or {}, relative_to, found)
    asked = _instrument_ids(config)
    ids = [i for i in asked if split_id(i)[0] != OPTION]
    warnings = [text for cls in dict.fromkeys(one.found.cls for one in chosen) for text in misspelt_hooks(cls)]
    lake = Lake(Path(config.data.dir))
    chained = chains_of(lake, [i for i in asked if split_id(i)[0] == OPTION])
    config = config_for(config, chained, alone=not ids)
    timeframe = config.run.timeframe
    plans = [planned(config, asked, one) for one in chosen]
    names, tapes, sources = _read(config, lake, plans, ids, chained)
    check_resolution(config, _by_candles(tapes, sources))
    check_mark_feeds(config, names, sources, warnings)
    stored, trades = _candles_of(lake, sources), tape_partitions(lake, tapes)
    spans = {i: _span(stored[i], sources[i], trades.get(i)) for i in ids} | {i: chain_span(lake, i) for i in chained}
    start, end = _range(config, spans, grid_us([plan.sleeve for plan in plans]))
    chains = read_chains(lake, chained, start, end, strict=config.execution.strict, warnings=warnings)
    decimals = _price_decimals(stored, trades, end) | dict.fromkeys(chains, PRICE_DECIMALS)
    sections = applied_sections(config, decimals, start, end, warnings)
    instruments, rules = described(ids, chains, sections)
    for one in chosen:
        check_position_mode(one.found, config.futures.position_mode if _margined(instruments) else "one_way")
    account = wallets_of_sleeves(config, [plan.sleeve for plan in plans], resolved_account(config, asked, instruments))
    valuation = valuation_of(account, instruments, warnings, config.futures.collateral)
    sizing = _sizing(config, asked, warnings)
    least = max(sizing.warmup_candles, config.model_window and config.model_window + 1)
    plans = [plan.read_from(lake, sources, start, least) for plan in plans]
    starts = {i: min(plan.starts.get(i, start) for plan in plans) for i in ids} | known_before(chains, start)
    looked_at = traded_candles(ids, timeframe) if config.model_window else []
    shown = {*looked_at, *names, *(name for plan in plans for name in plan.candles)}
    feeds = planned_feeds(lake, sorted(shown), sources, starts, end)
    sleeves = [plan.seeing(feeds) for plan in plans]
    read = _partitions_of(lake, feeds, end)
    _check_origin(read, start, end, warnings)
    check_tapes(lake, tapes, sources, start, end)
    quoted = [i for i in tapes if quotes_name(i) in names]
    age = config.execution.max_wait * timeframe_us(timeframe)
    warnings += starting_warnings(config, account, sleeves, start, end) + check_quotes(
        lake, quoted, start, end, longest_us=age, strict=config.execution.strict
    )
    gaps = gaps_of_run(lake, sources, feeds, start, end)
    check_gaps(gaps, config.data, str(lake.root), warnings)
    warnings += [] if config.execution.timeframe or tapes else finer_candles(lake, sources, start, end)
    pauses = _pauses(config, lake, sources, start, gaps)
    futures = resolved_futures(config, _margined(instruments), warnings)
    funding, margin, marks, settlements = _secured(config, futures, lake, instruments, sources, start, end, warnings)
    blind = blind_expiries(instruments, _by_candles(tapes, sources), start, end)
    warnings += checked_expiries(blind, strict=config.execution.strict)
    instruments = with_sleeves(with_sides(instruments, futures.position_mode), sleeves)
    if damaged := lake.damaged(p for own in read.values() for p in own):
        raise damaged_error(lake.root, damaged)
    return PreparedRun(
        _resolved(config, sleeves, account, sizing, futures, asked, sections, names, start, end),
        tuple(sleeves),
        instruments,
        for_sides(instruments, rules),
        lake,
        [Series(i, *split_id(i), sources[i], starts[i], tapes.get(i, ""), quotes_name(i) in names) for i in ids],
        feeds,
        gaps,
        pauses,
        funding,
        margin.for_sides(instruments),
        marks,
        settlements,
        valuation,
        opening_prices(account, valuation, lake, instruments, sources, start, warnings),
        chains,
        option_settlements(lake, chains, instruments, start, end, strict=config.execution.strict, warnings=warnings),
        blind,
        start,
        end,
        warnings,
    )


def _read(
    config: BacktestConfig,
    lake: Lake,
    plans: list[StrategyPlan],
    ids: list[InstrumentId],
    chained: Iterable[InstrumentId],
) -> tuple[list[FeedName], dict[InstrumentId, str], dict[InstrumentId, str]]:
    """Return the feeds besides the candles that strategies trade on, and what executes: tapes, or stored candles."""
    names = sorted({name for plan in plans for name in plan.names})
    check_told_once(names)
    tapes = tapes_of(lake, config.execution.data, names, ids)
    more = [*(tape_name(i, kind) for i, kind in tapes.items()), *(FeedName(one, CHAIN_KIND, "") for one in chained)]
    names = sorted({*names, *more})
    start, end = (parse_time(text) if text else None for text in (config.run.start, config.run.end))
    sleeves, otherwise = [plan.sleeve for plan in plans], config.run.timeframe
    sources = {
        i: execution_timeframe(
            lake,
            i,
            [*decided_timeframes(sleeves, i, otherwise), *_shown_timeframes(names, i)],
            start,
            end,
            config.execution.timeframe,
        )
        for i in ids
    }
    return names, tapes, sources


def _by_candles(tapes: Mapping[InstrumentId, str], sources: Mapping[InstrumentId, str]) -> dict[InstrumentId, str]:
    """Return the timeframes of the candles that execute: where there is a tape, trades do."""
    return {i: timeframe for i, timeframe in sources.items() if i not in tapes}


def _margined(instruments: Mapping[InstrumentId, Instrument]) -> list[InstrumentId]:
    return [i for i, spec in instruments.items() if spec.is_margined]


def _candles_of(lake: Lake, sources: Mapping[InstrumentId, str]) -> dict[InstrumentId, list[Partition]]:
    return {i: lake.partitions(split_id(i)[0], KLINES.kind, split_id(i)[1], source) for i, source in sources.items()}


def _price_decimals(
    candles: Mapping[InstrumentId, list[Partition]], trades: Mapping[InstrumentId, list[Partition]], end: int
) -> dict[InstrumentId, int]:
    """Return how many decimals the prices of a run need; what comes after its end decides nothing."""
    used = {i: [p for p in (*own, *trades.get(i, ())) if p.first_time < end] for i, own in candles.items()}
    return {i: max(p.price_decimals for p in own) for i, own in used.items()}


def _secured(
    config: BacktestConfig,
    futures: FuturesSection,
    lake: Lake,
    instruments: Mapping[InstrumentId, Instrument],
    sources: Mapping[InstrumentId, str],
    start: int,
    end: int,
    warnings: list[str],
) -> tuple[FundingPlan | None, MarginPlan, dict[InstrumentId, MarkPath], dict[InstrumentId, Settlement]]:
    """Return what becomes due on futures, how they are secured, the marks that liquidate them, and how they end."""
    check_collateral(futures, instruments)
    strict = config.execution.strict
    margined = {i: instruments[i] for i in _margined(instruments)}
    perpetuals = [i for i, spec in margined.items() if not spec.expiry]
    funding = None
    if perpetuals and config.futures.funding == "auto":
        funding = funding_plan(lake, perpetuals, start, end)
        check_funding(funding, start, end, strict=strict, warnings=warnings)
    prices = coin_prices(lake, margined, sources, start, end)
    margin = margin_plan(futures, list(margined), lake.root, prices, start, end, strict=strict, warnings=warnings)
    marks = mark_paths(lake, margined, sources, start, end)
    unmarked = {i: sources[i] for i in margined if margin.terms.leverage_of(i) > 1 and i not in marks}
    check_marks(unmarked, start, end, strict=strict, warnings=warnings)
    settlements = settlement_plan(lake, margined, sources, start, end, strict=strict, warnings=warnings)
    return funding, margin, marks, settlements


def _pauses(
    config: BacktestConfig, lake: Lake, sources: Mapping[InstrumentId, str], start: int, gaps: list[RunGap]
) -> dict[InstrumentId, list[tuple[int, int]]]:
    if config.data.gap_policy != "pause_entries":
        return {}
    candles = config.data.pause_candles
    return paused_spans([*gaps_before(lake, sources, start, candles), *gaps], candles)


def _shown_timeframes(names: list[FeedName], instrument: InstrumentId) -> list[str]:
    """Return the timeframes of the candles that were asked for besides the run's own."""
    return [name.timeframe for name in names if (name.instrument, name.kind) == (instrument, KLINES.kind)]


def _partitions_of(lake: Lake, feeds: list[PlannedFeed], end: int) -> dict[str, list[Partition]]:
    """Return the partitions that each feed reads; what comes after the end decides nothing."""
    return {str(feed.name): lake.partitions(*feed.stored.series, feed.start, end) for feed in feeds}


def _instrument_ids(config: BacktestConfig) -> list[InstrumentId]:
    if not config.run.symbols:
        raise UsageError("no symbols were named", hint="--symbols BTCUSDT ETHUSDT, or run.symbols in the config")
    ids = [parse_instrument(text, config.run.market) for text in config.run.symbols]
    for market in sorted({split_id(i)[0] for i in ids} - set(MARKETS)):
        raise UsageError(f"market {market!r} cannot be traded here", hint=f"allowed: {' '.join(MARKETS)}")
    return sorted(set(ids))  # the order in which symbols are given decides nothing


def _span(candles: list[Partition], timeframe: str, trades: list[Partition] | None) -> tuple[int, int]:
    """Return from when to when an instrument has what executes it, and its candles."""
    length = timeframe_us(timeframe)
    span = candles[0].first_time, candles[-1].last_time + length
    return span if trades is None else common_span(span, trades, length)


def _range(config: BacktestConfig, spans: Mapping[InstrumentId, tuple[int, int]], length: int) -> tuple[int, int]:
    """Return the half-open range on a grid (µs): as asked, else what all symbols have in common."""
    firsts = {i: first for i, (first, _) in spans.items()}
    lasts = {i: last for i, (_, last) in spans.items()}
    start = parse_time(config.run.start) if config.run.start else max(firsts.values())
    end = parse_time(config.run.end) if config.run.end else min(lasts.values())
    start, end = first_open(start, length), last_open(end, length)
    shown = "; ".join(f"{i} {format_time(firsts[i])} .. {format_time(lasts[i])}" for i in spans)
    if end <= start and config.run.start and config.run.end:
        raise UsageError(
            f"the range is empty: start {config.run.start}, end {config.run.end} (exclusive), "
            f"candles of {config.run.timeframe}"
        )
    if end <= start and not config.run.start and not config.run.end:
        raise DataError(f"the symbols have no {config.run.timeframe} candle in common: {shown}")
    if end <= start or all(end <= firsts[i] or start >= lasts[i] for i in spans):
        asked = f"from {format_time(start)}" if config.run.start else ""
        asked += f" to {format_time(end)}" if config.run.end else ""
        raise DataError(
            f"the lake has no {config.run.timeframe} candle {asked.strip()}; it has: {shown}",
            hint="choose --start and --end inside, or import that range with: bt data import FILES",
        )
    return start, end


def _check_origin(read: Mapping[str, list[Partition]], start: int, end: int, warnings: list[str]) -> None:
    """Refuse to mix invented rows with real ones; say when all are invented."""
    used = {name: [p for p in ps if p.last_time >= start and p.first_time < end] for name, ps in read.items()}
    kinds = {p.synthetic for partitions in used.values() for p in partitions}
    if kinds == {True, False}:
        shown = ", ".join(name for name, ps in used.items() if any(p.synthetic for p in ps))
        raise DataError(
            f"the range mixes synthetic rows ({shown}) with real ones",
            hint="import the real ones with --replace, or keep the sample in a lake of its own (--data DIR)",
        )
    if kinds == {True}:
        warnings.append("the candles are synthetic: made up for a first try, no market ever traded them")


def _sizing(config: BacktestConfig, ids: list[InstrumentId], warnings: list[str]) -> SizingSection:
    """Return the sizing with the rules of its own that the run's instruments have, under their identities."""
    own = own_sections("sizing.instruments", config.sizing.instruments, ids, config.run.market, warnings)
    return config.sizing.model_copy(update={"instruments": {i: own[i] for i in ids if i in own}})


def _resolved(
    config: BacktestConfig,
    sleeves: list[Sleeve],
    account: AccountSection,
    sizing: SizingSection,
    futures: FuturesSection,
    ids: list[InstrumentId],
    sections: Mapping[InstrumentId, InstrumentSection],
    names: list[FeedName],
    start: int,
    end: int,
) -> BacktestConfig:
    markets = sorted({split_id(i)[0] for i in ids})
    market = config.run.market if config.run.market in markets else markets[0]
    rates = {name: config.fees.of(name).model_dump() for name in markets}
    fees = config.fees.model_dump() | (rates[market] if len(markets) == 1 else {"markets": rates})
    feeds = list(config.data.feeds) if config.strategies else [str(name) for name in names]
    content = config.model_dump() | {
        "run": config.run.model_dump()
        | {"market": market, "symbols": ids, "start": format_time(start), "end": format_time(end)},
        **resolved_strategies(config, sleeves),
        "account": account.model_dump(),
        "fees": fees,
        "sizing": sizing.model_dump(),
        "futures": futures.model_dump(),
        "data": config.data.model_dump() | {"feeds": feeds},
        "instruments": {str(i): section.model_dump() for i, section in sections.items()},
    }
    return validated(BacktestConfig, content, where="the resolved config")
