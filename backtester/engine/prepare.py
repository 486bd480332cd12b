"""From what the user asked to what will run: strategy, range, instruments and feeds, with every default resolved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from backtester.config.configs import BacktestConfig, InstrumentSection
from backtester.config.instruments import instrument_of, rules_of
from backtester.config.loading import Layer, merged, read_toml, validated
from backtester.core.errors import DataError, GapError, StrategyError, UsageError
from backtester.core.instruments import Instrument, InstrumentId, parse_instrument, split_id
from backtester.core.rules import RuleBook
from backtester.core.time import format_time, grid_offset_us, parse_time, timeframe_us
from backtester.data.feeds import CandleFeed
from backtester.data.lake import Lake
from backtester.data.partition import Partition
from backtester.data.resample import derive_candles
from backtester.engine.applied_rules import applied_sections
from backtester.strategy.base import Strategy, StrategyParams
from backtester.strategy.registry import FoundStrategy, find_strategy

BATCH_ROWS = 16_384
_GAPS_SHOWN = 10
_DEFAULT_BPS: Mapping[str, tuple[str, str]] = {"spot": ("10", "10"), "um": ("2", "5")}


class Series(NamedTuple):
    """Where an instrument's candles come from: the stored timeframe, and from when on they are read."""

    instrument: InstrumentId
    market: str
    symbol: str
    stored_timeframe: str
    warmup_start: int


class PreparedRun(NamedTuple):
    """All that a run needs. config has every default spelled out; times are UTC microseconds, end exclusive."""

    config: BacktestConfig
    found: FoundStrategy
    params: StrategyParams
    instruments: dict[InstrumentId, Instrument]
    rules: RuleBook
    lake: Lake
    series: list[Series]
    start: int
    end: int
    warnings: list[str]

    @property
    def timeframe_us(self) -> int:
        """The run's timeframe in microseconds."""
        return timeframe_us(self.config.run.timeframe)

    def make_strategy(self) -> Strategy:
        """Return a fresh instance of the strategy.

        Raises:
            StrategyError: its constructor failed.
        """
        return _made(self.found, self.params)

    def feeds(self) -> list[CandleFeed]:
        """Return fresh feeds: the stored candles execute; when they are shorter than the run's, derived ones decide."""
        timeframe, incomplete = self.config.run.timeframe, self.config.data.incomplete
        feeds = []
        for item in self.series:
            spec, native = self.instruments[item.instrument], item.stored_timeframe == timeframe
            first = item.warmup_start if native else self.start
            stored = self.lake.read_candles(
                item.market, item.symbol, item.stored_timeframe, first, self.end, BATCH_ROWS
            )
            feeds.append(CandleFeed(spec, item.stored_timeframe, stored, executes=True, decides=native))
            if not native:
                source = self.lake.read_candles(
                    item.market, item.symbol, item.stored_timeframe, item.warmup_start, self.end
                )
                derived = derive_candles(
                    source,
                    timeframe_us(item.stored_timeframe),
                    self.timeframe_us,
                    start=item.warmup_start,
                    end=self.end,
                )
                feeds.append(
                    CandleFeed(
                        spec, timeframe, derived, executes=False, decides=True, drop_incomplete=incomplete == "drop"
                    )
                )
        return feeds


def prepare(
    config: BacktestConfig,
    *,
    params_file: Path | None = None,
    params_options: Mapping[str, Any] | None = None,
    relative_to: Path | None = None,
) -> PreparedRun:
    """Resolve a config against the lake.

    Args:
        config: what the files and options say.
        params_file: the strategy's TOML; by default configs/<strategy>.toml, unless the config has params.
        params_options: `-p` options, laid over it.
        relative_to: the config's folder: a relative strategy file is looked for there first.

    Raises:
        UsageError: strategy, symbols, range or parameters are wrong.
        DataError: the lake lacks symbols or candles, or mixes synthetic and real ones.
        GapError: candles are missing inside the range and gaps are not allowed.
    """
    found = find_strategy(config.strategy.name, relative_to=relative_to)
    params = _params(found, config, params_file, params_options or {})
    ids = _instrument_ids(config)
    warnings: list[str] = []
    lake = Lake(Path(config.data.dir))
    timeframe = config.run.timeframe
    asked_start, asked_end = (parse_time(text) if text else None for text in (config.run.start, config.run.end))
    sources = {i: lake.source_timeframe(*split_id(i), timeframe, asked_start, asked_end) for i in ids}
    stored = {i: lake.partitions(split_id(i)[0], "klines", split_id(i)[1], sources[i]) for i in ids}
    start, end = _range(config, stored, sources)
    used = {i: [p for p in stored[i] if p.first_time < end] for i in ids}  # what comes later decides nothing
    decimals = {i: max(p.price_decimals for p in used[i]) for i in ids}
    sections = applied_sections(config, decimals, start, end, warnings)
    instruments = {i: instrument_of(i, sections[i]) for i in ids}
    _check_currency(instruments, config.account.currency)
    _check_origin(stored, start, end, warnings)
    _check_gaps(lake, sources, start, end, config, warnings)
    _check_files(lake, used, start)
    warmup_candles = _warmup_candles(found, params)
    series = [
        Series(i, *split_id(i), sources[i], _warmup_start(lake, i, sources[i], timeframe, start, warmup_candles))
        for i in ids
    ]
    return PreparedRun(
        _resolved(config, params, ids, sections, start, end),
        found,
        params,
        instruments,
        {i: rules_of(spec, sections[i]) for i, spec in instruments.items()},
        lake,
        series,
        start,
        end,
        warnings,
    )


