"""What a run declares about its exchange: rules, fees, and what is assumed where the data leave a choice."""

from collections.abc import Mapping
from typing import NamedTuple

from backtester.core.instruments import InstrumentId
from backtester.core.margin import FULL, MarginTerms
from backtester.core.option_rates import OptionRates
from backtester.core.rules import RuleBook
from backtester.core.timeline import Timeline
from backtester.core.valuation import PLAIN, Valuation
from backtester.execution.latency import Delay
from backtester.execution.mark_path import MarkPath
from backtester.sim.brackets import BracketTable
from backtester.sim.sim_models import FeeModel, ImpactModel, SlippageModel


class OptionRules(NamedTuple):
    """What the exchange knows of options beforehand. rates: fees and margins. indices: of each chain, in price units,
    by the time at which a row says it. settlements: by chain and expiry, in price units.
    """

    rates: OptionRates
    indices: Mapping[InstrumentId, Mapping[int, int]]
    settlements: Mapping[tuple[InstrumentId, int], int]


class ExchangeRules(NamedTuple):
    """The declared assumptions; rules and fees as they hold at a time.

    max_wait_us: how long a market order of an instrument waits for a trade. path: one of sim.paths. market_at_mid:
    market orders fill in the middle of the next candle instead of at its open. participation: the share (1e-8) of what
    trades that our orders may take; 0 is no cap. triggers_on_mark: stops, take-profits and trailing stops watch the
    mark price. delays: how long orders travel, where that is modelled; seed: of their jitter. strict: no order is taken
    before the models know what they look at. tapes: the instruments whose trades execute instead of candles. margin:
    how positions in futures are secured; brackets: what their leverage may be, by date; liquidation_fees: rates
    (1e-8) of what is liquidated; without brackets nothing is. mark_paths: by which. valuation: in what currency all is
    summed up. crosses: market orders of different strategies meet each other before the market.
    """

    rules: RuleBook
    fees: Mapping[InstrumentId, Timeline[FeeModel]]
    slippage: SlippageModel
    impact: ImpactModel
    fee_from_received: bool
    allow_short: bool
    touch_fills: bool
    stop_through_fills: bool
    max_wait_us: Mapping[InstrumentId, int]
    path: int
    market_at_mid: bool
    participation: int = 0
    triggers_on_mark: bool = False
    delays: Mapping[InstrumentId, Delay] = {}
    seed: int = 0
    strict: bool = False
    tapes: frozenset[InstrumentId] = frozenset()
    margin: MarginTerms = FULL
    brackets: Mapping[InstrumentId, Timeline[BracketTable]] = {}
    liquidation_fees: Mapping[InstrumentId, int] = {}
    mark_paths: Mapping[InstrumentId, MarkPath] = {}
    valuation: Valuation = PLAIN
    options: OptionRules | None = None
    crosses: bool = False
