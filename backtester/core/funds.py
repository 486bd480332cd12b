"""What an order needs and what an account has free: asked by risk, before, and by the exchange, at the fill."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec import structs

from backtester.core.events import Fill, SanitizedOrder, Side
from backtester.core.folds import Ledger
from backtester.core.instruments import Holding, Instrument, InstrumentId, split_holding
from backtester.core.margin import MarginTerms
from backtester.core.numbers import CEIL, FLOOR, RATE_SCALE, mul_div
from backtester.core.option_rates import initial_margin


class Need(NamedTuple):
    """Funds that an order binds: units (1e-8) of an asset in a wallet."""

    holding: Holding
    units: int


def with_fee(notional_units: int, fee_rate: int) -> int:
    """Return a notional plus the most that a fee of this rate (1e-8) can add."""
    return notional_units + _fee(notional_units, fee_rate)


def _fee(notional_units: int, fee_rate: int) -> int:
    return max(0, mul_div(notional_units, fee_rate, RATE_SCALE, CEIL))


def budget_need(terms: MarginTerms, instrument: Instrument, budget_units: int, fee_rate: int) -> int:
    """Return what opening a position for a budget (notional and fee) binds: the margin and the fee."""
    if terms.leverage_of(instrument.id) == 1:
        return budget_units
    return min(budget_units, terms.margin_units(instrument.id, budget_units) + _fee(budget_units, fee_rate))


def affordable_budget(terms: MarginTerms, instrument: Instrument, free_units: int, fee_rate: int) -> int:
    """Return the largest budget, to a few units, that binds no more than what is free."""
    leverage = terms.leverage_of(instrument.id)
    if leverage == 1:
        return max(0, free_units)
    left = max(0, free_units - 2)  # two roundings
    return mul_div(left, leverage * RATE_SCALE, RATE_SCALE + leverage * max(0, fee_rate), FLOOR)


def opening_qty(ledger: Ledger, instrument: Instrument, side: Side, qty_units: int) -> int:
    """Return how much of an order adds to the position or opens the other side; the rest only reduces."""
    held = ledger.position(instrument.id).qty_units
    reduces = min(qty_units, max(0, -held * side.sign))
    return qty_units - reduces


def order_need(
    ledger: Ledger,
    instrument: Instrument,
    side: Side,
    qty_units: int,
    price_units: int,
    fee_rate: int,
    prices: Mapping[InstrumentId, int],
) -> Need:
    """Return what an order of a known quantity binds: spot sells the base asset, everything else quote money.

    A futures order binds the initial margin of its opening part, and the fee; reducing binds nothing. Options:
    `_option_need`, at these marks and indices (10^-p).
    """
    if instrument.is_option:
        return _option_need(ledger, instrument, side, qty_units, price_units, prices)
    if instrument.is_spot and side is Side.SELL:
        return Need(instrument.coin, instrument.base_money(qty_units))
    if instrument.is_spot:
        return Need(instrument.cash, with_fee(instrument.notional_units(qty_units, price_units), fee_rate))
    opening = opening_qty(ledger, instrument, side, qty_units)
    if opening == 0:
        return Need(instrument.cash, 0)
    notional = instrument.notional_units(opening, price_units)
    return Need(instrument.cash, ledger.margin.margin_units(instrument.id, notional) + _fee(notional, fee_rate))


def _option_need(
    ledger: Ledger, spec: Instrument, side: Side, qty_units: int, price_units: int, prices: Mapping[InstrumentId, int]
) -> Need:
    """Return what an order in an option binds at its limit: the premium and the most that its fee can be; of what it
    sells short the initial margin instead, less the premium that comes in. Closing a long binds nothing.

    prices: marks and indices, 10^-p.
    """
    terms = ledger.margin.options
    opening = opening_qty(ledger, spec, side, qty_units)
    if side is Side.SELL:
        premium = spec.notional_units(opening, price_units)
        margin = initial_margin(terms, spec, opening, prices)
        return Need(spec.cash, max(0, margin + _fee(premium, terms.fee_cap) - premium))
    freed = initial_margin(terms, spec, qty_units - opening, prices)
    return Need(spec.cash, max(0, with_fee(spec.notional_units(qty_units, price_units), terms.fee_cap) - freed))


def released_units(
    ledger: Ledger,
    instrument: Instrument,
    qty_units: int,
    opening_units: int,
    notional: int,
    prices: Mapping[InstrumentId, int],
) -> int:
    """Return what a futures order frees by closing before it opens the other side: the margin, and the profit.

    Args:
        ledger: before the order.
        instrument: a future.
        qty_units, opening_units: the order's quantity, and the part of it that opens.
        notional: of the whole order, 1e-8 quote.
        prices: the last ones, 10^-p: with cross margin the profit at them is free already.
    """
    held = ledger.position(instrument.id)
    if opening_units == qty_units or held.qty_units == 0:
        return 0
    worth = mul_div(notional, qty_units - opening_units, qty_units, FLOOR)
    profit = instrument.gain * (worth - abs(held.basis_units))
    freed = ledger.margin_of(instrument.id) + (profit if held.qty_units > 0 else -profit)
    return freed - _cross_profit(ledger, instrument.id, prices)


def collateral_units(ledger: Ledger, prices: Mapping[InstrumentId, int], holding: Holding) -> int:
    """Return how much of an asset in a wallet secures open futures positions and short options: their initial margin.

    With cross margin less the profit, or with the loss, that futures have at these prices (10^-p), and less what other
    assets secure of it; of options at their marks, which change with every row of the chain.
    """
    bound = -pledged_units(ledger, prices, holding)
    for instrument, position in ledger.positions.items():
        spec = ledger.instruments[instrument]
        if spec.cash != holding:
            continue
        if spec.is_margined:
            bound += ledger.margin_of(instrument) - _cross_profit(ledger, instrument, prices)
        elif spec.is_option and position.qty_units < 0:
            bound += initial_margin(ledger.margin.options, spec, -position.qty_units, prices)
    return bound


def pledged_units(ledger: Ledger, prices: Mapping[InstrumentId, int], holding: Holding, *, whole: bool = False) -> int:
    """Return what other assets of the wallet add (1e-8 of this one) to what secures its positions with cross margin:
    their worth at these prices, as much of it as counts; or whole, as it pays for losses.
    """
    rates = ledger.margin.collateral
    if not rates or holding in rates:
        return 0
    wallet, asset = split_holding(holding)
    total = 0
    for other, rate in rates.items():
        owner, pledged = split_holding(other)
        if owner == wallet and (held := ledger.assets.get(other)) is not None:
            worth = ledger.valuation.worth(pledged, max(0, held.cash_units), prices)
            total += worth if whole else mul_div(worth, rate, RATE_SCALE, FLOOR)
    return ledger.valuation.amount(asset, total, prices)


def bound_units(ledger: Ledger, instrument: Instrument, prices: Mapping[InstrumentId, int], holding: Holding) -> int:
    """Return how much of an asset is bound for who wants to open a position in an instrument.

    An isolated position is paid for with money that is there: profit of others that is not realised, and other assets,
    secure only what is secured together.
    """
    alone = instrument.is_margined and instrument.id not in ledger.margin.cross
    return (settled_collateral if alone else collateral_units)(ledger, prices, holding)


def settled_collateral(ledger: Ledger, prices: Mapping[InstrumentId, int], holding: Holding) -> int:
    """Return how much of an asset secures positions when profit and other assets count for no more than they secure."""
    alone = sum(
        ledger.margin_of(i)
        for i in ledger.positions
        if ledger.instruments[i].is_margined and ledger.instruments[i].cash == holding and i not in ledger.margin.cross
    )
    return alone + max(0, collateral_units(ledger, prices, holding) - alone)


def transferable_units(
    ledger: Ledger, prices: Mapping[InstrumentId, int], holding: Holding, reserved: Callable[[Holding], int]
) -> int:
    """Return how much of an asset may leave a wallet: what no order reserves and what secures no position.

    Profit that is not realised, and other assets, count for no more than the margin that they secure: they cannot be
    taken out. What is pledged itself may leave as far as the rest secures the positions.
    """
    free = ledger.asset(holding).cash_units - settled_collateral(ledger, prices, holding) - reserved(holding)
    if holding in ledger.margin.collateral:
        free = min(free, _unneeded_pledge(ledger, prices, holding, reserved))
    return free


def _unneeded_pledge(
    ledger: Ledger, prices: Mapping[InstrumentId, int], holding: Holding, reserved: Callable[[Holding], int]
) -> int:
    """Return how much of a pledged asset the positions that it secures can do without."""
    wallet, asset = split_holding(holding)
    least = cash = ledger.asset(holding).cash_units
    for secured in {ledger.instruments[i].cash for i in ledger.margin.cross}:
        settle = split_holding(secured)[1]
        if split_holding(secured)[0] == wallet:
            bound = collateral_units(ledger, prices, secured) + reserved(secured)
            free = ledger.valuation.worth(settle, ledger.asset(secured).cash_units - bound, prices)
            rate = ledger.margin.collateral[holding]
            counts = mul_div(ledger.valuation.worth(asset, cash, prices), rate, RATE_SCALE, CEIL)
            if free < counts:
                left = mul_div(max(0, free - 2), RATE_SCALE, rate, FLOOR)  # two roundings
                least = min(least, ledger.valuation.amount(asset, left, prices))
    return max(0, least)


def sellable_units(ledger: Ledger, instrument: Instrument) -> int:
    """Return how much of a spot asset can be sold: of what was bought, what is still in the wallet. Coins that were put
    in, or moved in, are no position.
    """
    position = ledger.position(instrument.id).qty_units
    return max(0, min(ledger.asset(instrument.coin).cash_units, instrument.base_money(position)))


def _cross_profit(ledger: Ledger, instrument: InstrumentId, prices: Mapping[InstrumentId, int]) -> int:
    if instrument not in ledger.margin.cross:
        return 0
    return ledger.unrealised_units(instrument, prices[ledger.instruments[instrument].listed])


def remaining(order: SanitizedOrder, fill: Fill, instrument: Instrument) -> SanitizedOrder:
    """Return what is left of an order after a fill that did not complete it: its quantity or money, and its funds."""
    if order.qty_units:
        reserve = mul_div(order.reserve_units, fill.leaves_units, order.qty_units, CEIL)
        return structs.replace(order, ts=fill.ts, qty_units=fill.leaves_units, reserve_units=reserve)
    spent = instrument.notional_units(fill.qty_units, fill.price_units)
    spent += max(0, fill.fee_units) if fill.fee_asset == instrument.settle and order.side is Side.BUY else 0
    budget = max(0, order.budget_units - spent)
    if not order.budget_units:  # it closes the whole position, and binds nothing of its own
        return structs.replace(order, ts=fill.ts)
    reserve = mul_div(order.reserve_units, budget, order.budget_units, CEIL)
    return structs.replace(order, ts=fill.ts, budget_units=budget, reserve_units=reserve)


def left_to_replace(order: SanitizedOrder, decided: SanitizedOrder, now: SanitizedOrder) -> SanitizedOrder | None:
    """Return what is left of a replacement when it arrives: less what the order that it replaces has filled meanwhile.

    Args:
        order: the replacement, as it was sent.
        decided, now: the order that it replaces, as it was then and as it is.

    Returns:
        None when nothing is left; nor when money sized the one and a quantity the other, for they cannot be set off.
    """
    filled, spent = decided.qty_units - now.qty_units, decided.budget_units - now.budget_units
    if filled <= 0 and spent <= 0:
        return order
    if filled > 0 and order.qty_units > filled:
        left, whole = order.qty_units - filled, order.qty_units
        order = structs.replace(order, qty_units=left)
    elif spent > 0 and order.budget_units > spent:
        left, whole = order.budget_units - spent, order.budget_units
        order = structs.replace(order, budget_units=left)
    else:
        return None
    return structs.replace(order, reserve_units=mul_div(order.reserve_units, left, whole, CEIL))


def resized(exit_: SanitizedOrder, qty_units: int, ts: int, instrument: Instrument) -> SanitizedOrder:
    """Return an exit of another quantity; on spot it binds what it sells."""
    reserve = instrument.base_money(qty_units) if instrument.is_spot else 0
    return structs.replace(exit_, ts=ts, qty_units=qty_units, reserve_units=reserve)