def _params(
    found: FoundStrategy, config: BacktestConfig, params_file: Path | None, options: Mapping[str, Any]
) -> StrategyParams:
    content: Layer = {}
    where = f"parameters of {found.name}"
    default = Path("configs") / f"{found.name}.toml"
    if config.strategy.params is not None:
        content = dict(config.strategy.params)
    elif params_file is None and default.exists():
        params_file = default
    if params_file is not None:
        content = merged(content, read_toml(params_file))
        where = f"{where} ({params_file})"
    return validated(found.cls.Params, merged(content, options), where=where)


def _instrument_ids(config: BacktestConfig) -> list[InstrumentId]:
    if not config.run.symbols:
        raise UsageError("no symbols were named", hint="--symbols BTCUSDT ETHUSDT, or run.symbols in the config")
    ids = [parse_instrument(text, config.run.market) for text in config.run.symbols]
    markets = sorted({split_id(i)[0] for i in ids})
    if len(markets) > 1:
        raise UsageError(f"one run has one market, these symbols name {' and '.join(markets)}")
    if markets[0] not in _DEFAULT_BPS:
        raise UsageError(f"market {markets[0]!r} cannot be traded here", hint=f"allowed: {' '.join(_DEFAULT_BPS)}")
    return sorted(set(ids))  # the order in which symbols are given decides nothing


def _range(
    config: BacktestConfig, stored: Mapping[InstrumentId, list[Partition]], sources: Mapping[InstrumentId, str]
) -> tuple[int, int]:
    """Return the half-open range on the run's grid: as asked, else what all symbols have in common."""
    length = timeframe_us(config.run.timeframe)
    offset = grid_offset_us(length)
    firsts = {i: partitions[0].first_time for i, partitions in stored.items()}
    lasts = {i: partitions[-1].last_time + timeframe_us(sources[i]) for i, partitions in stored.items()}
    start = parse_time(config.run.start) if config.run.start else max(firsts.values())
    end = parse_time(config.run.end) if config.run.end else min(lasts.values())
    start += -(start - offset) % length
    end -= (end - offset) % length
    shown = "; ".join(f"{i} {format_time(firsts[i])} .. {format_time(lasts[i])}" for i in stored)
    if end <= start and config.run.start and config.run.end:
        raise UsageError(
            f"the range is empty: start {config.run.start}, end {config.run.end} (exclusive), "
            f"candles of {config.run.timeframe}"
        )
    if end <= start and not config.run.start and not config.run.end:
        raise DataError(f"the symbols have no {config.run.timeframe} candle in common: {shown}")
    if end <= start or all(end <= firsts[i] or start >= lasts[i] for i in stored):
        asked = f"from {format_time(start)}" if config.run.start else ""
        asked += f" to {format_time(end)}" if config.run.end else ""
        raise DataError(
            f"the lake has no {config.run.timeframe} candle {asked.strip()}; it has: {shown}",
            hint="choose --start and --end inside, or import that range with: bt data import FILES",
        )
    return start, end


def _check_currency(instruments: Mapping[InstrumentId, Instrument], currency: str) -> None:
    for spec in instruments.values():
        if spec.quote != currency:
            raise UsageError(
                f"{spec.id} is quoted in {spec.quote}, the account is in {currency}",
                hint=f"--set account.currency={spec.quote}, or leave {spec.symbol} out",
            )


def _check_origin(stored: Mapping[InstrumentId, list[Partition]], start: int, end: int, warnings: list[str]) -> None:
    """Refuse to mix invented candles with real ones; say when all are invented."""
    used = {i: [p for p in ps if p.last_time >= start and p.first_time < end] for i, ps in stored.items()}
    kinds = {p.synthetic for partitions in used.values() for p in partitions}
    if kinds == {True, False}:
        shown = ", ".join(i for i, ps in used.items() if any(p.synthetic for p in ps))
        raise DataError(
            f"the range mixes synthetic candles ({shown}) with real ones",
            hint="import the real ones with --replace, or keep the sample in a lake of its own (--data DIR)",
        )
    if kinds == {True}:
        warnings.append("the candles are synthetic: made up for a first try, no market ever traded them")


