"""The composition root: builds the components of a backtest and wires them to the bus, in the order of delivery."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from backtester.account.account import Account
from backtester.account.strategies import StrategyAccounts
from backtester.algos.slicer import Slicer
from backtester.audit.log import AuditLog
from backtester.core.board import Board
from backtester.core.bus import Bus
from backtester.core.clock import Clock
from backtester.core.events import DEPOSIT, Cashflow
from backtester.core.feed import Feed
from backtester.core.folds import Ledger
from backtester.core.instruments import InstrumentId, for_sides
from backtester.core.time import timeframe_us
from backtester.core.topics import T_CASHFLOWS
from backtester.data.feeds.tape_feed import QuoteFeed
from backtester.engine.columns import in_folder
from backtester.engine.control_script import ControlScript
from backtester.engine.exchange_setup import exchange_rules, market_memory
from backtester.engine.exposure_tables import ExposureTable, WalletTable
from backtester.engine.feeding import make_feeds
from backtester.engine.funding_schedule import FundingSchedule
from backtester.engine.market_history import MarketHistory
from backtester.engine.prepare import PreparedRun
from backtester.engine.risk_setup import breaker_terms, order_limiter
from backtester.engine.strategy_hosts import HostedStrategy, host_strategies, owner_of
from backtester.engine.tables import EquityTable, Recorder, StrategyTable
from backtester.engine.trade_table import TradeTable
from backtester.engine.wallets import deposits
from backtester.execution.exchange_rules import ExchangeRules
from backtester.execution.funding import FundingDesk
from backtester.execution.settlement import SettlementDesk
from backtester.execution.simulated import SimulatedExchange
from backtester.risk.guard import Guard
from backtester.risk.margin_gate import MarginGate
from backtester.risk.order_validation import SymbolSpecs
from backtester.risk.risk import Risk
from backtester.risk.sizing import Sizing
from backtester.sim.sim_models import FeeModel


class Wired(NamedTuple):
    """A run's components, ready to start."""

    bus: Bus
    board: Board
    clock: Clock
    feeds: list[Feed]
    strategies: list[HostedStrategy]
    exchange: SimulatedExchange
    slicer: Slicer
    account: Account
    log: AuditLog
    equity: EquityTable
    exposure: ExposureTable
    wallets: WalletTable
    recorder: Recorder
    trades: TradeTable
    history: MarketHistory
    guard: Guard | None
    funding: FundingDesk | None
    settlement: SettlementDesk | None
    parts: StrategyAccounts | None
    part_table: StrategyTable | None


