"""Trading events: what is wanted, decided and done. Frozen facts, all of them logged.

Their money, prices and quantities are integers (`..._units`, in the scale the event carries) and become Decimal only
when a strategy, the log or a table asks. `ts` is when it happened, in UTC microseconds. Market events: core/market.py.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from backtester.core.instruments import Asset, Holding, InstrumentId, Scale, holding_of, listed_id, wallet_of
from backtester.core.numbers import MONEY_EXPONENT, decimal
from backtester.core.order_terms import PLAIN, Bracket, Terms

# The annotation tells the log and the tables which exponent an integer has; the name ends in `_units`.
PRICE: Final = "price"
QTY: Final = "qty"
MONEY: Final = "money"
RATE: Final = "rate"
UNLOGGED: Final = "unlogged"
OMITTED: Final = "omitted"  # left out of a log line while it is empty
PriceUnits = Annotated[int, PRICE]
QtyUnits = Annotated[int, QTY]
MoneyUnits = Annotated[int, MONEY]
RateUnits = Annotated[int, RATE]
LogScale = Annotated[Scale, UNLOGGED]
OmittedTexts = Annotated[dict[str, str], OMITTED]
OmittedInt = Annotated[int, OMITTED]
OmittedText = Annotated[str, OMITTED]


DEPOSIT: Final = "deposit"
FUNDING: Final = "funding"
INSURANCE: Final = "insurance"  # what the insurance fund pays of a loss
TRANSFER: Final = "transfer"  # one leaves a wallet, the next comes into another


class Side(StrEnum):
    """The direction of an order or a fill."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for buy, -1 for sell."""
        return 1 if self is Side.BUY else -1