def _check_gaps(
    lake: Lake,
    sources: Mapping[InstrumentId, str],
    start: int,
    end: int,
    config: BacktestConfig,
    warnings: list[str],
) -> None:
    texts = []
    for instrument, source in sources.items():
        market, symbol = split_id(instrument)
        gaps = lake.gaps(market, "klines", symbol, source, start, end)
        if gaps:
            missing = sum(gap_end - gap_start for gap_start, gap_end in gaps) // timeframe_us(source)
            shown = ", ".join(f"{format_time(a)} .. {format_time(b)}" for a, b in gaps[:_GAPS_SHOWN])
            more = f", and {len(gaps) - _GAPS_SHOWN} more" if len(gaps) > _GAPS_SHOWN else ""
            candles = "1 candle is" if missing == 1 else f"{missing:,} candles are"
            texts.append(f"{instrument} {source}: {candles} missing: {shown}{more}")
    if texts and not config.data.allow_gaps:
        raise GapError(
            "; ".join(texts),
            hint="import them (bt data import FILES), choose another --start and --end, "
            "or run over them with --allow-gaps",
        )
    warnings.extend(f"{text} (allowed by data.allow_gaps)" for text in texts)


def _check_files(lake: Lake, used: Mapping[InstrumentId, list[Partition]], start: int) -> None:
    """Compare every file that the run will read with the manifest before anything is decided."""
    problems = lake.verify([p for partitions in used.values() for p in partitions if p.last_time >= start])
    if problems:
        shown = "; ".join(
            f"{p.partition.market}:{p.partition.symbol} {p.partition.path}: {p.text}" for p in problems[:_GAPS_SHOWN]
        )
        raise DataError(
            f"files of the lake {lake.root} are not what the manifest records: {shown}",
            hint=f"bt data verify --data {lake.root} shows all that is wrong; then import those months with --replace",
        )


def _made(found: FoundStrategy, params: StrategyParams) -> Strategy:
    try:
        strategy = found.cls(params)
    except Exception as error:
        raise StrategyError(f"strategy {found.name} cannot be made: {type(error).__name__}: {error}") from error
    if not hasattr(strategy, "pending_notes"):
        raise StrategyError(
            f"strategy {found.name} does not initialise its base class",
            hint="begin its __init__ with super().__init__(params)",
        )
    return strategy


def _warmup_candles(found: FoundStrategy, params: StrategyParams) -> int:
    strategy = _made(found, params)
    try:
        candles = strategy.warmup_candles
    except Exception as error:
        raise StrategyError(
            f"strategy {found.name} failed in warmup_candles: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(candles, int) or candles < 0:
        raise StrategyError(f"strategy {found.name}: warmup_candles is {candles!r}, it must be an int >= 0")
    return candles


def _warmup_start(lake: Lake, instrument: InstrumentId, source: str, timeframe: str, start: int, candles: int) -> int:
    """Return from when to read so that the strategy is warm at `start`: as far back as the lake goes without a gap."""
    if candles <= 0:
        return start
    market, symbol = split_id(instrument)
    length = timeframe_us(timeframe)
    wanted = start - candles * length
    gaps = lake.gaps(market, "klines", symbol, source, wanted, start)
    first = max((gap_end for _, gap_end in gaps), default=wanted)
    return min(start, first + -(first - grid_offset_us(length)) % length)


def _resolved(
    config: BacktestConfig,
    params: StrategyParams,
    ids: list[InstrumentId],
    sections: Mapping[InstrumentId, InstrumentSection],
    start: int,
    end: int,
) -> BacktestConfig:
    market = split_id(ids[0])[0]
    maker, taker = _DEFAULT_BPS[market]
    fees = config.fees.model_dump()
    fees["maker_bps"] = maker if fees["maker_bps"] is None else fees["maker_bps"]
    fees["taker_bps"] = taker if fees["taker_bps"] is None else fees["taker_bps"]
    content = config.model_dump() | {
        "run": config.run.model_dump()
        | {"market": market, "symbols": ids, "start": format_time(start), "end": format_time(end)},
        "strategy": {"name": config.strategy.name, "params": params.model_dump()},
        "fees": fees,
        "instruments": {str(i): section.model_dump() for i, section in sections.items()},
    }
    return validated(BacktestConfig, content, where="the resolved config")