def wire(run: PreparedRun, folder: Path | None) -> Wired:
    """Build everything. On a topic, subscribers receive in the order in which they are built here.

    The exchange hears of orders first, then the account, risk and the strategy hear of what became of them, so that
    all folds are current before the strategy's answer is judged; observers come last and publish nothing. Without a
    folder nothing is written.
    """
    config, instruments = run.config, run.instruments
    bus, board = Bus(), Board()
    board.now = board.dues_time = run.start
    board.price_units.update(run.openings)
    for chain in run.chains.values():
        board.listings.update(chain.listings)
    board.price_time.update(dict.fromkeys(run.openings, run.start))
    log = AuditLog(in_folder(folder, "audit.jsonl"), board, bus)
    rules = exchange_rules(run)
    exchange = SimulatedExchange(rules, instruments, board, bus, market_memory(run, bus))
    funding = None
    if run.funding is not None:
        FundingSchedule(run.funding.dues, board, bus)
        funding = FundingDesk(exchange.ledger, board, bus)
    settlement = None
    if run.settlements:
        assert exchange.liquidator is not None  # there is one wherever there are futures
        settlement = SettlementDesk(run.settlements, exchange, exchange.liquidator, exchange.ledger, board, bus)
    equity = EquityTable(in_folder(folder, "equity.parquet"))
    exposure = ExposureTable(in_folder(folder, "exposure.parquet"))
    wallets = WalletTable(in_folder(folder, "wallets.parquet"))
    account = Account(
        instruments,
        run.valuation,
        run.timeframe_us,
        equity.write,
        board,
        bus,
        rules.margin,
        exposure.write,
        wallets.write,
    )
    parts, part_table = None, None
    if run.config.strategies:
        part_table = StrategyTable(in_folder(folder, "strategies.parquet"))
        ids = [sleeve.id for sleeve in run.sleeves]
        parts = StrategyAccounts(ids, instruments, run.valuation, run.timeframe_us, part_table.write, board, bus)
    specs, ledger = SymbolSpecs(instruments, run.rules), Ledger(instruments, rules.margin, run.valuation)
    fee_rates = {i: models.map(FeeModel.worst_rate) for i, models in rules.fees.items()}
    sizing = {
        sleeve.id: Sizing(
            {i: config.sizing.of(spec.listed) for i, spec in instruments.items() if spec.sleeve in ("", sleeve.id)},
            specs,
            ledger,
            board,
            bus,
            book=run.rules,
            timeframe=sleeve.timeframe,
            fee_rates=fee_rates,
            slippage=rules.slippage,
        )
        for sleeve in run.sleeves
    }
    limiter = order_limiter(config, ledger, board)
    risk = Risk(
        specs,
        ledger,
        board,
        bus,
        worst_fee_rates=fee_rates,
        allow_short=config.risk.allow_short,
        sizing=sizing,
        candle_us=for_sides(instruments, {s.instrument: timeframe_us(s.stored_timeframe) for s in run.series}),
        paused=run.pauses,
        limiter=limiter,
        travel=bool(rules.delays),
        brackets=run.margin.brackets,
    )
    MarginGate(ledger, run.margin.brackets, risk.open_orders, risk.funds.free_for, board, bus, unproven=run.unproven)
    guard = None
    if limiter is not None and (config.control or breaker_terms(config.risk)):
        ControlScript(config.control, run.start, board, bus)
        guard = Guard(
            breaker_terms(config.risk),
            limiter.restrictions,
            risk.open_orders,
            run.rules,
            ledger=ledger,
            board=board,
            bus=bus,
        )
    slicer = Slicer(run.rules, board, bus)
    hosted = host_strategies(run, rules.margin, board, bus)
    owner = partial(owner_of, run)
    kept = folder or Path()  # these two are written by who closes the tables, which a trial does not
    recorder = Recorder(folder, instruments, board, bus, owner)
    trades = TradeTable(kept / "trades.parquet", instruments, run.rules, bus, owner)
    buying = {item.instrument: _taker_rate(run, rules, item.instrument) for item in run.series}
    history = MarketHistory(kept / "benchmark.parquet", buying, run.start, run.timeframe_us, bus)
    feeds = make_feeds(run, {topic for topic, handlers in bus.handlers.items() if handlers})
    board.quote_at.update({feed.instrument: feed.at for feed in feeds if isinstance(feed, QuoteFeed)})
    clock = Clock(bus, board, feeds, run.start, run.end)
    tables = equity, exposure, wallets, recorder, trades, history
    return Wired(
        bus,
        board,
        clock,
        feeds,
        hosted,
        exchange,
        slicer,
        account,
        log,
        *tables,
        guard,
        funding,
        settlement,
        parts,
        part_table,
    )


def _taker_rate(run: PreparedRun, rules: ExchangeRules, listed: InstrumentId) -> int:
    """Return the first fee rate (1e-8) of buying an instrument at the market."""
    own = next(i for i, spec in run.instruments.items() if spec.listed == listed)
    return rules.fees[own].at(run.start).rate(is_maker=False, volume_units=0)


def deposit(wired: Wired, run: PreparedRun) -> None:
    """Publish the money that the account starts with: the first lines of every log."""
    for wallet, asset, amount in deposits(run.config.account):
        wired.bus.publish(
            T_CASHFLOWS, Cashflow(ts=run.start, kind=DEPOSIT, wallet=wallet, asset=asset, amount_units=amount)
        )
