"""The topics: each a name that carries one type. Components meet here and nowhere else."""

from typing import Final, Generic, TypeVar

from backtester.core.events import (
    AnyIntent,
    AnyOrder,
    CancelIntent,
    Cashflow,
    Fill,
    IcebergIntent,
    LimitOrderIntent,
    MarketOrderIntent,
    MultiLegIntent,
    Note,
    OrderRejected,
    OrderUpdate,
    ReduceOnlyIntent,
    ReplaceIntent,
    SanitizedCancel,
    SanitizedOrder,
    SanitizedReduceOnly,
    StopOrderIntent,
    TakeProfitIntent,
    TrailingStopIntent,
    TwapIntent,
)
from backtester.core.margin_events import (
    MarginAlert,
    MarginTermsSet,
    MarginWish,
    MoveMargin,
    SetLeverage,
    SetMarginMode,
)
from backtester.core.market import (
    Candle,
    ChainRows,
    Dues,
    Expiry,
    FundingDue,
    FundingRate,
    FuturesMetrics,
    IndexPrice,
    MarketCandle,
    MarketOpen,
    MarketTrade,
    MarkPrice,
    Marks,
    OptionChain,
    PremiumIndex,
    Quote,
    TickSettled,
    TimerFired,
    Trade,
    VolatilityIndex,
)
from backtester.core.risk_events import ClosingIntent, Control, RiskAlert
from backtester.core.settlement_events import ContractSettled
from backtester.core.snapshots import AccountSnapshot
from backtester.core.transfer_events import Transfer, TransferIntent

E = TypeVar("E")


class Topic(Generic[E]):
    """A named, typed channel. logged: what is published here is part of the run's log.

    Compared by identity: there is one object per topic, made below.
    """

    __slots__ = ("logged", "name", "payloads", "purpose")

    def __init__(self, name: str, *payloads: type, logged: bool, purpose: str) -> None:
        self.name: Final = name
        self.payloads: Final = payloads
        self.logged: Final = logged
        self.purpose: Final = purpose

    def __repr__(self) -> str:
        return f"Topic({self.name})"


T_MARKET: Final = Topic[MarketCandle | MarketTrade](
    "market",
    MarketCandle,
    MarketTrade,
    logged=False,
    purpose="MATCH: execution candles that closed, or trades, as the exchange sees them",
)
T_MARKET_CHAIN: Final = Topic[ChainRows](
    "market_chain",
    ChainRows,
    logged=False,
    purpose="MATCH: the rows of all option chains at one instant: what marks its contracts and meets their orders",
)
T_EXPIRIES: Final = Topic[Expiry](
    "expiries", Expiry, logged=False, purpose="MATCH: a time at which an order ends or a command is given has come"
)
T_FUNDING_DUE: Final = Topic[FundingDue](
    "funding_due", FundingDue, logged=False, purpose="between MATCH and DUES: a funding time has come, with its rate"
)
T_DUES: Final = Topic[Dues](
    "dues", Dues, logged=False, purpose="DUES: the instant for funding, expiry, margin and snapshots"
)
T_BALANCE: Final = Topic[Dues](
    "balance", Dues, logged=False, purpose="after DUES and all that it moved: the account says how it stands"
)
T_CANDLES: Final = Topic[Candle]("candles", Candle, logged=False, purpose="DECIDE: closed candles")
T_TRADES: Final = Topic[Trade]("trades", Trade, logged=False, purpose="TAPE: prints on the tape")
T_QUOTES: Final = Topic[Quote]("quotes", Quote, logged=False, purpose="TAPE: best bid and ask")
T_FUNDING: Final = Topic[FundingRate]("funding", FundingRate, logged=False, purpose="DECIDE: published funding rates")
T_MARK: Final = Topic[MarkPrice]("mark", MarkPrice, logged=False, purpose="DECIDE: mark prices")
T_INDEX: Final = Topic[IndexPrice]("index", IndexPrice, logged=False, purpose="DECIDE: index prices")
T_PREMIUM: Final = Topic[PremiumIndex]("premium", PremiumIndex, logged=False, purpose="DECIDE: premium indices")
T_METRICS: Final = Topic[FuturesMetrics](
    "metrics", FuturesMetrics, logged=False, purpose="DECIDE: open interest and long/short ratios"
)
T_CHAIN: Final = Topic[OptionChain]("chain", OptionChain, logged=False, purpose="DECIDE: option chains, hour by hour")
T_VOLATILITY: Final = Topic[VolatilityIndex](
    "volatility", VolatilityIndex, logged=False, purpose="DECIDE: indices of implied volatility"
)
T_TIMERS: Final = Topic[TimerFired](
    "timers", TimerFired, logged=False, purpose="DECIDE: a moment that somebody asked for"
)
T_OPENS: Final = Topic[MarketOpen](
    "opens", MarketOpen, logged=False, purpose="OPEN: the open of a candle for which a market order waits"
)
T_MARKS: Final = Topic[Marks](
    "marks", Marks, logged=False, purpose="after some thousand ticks: their marks, in columns"
)
T_CLOCK: Final = Topic[TickSettled]("clock", TickSettled, logged=False, purpose="SETTLE: the tick is over")