class OrderKind(StrEnum):
    """What makes an order execute."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TAKE_PROFIT = "take_profit"
    TAKE_PROFIT_LIMIT = "take_profit_limit"
    TRAILING_STOP = "trailing_stop"
    TWAP = "twap"
    ICEBERG = "iceberg"

    @property
    def has_limit(self) -> bool:
        """Whether it has a limit price, from the start or once it triggers."""
        return self in (OrderKind.LIMIT, OrderKind.STOP_LIMIT, OrderKind.TAKE_PROFIT_LIMIT)

    @property
    def is_sliced(self) -> bool:
        """Whether it never reaches the exchange itself, but as parts that are orders of their own."""
        return self in (OrderKind.TWAP, OrderKind.ICEBERG)


class Liquidity(StrEnum):
    """Whether a fill added liquidity (maker) or removed it (taker): it sets the fee. INTERNAL: two strategies of one
    account met, and the market saw nothing of it.
    """

    MAKER = "maker"
    TAKER = "taker"
    INTERNAL = "internal"


class Status(StrEnum):
    """What became of an order; fills and rejections have events of their own. FILLED: a sliced order, by its parts."""

    ACCEPTED = "accepted"
    TRIGGERED = "triggered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FILLED = "filled"

    @property
    def ends(self) -> bool:
        """Whether nothing can become of the order any more."""
        return self in (Status.CANCELLED, Status.EXPIRED, Status.FILLED)


class Reason(StrEnum):
    """Why an order was refused, cancelled or expired: a code for machines."""

    NONE = ""
    REQUESTED = "requested"
    OCO = "oco"
    MAX_WAIT = "max_wait"
    WOULD_TRIGGER = "would_trigger"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    SHORT_NOT_ALLOWED = "short_not_allowed"
    BELOW_MIN_QTY = "below_min_qty"
    ABOVE_MAX_QTY = "above_max_qty"
    BELOW_MIN_NOTIONAL = "below_min_notional"
    ABOVE_MAX_NOTIONAL = "above_max_notional"
    BAD_PRICE = "bad_price"
    BAD_SIZE = "bad_size"
    NO_PRICE = "no_price"
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNKNOWN_ORDER = "unknown_order"
    BAD_GROUP = "bad_group"
    PAUSED_AFTER_GAP = "paused_after_gap"
    WOULD_TAKE = "would_take"
    NOT_FILLED_AT_ONCE = "not_filled_at_once"
    GOOD_TILL = "good_till"
    NOTHING_TO_REDUCE = "nothing_to_reduce"
    REPLACED = "replaced"
    DUPLICATE_CLIENT_ID = "duplicate_client_id"
    BAD_BRACKET = "bad_bracket"
    BAD_REPLACE = "bad_replace"
    LEVERAGE_BRACKET = "leverage_bracket"
    LIQUIDATION = "liquidation"
    MARGIN_MODE_WITH_POSITION = "margin_mode_with_position"
    MARGIN_NOT_ISOLATED = "margin_not_isolated"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    NO_MARGIN = "no_margin"
    NO_POSITION = "no_position"
    MODEL_NOT_READY = "model_not_ready"
    NO_SIZE = "no_size"
    NO_STOP = "no_stop"
    NOT_WARM = "not_warm"
    NO_VOLATILITY = "no_volatility"
    KELLY_NO_EDGE = "kelly_no_edge"
    BAD_SPAN = "bad_span"
    SPAN_OVER = "span_over"
    PARTS_FILLED = "parts_filled"
    PARENT_ENDED = "parent_ended"
    BELOW_MIN_PRICE = "below_min_price"
    ABOVE_MAX_PRICE = "above_max_price"
    PERCENT_PRICE = "percent_price"
    MAX_NUM_ORDERS = "max_num_orders"
    MAX_NUM_ALGO_ORDERS = "max_num_algo_orders"
    MAX_POSITION = "max_position"
    MAX_ORDER_NOTIONAL = "max_order_notional"
    MAX_SYMBOL_NOTIONAL = "max_symbol_notional"
    MAX_GROSS_EXPOSURE = "max_gross_exposure"
    MAX_NET_EXPOSURE = "max_net_exposure"
    MAX_LEVERAGE = "max_leverage"
    MAX_ORDERS_PER_MINUTE = "max_orders_per_minute"
    MAX_OPEN_ORDERS = "max_open_orders"
    PRICE_COLLAR = "price_collar"
    BLACKOUT = "blackout"
    BREAKER = "breaker"
    CONTROL = "control"
    CONTRACT_EXPIRED = "contract_expired"
    POSITION_SIDE_REQUIRED = "position_side_required"
    POSITION_SIDE_NOT_ALLOWED = "position_side_not_allowed"
    UNKNOWN_WALLET = "unknown_wallet"
    COLLATERAL_NEEDS_CROSS = "collateral_needs_cross"
    SAME_WALLET = "same_wallet"
    UNKNOWN_ASSET = "unknown_asset"
    LIMIT_ONLY = "limit_only"
    COMBO = "combo"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A fact in the log. The bus gives event_id (a counter of logged events) and cause_id when it is published."""

    ts: int
    event_id: int = 0
    cause_id: int | str | None = None


class OrderIntent(Event, frozen=True, kw_only=True):
    """What a strategy wants, before risk. At most one of qty (base), quote (money), fraction (of equity) is set; none
    when the terms say close_position, or when the run's sizing shall find the size of an entry.

    tag comes back on everything that the order causes. Of the orders that share an oco name, the first fill
    cancels the others. client_id: a name of the trader's own, unique among open orders. bracket: exits that the
    exchange makes when the order fills. algo_id: the sliced order whose part it is; 0 when a strategy sent it.
    """

    instrument: InstrumentId
    side: Side
    qty: Decimal | None = None
    quote: Decimal | None = None
    fraction: Decimal | None = None
    tag: str = ""
    oco: str = ""
    client_id: str = ""
    terms: Terms = PLAIN
    bracket: Bracket | None = None
    algo_id: OmittedInt = 0

    @property
    def has_size(self) -> bool:
        """Whether it says itself how much."""
        return not (self.qty is None and self.quote is None and self.fraction is None) or self.terms.close_position


class MarketOrderIntent(OrderIntent, frozen=True, kw_only=True):
    """Buy or sell at the next open."""


class LimitOrderIntent(OrderIntent, frozen=True, kw_only=True):
    """Buy or sell at limit_price or better."""

    limit_price: Decimal


class StopOrderIntent(OrderIntent, frozen=True, kw_only=True):
    """Buy or sell once the price reaches stop_price (buy: rises to it, sell: falls to it): at the market, or at a
    limit.
    """

    stop_price: Decimal
    limit_price: Decimal | None = None


