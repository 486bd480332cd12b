"""Puts the strategies of a run on the bus: the only one directly, each of several behind a port of its own."""

from functools import partial
from typing import Any, NamedTuple

from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.instruments import InstrumentId, split_sleeve
from backtester.core.margin import MarginTerms
from backtester.core.time import timeframe_us
from backtester.core.topics import T_CANDLES, Topic
from backtester.data.feeds.records import RECORD_KINDS
from backtester.data.schemas import KLINES
from backtester.engine.prepare import PreparedRun
from backtester.engine.signals import signal_rows
from backtester.engine.sleeves import Sleeve
from backtester.strategy.host import StrategyHost
from backtester.strategy.signals import SignalStrategy
from backtester.strategy.sleeve_port import Shown, SleevePort
from backtester.strategy.view import StrategyView


class HostedStrategy(NamedTuple):
    """A strategy in a run that is wired: what it is, who calls it, and what it knows of its account."""

    sleeve: Sleeve
    host: StrategyHost
    view: StrategyView


def host_strategies(run: PreparedRun, margin: MarginTerms, board: Board, bus: Bus) -> list[HostedStrategy]:
    """Make the strategies and wire them, in the order in which the config names them."""
    hosted, ports = list[HostedStrategy](), list[SleevePort]()
    for sleeve in run.sleeves:
        alone = run.alone(sleeve)
        port: Bus | SleevePort = bus
        if sleeve.id:
            port = SleevePort(sleeve.id, _shown(sleeve), bus)
            ports.append(port)
        sizing = run.config.sizing
        sized = frozenset(i for i, spec in alone.instruments.items() if sizing.of(spec.listed).model != "none")
        named = frozenset(alone.config.run.symbols)
        view = StrategyView(board, alone.instruments, run.rules, run.valuation, sized, margin, named)
        strategy = run.make_strategy(sleeve)
        if isinstance(strategy, SignalStrategy):
            strategy.rows_from(signal_rows(alone, strategy))
        seed = sleeve.seed(run.config.run.seed)
        hosted.append(
            HostedStrategy(sleeve, StrategyHost(strategy, sleeve.shown, view, port, start=run.start, seed=seed), view)
        )
    if ports:
        bus.on_overrun(partial(_silence, ports))
    return hosted


def _silence(ports: list[SleevePort]) -> None:
    for silence in (silence for port in ports for silence in port.silences):
        silence()


def heard_topics(sleeve: Sleeve) -> set[Topic[Any]]:
    """Return the topics on which a strategy's feeds bring it something."""
    return {topic for topic, _, _ in _shown(sleeve)}


def _shown(sleeve: Sleeve) -> dict[Shown, int]:
    """Return the market data that a strategy sees, and from when on."""
    found: dict[Shown, int] = {}
    for feed in sleeve.feeds:
        instrument, kind, timeframe = feed.name
        delay = timeframe_us(timeframe) if timeframe else 0
        topic: Topic[Any] = T_CANDLES
        if kind != KLINES.kind:
            topic, delay = RECORD_KINDS[kind].topic, delay + RECORD_KINDS[kind].delay
        found[topic, instrument, timeframe] = feed.start + delay
    return found


def owner_of(run: PreparedRun, instrument: InstrumentId) -> str:
    """Return what tables call the strategy whose an instrument is: its id, or the name of the only one."""
    return split_sleeve(instrument)[1] or run.sleeves[0].id or run.sleeves[0].found.name
