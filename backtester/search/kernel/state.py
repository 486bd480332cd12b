"""What goes into the account loop and what comes out: arrays, plain numbers, and codes for what it does not do."""

from typing import Any, Final, NamedTuple

SIZE_SCALE: Final = 10**18
"""Shares of equity are integers of 1e-18."""
NEVER: Final = 2**62
NO_ROW, BETWEEN = -1, -2

DONE: Final = 0
FULL: Final = 1  # there are more fills than room for them: ask again with more
BAILS: Final = {
    2: "an order may take only a part of what trades",
    3: "a fill would go through zero",
    4: "a share of equity has more digits than the kernel computes with",
    5: "a sale of nothing waits",
    6: "a price is not positive",
    7: "the account is too large for 64 bits",
    8: "a position comes near its liquidation",
    9: "a position is larger than its leverage allows",
    10: "funding falls into a gap of the candles",
}
PARTIAL, FLIP, DIGITS, TINY_SHORT, BAD_PRICE, LARGE, NEAR_LIQUIDATION, BRACKET, GAP = range(2, 11)


class Market(NamedTuple):
    """The candles that execute, from warm-up to the end; of each: open and close time (µs), prices in 10^-p.

    traded: whether there is volume. offered: the volume (10^-q) of the last candle before that traded; -1: none did.
    first: the first candle that closes after the start. row: where shorter candles execute than decide, the row that
    closes with each; NO_ROW where equity has one and the signal none, BETWEEN where neither has; empty: each is a row.
    rules_from: when each version of the rules begins, with its lots and limits (`core.rules`) of market orders;
    resting_lot: what counts as flat. midnights: the days of which the equity is wanted, UTC µs, and the first candle
    that closes after each. funding_time, funding_rate, funding_mark: what is due, rates and marks in 1e-8; a mark of 0
    is not known.
    """

    open_time: Any
    close_time: Any
    open: Any
    close: Any
    high: Any
    traded: Any
    offered: Any
    first: int
    row: Any
    rules_from: Any
    lot: Any
    min_qty: Any
    max_qty: Any
    min_notional: Any
    max_notional: Any
    resting_lot: Any
    midnights: Any
    day_candle: Any
    funding_time: Any
    funding_rate: Any
    funding_mark: Any


class Wishes(NamedTuple):
    """What a signal wants at the close of each candle. exposure: NaN is no opinion. tag: a number for each text; one is
    used up when one_trade_per_tag. flags: 1 ends a long, 2 a short, 3 both. levels, units: the distinct sizes, from the
    smallest on, and what they are in 1e-18. Columns may be empty: there are none of them.
    """

    exposure: Any
    tag: Any
    flags: Any
    levels: Any
    units: Any
    tags: int
    one_trade_per_tag: bool
    max_candles: int
    cooldown: int
    min_change: int


class Terms(NamedTuple):
    """The declared assumptions, in the integers of `sim`. shift: p + q - 8; qty_exponent: q. mul, den: quantity × mul ×
    price / den is money. max_size: the largest position (1e-8) that its leverage allows. short_limit: a short is handed
    on once it is worth so much (1e-8) of what it was sold for.
    """

    cash: int
    is_spot: bool
    allow_short: bool
    shift: int
    qty_exponent: int
    mul: int
    den: int
    slippage: int
    fee_rate: int
    participation: int
    max_wait: int
    max_size: int
    short_limit: int


class Summary(NamedTuple):
    """What a combination came to; money in 1e-8. at: the candle at which the loop gave up."""

    code: int
    at: int
    n_fills: int
    final_equity: int
    max_drawdown: float
    fees: int
    funding: int
    n_trades: int
    n_wins: int
    n_losses: int
    won: int
    lost: int
    n_open: int