class TakeProfitIntent(OrderIntent, frozen=True, kw_only=True):
    """Buy or sell once the price reaches stop_price from the other side (buy: falls to it, sell: rises to it)."""

    stop_price: Decimal
    limit_price: Decimal | None = None


class TrailingStopIntent(OrderIntent, frozen=True, kw_only=True):
    """A stop that follows the best price at a distance of trail, a fraction of it.

    activation_price: it follows from there on (buy: once the price falls to it, sell: rises to it); None: at once.
    """

    trail: Decimal
    activation_price: Decimal | None = None


class TwapIntent(OrderIntent, frozen=True, kw_only=True):
    """Buy or sell in `slices` market orders at equal intervals over a span (µs); limit_price: the worst to accept."""

    span: int
    slices: int
    limit_price: Decimal | None = None


class IcebergIntent(OrderIntent, frozen=True, kw_only=True):
    """Buy or sell at limit_price or better, of which never more than `display` (base units) rests at a time."""

    limit_price: Decimal
    display: Decimal


class ComboLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a combination: buy or sell qty contracts at limit_price or better."""

    instrument: InstrumentId
    side: Side
    qty: Decimal
    limit_price: Decimal


class MultiLegIntent(Event, frozen=True, kw_only=True):
    """Fill all legs at one row of their chain, whole, or none of them. Each leg becomes an order of its own.

    instrument: of the first leg.
    """

    instrument: InstrumentId
    legs: tuple[ComboLeg, ...]
    tag: str = ""
    terms: Terms = PLAIN


class ReplaceIntent(Event, frozen=True, kw_only=True):
    """Put a changed order in the place of a working one, or leave that as it is. What is None stays."""

    instrument: InstrumentId
    order_id: int
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class CancelIntent(Event, frozen=True, kw_only=True):
    """Take a working order back. reason: why, when risk itself does; empty when the trader does."""

    instrument: InstrumentId
    order_id: int
    reason: Annotated[Reason, OMITTED] = Reason.NONE


class ReduceOnlyIntent(Event, frozen=True, kw_only=True):
    """Let an open order only reduce from now on: risk's own wish, which no limit holds up."""

    instrument: InstrumentId
    order_id: int


class AttachedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An exit that comes to life with the fill of its parent. share: of what was filled, a fraction of 1e8."""

    order_id: int
    kind: OrderKind
    share_units: RateUnits
    limit_price_units: PriceUnits
    stop_price_units: PriceUnits
    trail_units: RateUnits
    tag: str
    scale: LogScale


class SanitizedOrder(Event, frozen=True, kw_only=True):
    """An order that risk let through: rounded, with its id, its funds reserved.

    qty_units is 0 when the exchange sizes it at the fill: the largest lot that budget_units (money) pays for, or the
    whole position. stop_price: what triggers it. trail: callback rate. parent_id: the entry whose exit it is;
    replaces: the order whose place it takes; 0: none. attached: exits that its fill brings to life.
    sizing: which model found its size, and from which numbers; empty when the strategy said the size. algo_id: the
    sliced order whose part it is; span (µs), slices, display: of a sliced order itself. combo_id, combo_legs: the first
    order of the combination that it is a leg of, and how many legs that has.
    """

    order_id: int
    instrument: InstrumentId
    kind: OrderKind
    side: Side
    qty_units: QtyUnits
    budget_units: MoneyUnits
    limit_price_units: PriceUnits
    stop_price_units: PriceUnits
    trail_units: RateUnits = 0
    activation_price_units: PriceUnits = 0
    reserve_asset: Asset
    reserve_units: MoneyUnits
    tag: str
    oco: str
    client_id: str = ""
    terms: Terms = PLAIN
    parent_id: int = 0
    replaces: int = 0
    attached: tuple[AttachedOrder, ...] = ()
    sizing: OmittedTexts = {}
    algo_id: OmittedInt = 0
    combo_id: OmittedInt = 0
    combo_legs: OmittedInt = 0
    span: OmittedInt = 0
    slices: OmittedInt = 0
    display_units: Annotated[int, QTY, OMITTED] = 0
    scale: LogScale

    @property
    def listed(self) -> InstrumentId:
        """The instrument that the venue lists, on whose market it executes."""
        return listed_id(self.instrument)

    @property
    def reserved(self) -> Holding:
        """What its funds are bound of: an asset in the wallet that pays for its instrument."""
        return holding_of(wallet_of(self.instrument), self.reserve_asset)

    @property
    def qty(self) -> Decimal:
        """Base quantity; 0 when it is sized at the fill."""
        return decimal(self.qty_units, self.scale.qty)

    @property
    def limit_price(self) -> Decimal:
        """Limit price; 0 for other kinds."""
        return decimal(self.limit_price_units, self.scale.price)

    @property
    def stop_price(self) -> Decimal:
        """What triggers a stop or a take-profit; 0 for other kinds."""
        return decimal(self.stop_price_units, self.scale.price)


class SanitizedCancel(Event, frozen=True, kw_only=True):
    """A cancel request that names a working order. reason: as in the intent."""

    order_id: int
    instrument: InstrumentId
    reason: Annotated[Reason, OMITTED] = Reason.NONE


class SanitizedReduceOnly(Event, frozen=True, kw_only=True):
    """A request that a working order only reduces from now on; it keeps its place and all that it has seen."""

    order_id: int
    instrument: InstrumentId


class OrderRejected(Event, frozen=True, kw_only=True):
    """An order, a cancel or a transfer was refused. who: risk or execution. instrument: of a transfer empty. numbers:
    what the reason is made of, as text. strategy: of a transfer, whose it was where several run.
    """

    who: str
    reason: Reason
    instrument: InstrumentId
    order_id: int | None
    tag: str
    client_id: str = ""
    numbers: dict[str, str]
    algo_id: OmittedInt = 0
    strategy: OmittedText = ""


class OrderUpdate(Event, frozen=True, kw_only=True):
    """The exchange accepted, triggered, cancelled or expired an order; or a sliced order ended."""

    order_id: int
    instrument: InstrumentId
    status: Status
    reason: Reason
    tag: str
    client_id: str = ""


class Fill(Event, frozen=True, kw_only=True):
    """One execution of one order, whole or partial.

    ts: when the exchange executed; the log adds the tick at which we learnt of it. qty > 0, in base units.
    price and reference_price (before slippage) in quote per base. fee in fee_asset; negative is a rebate.
    leaves: what is still open of the order; 0 ends it. contract: of an inverse contract the quote money that it is
    worth, of an option the base units that it is on.
    """

    order_id: int
    instrument: InstrumentId
    base: Asset
    quote: Asset
    kind: OrderKind
    side: Side
    qty_units: QtyUnits
    price_units: PriceUnits
    reference_price_units: PriceUnits
    fee_units: MoneyUnits
    fee_asset: Asset
    liquidity: Liquidity
    leaves_units: QtyUnits
    tag: str
    client_id: str = ""
    contract_units: Annotated[int, MONEY, OMITTED] = 0
    scale: LogScale

    @property
    def symbol(self) -> str:
        """The instrument without its market."""
        return self.instrument.partition(":")[2]

    @property
    def qty(self) -> Decimal:
        """Base quantity, > 0."""
        return decimal(self.qty_units, self.scale.qty)

    @property
    def price(self) -> Decimal:
        """Price paid or received, after slippage."""
        return decimal(self.price_units, self.scale.price)

    @property
    def fee(self) -> Decimal:
        """Fee in fee_asset; negative is a rebate."""
        return decimal(self.fee_units, MONEY_EXPONENT)


class Cashflow(Event, frozen=True, kw_only=True):
    """Money that moved without a trade: deposit, funding, settlement, transfer. amount < 0 leaves the wallet.

    wallet: the market whose wallet it moves in. numbers: what the amount is made of, as text. order_id: the transfer
    whose half it is; 0: none.
    """

    kind: str
    wallet: str
    asset: Asset
    amount_units: MoneyUnits
    instrument: InstrumentId | None = None
    numbers: OmittedTexts = {}
    order_id: OmittedInt = 0


class Note(Event, frozen=True, kw_only=True):
    """What a strategy wanted to be remembered, for people who read the log. strategy: its id where several run."""

    text: str
    values: dict[str, str]
    strategy: OmittedText = ""


AnyOrder = SanitizedOrder | SanitizedCancel | SanitizedReduceOnly
AnyIntent = OrderIntent | MultiLegIntent | ReplaceIntent | CancelIntent | ReduceOnlyIntent