T_ORDERS_INTENT: Final = Topic[AnyIntent | TransferIntent](
    "orders_intent",
    MarketOrderIntent,
    LimitOrderIntent,
    StopOrderIntent,
    TakeProfitIntent,
    TrailingStopIntent,
    TwapIntent,
    IcebergIntent,
    MultiLegIntent,
    ReplaceIntent,
    CancelIntent,
    ReduceOnlyIntent,
    ClosingIntent,
    TransferIntent,
    logged=True,
    purpose="what a strategy wants, the parts of what it wants sliced, what risk itself wants closed, taken back or "
    "only to reduce",
)
T_ORDERS_SANITIZED: Final = Topic[AnyOrder](
    "orders_sanitized",
    SanitizedOrder,
    SanitizedCancel,
    SanitizedReduceOnly,
    logged=True,
    purpose="what risk let through, rounded",
)
T_TRANSFERS: Final = Topic[Transfer](
    "transfers", Transfer, logged=True, purpose="transfers between wallets that risk let through"
)
T_ORDERS_CHANGED: Final = Topic[SanitizedOrder](
    "orders_changed",
    SanitizedOrder,
    logged=True,
    purpose="orders that the exchange made or changed (exits that came to life, a stop that a target cut), "
    "and sliced orders, which it never sees",
)
T_ORDERS_REJECTED: Final = Topic[OrderRejected](
    "orders_rejected", OrderRejected, logged=True, purpose="what risk or the exchange refused, and why"
)
T_ORDERS_UPDATE: Final = Topic[OrderUpdate](
    "orders_update",
    OrderUpdate,
    logged=True,
    purpose="accepted, triggered, cancelled, expired; of sliced orders also filled",
)
T_FILLS: Final = Topic[Fill]("fills", Fill, logged=True, purpose="executions")
T_CASHFLOWS: Final = Topic[Cashflow]("cashflows", Cashflow, logged=True, purpose="money that moved without a trade")
T_ACCOUNT_SNAPSHOT: Final = Topic[AccountSnapshot](
    "account_snapshot", AccountSnapshot, logged=True, purpose="the account at one instant"
)
T_RISK_ALERT: Final = Topic[RiskAlert](
    "risk_alert", RiskAlert, logged=True, purpose="a breaker tripped, or is armed again"
)
T_SETTLEMENTS: Final = Topic[ContractSettled](
    "settlements", ContractSettled, logged=True, purpose="a contract has expired and is settled"
)
T_MARGIN: Final = Topic[MarginAlert](
    "margin", MarginAlert, logged=True, purpose="a position in futures comes near its liquidation, or is liquidated"
)
T_MARGIN_INTENT: Final = Topic[MarginWish](
    "margin_intent",
    SetLeverage,
    SetMarginMode,
    MoveMargin,
    logged=True,
    purpose="what a strategy wants changed of how its positions in futures are secured",
)
T_MARGIN_SANITIZED: Final = Topic[MarginWish](
    "margin_sanitized", SetLeverage, SetMarginMode, MoveMargin, logged=True, purpose="what risk let through of that"
)
T_MARGIN_TERMS: Final = Topic[MarginTermsSet](
    "margin_terms", MarginTermsSet, logged=True, purpose="how a position in futures is secured from now on"
)
T_CONTROL: Final = Topic[Control]("control", Control, logged=True, purpose="an operator's command, scripted by time")
T_NOTES: Final = Topic[Note]("notes", Note, logged=True, purpose="what a strategy wanted remembered")

ALL_TOPICS: Final[tuple[Topic[object], ...]] = tuple(v for v in list(globals().values()) if isinstance(v, Topic))
