"""The account loop: what the desk of a signal, risk and the exchange do with market orders, candle by candle.

The arithmetic is that of `core` and `sim`: the very functions. What is restated is the order of the steps, of one
instrument alone; whatever this page does not restate ends the loop with a code, and the event engine takes over. A
standing test holds the two equal, fill by fill.

Plain Python over arrays (or lists), so that it runs compiled and interpreted. The steps stand in one function: state in
local variables is what makes it fast.
"""

from math import isnan
from typing import Any

from backtester.core.folds import position_step
from backtester.core.numbers import CEIL, FLOOR, HALF_EVEN, RATE_SCALE, floor_to, mul_div
from backtester.search.kernel.orders import NO_SHORTS, REFUSED, SENT, asked_budget, reduced_qty
from backtester.search.kernel.state import (
    BAD_PRICE,
    BETWEEN,
    BRACKET,
    DIGITS,
    DONE,
    FLIP,
    FULL,
    GAP,
    LARGE,
    NEAR_LIQUIDATION,
    NEVER,
    NO_ROW,
    PARTIAL,
    Market,
    Summary,
    Terms,
    Wishes,
)
from backtester.sim.funding import linear_payment
from backtester.sim.sim_models import worse_price
from backtester.sim.sizing import fee_of, lots_for_budget

_CLOSE, _SHRINK, _ENTER, _GROW = 1, 2, 3, 4
_MOST = 4.0e18  # of a product that is not made in 128 bits


def size_units(levels: Any, units: Any, size: float) -> int:
    """Return what a size is in 1e-18: `levels` are ascending, and it is one of them."""
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if levels[middle] < size:
            low = middle + 1
        else:
            high = middle
    return units[low]  # type: ignore[no-any-return]


def run_account(market: Market, wishes: Wishes, terms: Terms, used: Any, fills: Any, daily: Any) -> Summary:  # noqa: PLR0911, PLR0912, PLR0915 - see above
    """Run one combination over all candles.

    Args:
        market, wishes, terms: what there is, what is wanted, and under which assumptions.
        used: zeros, one for each tag.
        fills: takes time, signed quantity, price and fee of each fill; shape (4, room).
        daily: takes the equity at each midnight.
    """
    mul, den, is_spot = terms.mul, terms.den, terms.is_spot
    cash, qty, basis, fees, funding = terms.cash, 0, 0, 0, 0
    n_fills, room = 0, len(fills[0])
    trade_open, trade_gross, trade_fees = False, 0, 0
    n_trades, n_wins, n_losses, won, lost = 0, 0, 0, 0, 0
    # the desk
    side, size, size_level, tag, by_target, opened = 0, 0, 0.0, 0, False, 0
    entering, entering_size, entering_level, entering_tag = 0, 0, 0.0, 0
    resizing, resizing_level = 0, 0.0
    spent, spent_target, spent_tag = False, 0.0, 0
    target, wanted_tag, rest_until = 0.0, 0, 0
    # what waits for an open: a quantity to sell or buy back, and then money to spend
    first_kind, first_qty, second_kind, second_sign, second_budget, deadline = 0, 0, 0, 0, 0, 0
    # equity: the highest so far, the deepest fall, and which closes since the last change can be neither
    peak, worst = float(cash), 0.0
    highest, lowest = 0, 0
    version, versions = 0, len(market.rules_from)
    mark, row_mark, row, finer = 0, 0, 0, len(market.row) > 0  # the last close, that of the last row, and the next row
    day, days = 0, len(market.midnights)
    next_day = market.day_candle[0] if days > 0 else -1
    due, dues = 0, len(market.funding_time)
    has_tags, has_flags = len(wishes.tag) > 0, len(wishes.flags) > 0
    danger = NEVER  # the price at which a short may be near its liquidation
    flagged, turned, ends, timed, change = False, False, False, False, 0

    for i in range(len(market.close)):
        # --- the open of the candle: what waits is filled ---
        if due < dues and market.funding_time[due] <= market.open_time[i]:
            if qty != 0:
                return _stopped(GAP, i)
            while due < dues and market.funding_time[due] <= market.open_time[i]:
                due += 1
        if i == next_day:
            while day < days and market.day_candle[day] == i and market.midnights[day] < market.open_time[i]:
                daily[day] = cash + _value(qty, basis, row_mark, is_spot, mul, den)
                day += 1
        if (first_kind != 0 or second_kind != 0) and market.traded[i]:
            now = market.open_time[i]
            while version + 1 < versions and market.rules_from[version + 1] <= now:
                version += 1
            if now >= deadline:
                first_kind, second_kind = 0, 0
            left = NEVER
            if terms.participation != 0 and market.offered[i] >= 0:
                left = mul_div(market.offered[i], terms.participation, RATE_SCALE, FLOOR)
            for place in range(2):
                kind = first_kind if place == 0 else second_kind
                if kind == 0:
                    continue
                sign = second_sign
                if place == 0:
                    sign = 1 if first_qty > 0 else -1
                price = worse_price(sign, market.open[i], terms.slippage)
                if price <= 0:
                    return _stopped(BAD_PRICE, i)
                if place == 0:
                    wanted = abs(first_qty)
                else:
                    lot = market.lot[version]
                    wanted = lots_for_budget(second_budget, price, lot, terms.fee_rate, terms.shift)
                    if market.max_qty[version] != 0:
                        wanted = min(wanted, floor_to(market.max_qty[version], lot))
                    if wanted < market.min_qty[version]:
                        continue
                    if mul_div(wanted * mul, price, den, HALF_EVEN) < market.min_notional[version]:
                        continue
                if wanted > left:
                    return _stopped(PARTIAL, i)
                notional = mul_div(wanted * mul, price, den, HALF_EVEN)
                fee = fee_of(notional, terms.fee_rate)
                opposite = qty * sign < 0
                if opposite and wanted > abs(qty):
                    return _stopped(FLIP, i)
                if not opposite:
                    if sign < 0 and not is_spot and not terms.allow_short:
                        if kind == _ENTER:
                            spent, spent_target, spent_tag = True, target, wanted_tag
                        continue
                    if not is_spot and mul_div(notional, abs(qty) + wanted, wanted, CEIL) > terms.max_size:
                        return _stopped(BRACKET, i)
                    free = cash if is_spot else cash - abs(basis)
                    if notional + fee > free:
                        continue
                if n_fills == room:
                    return _stopped(FULL, i)
                left -= wanted
                qty, basis, realised = position_step(qty, basis, sign * wanted, notional, 1)
                cash += (-sign * notional if is_spot else realised) - fee
                fees += fee
                fills[0][n_fills], fills[1][n_fills] = now, sign * wanted
                fills[2][n_fills], fills[3][n_fills] = price, fee
                n_fills += 1
                if float(abs(qty)) * float(mul) > _MOST:
                    return _stopped(LARGE, i)
                danger = NEVER
                if qty < 0 and not is_spot:
                    danger = mul_div(mul_div(-basis, terms.short_limit, RATE_SCALE, FLOOR), den, -qty * mul, FLOOR)
                # round trips
                if not trade_open:
                    trade_open, trade_gross, trade_fees = True, 0, 0
                trade_gross += realised
                trade_fees += fee
                flat = abs(qty) < market.resting_lot[version]
                if flat:
                    trade_open = False
                    net = trade_gross - trade_fees
                    n_trades += 1
                    if net > 0:
                        n_wins += 1
                        won += net
                    elif net < 0:
                        n_losses += 1
                        lost -= net
                # the desk hears of it
                if side != 0 and (flat or qty * side < 0):
                    side = 0
                    rest_until = row + wishes.cooldown
                    if not by_target:
                        spent, spent_target, spent_tag = True, target, wanted_tag
                elif side != 0 and resizing != 0 and kind in (_SHRINK, _GROW):
                    size, size_level, resizing = resizing, resizing_level, 0
                if side == 0 and entering != 0 and not flat:
                    side, size, size_level, tag = entering, entering_size, entering_level, entering_tag
                    entering, resizing, by_target, opened = 0, 0, False, row
                    if wishes.one_trade_per_tag:
                        used[tag] = 1
                # a row of equity, at the last mark
                equity = float(cash + _value(qty, basis, mark, is_spot, mul, den))
                if equity > peak:
                    peak = equity
                elif peak > 0 and equity / peak - 1.0 < worst:
                    worst = equity / peak - 1.0
                highest, lowest, row_mark = mark, mark, mark
            first_kind, second_kind = 0, 0
        if i == next_day:
            while day < days and market.day_candle[day] == i:
                daily[day] = cash + _value(qty, basis, row_mark, is_spot, mul, den)
                day += 1
            next_day = market.day_candle[day] if day < days else -1

        # --- its close: what waited too long is over, the account is marked, funding is paid ---
        moved = False
        while due < dues and market.funding_time[due] <= market.close_time[i]:
            if market.funding_time[due] == market.close_time[i]:
                mark = market.close[i]  # before, the last close is what is known
            if qty != 0:
                rate, at = market.funding_rate[due], market.funding_mark[due]
                if at != 0:
                    paid = linear_payment(qty, at, rate, terms.qty_exponent)
                else:  # none is known: the last price
                    paid = linear_payment(qty, mark, rate, terms.shift)
                cash, funding, moved, row_mark = cash + paid, funding + paid, True, mark
                trade_gross += paid  # where no trade is open it is never read
                equity = float(cash + _value(qty, basis, mark, is_spot, mul, den))
                if equity > peak:
                    peak = equity
                elif peak > 0 and equity / peak - 1.0 < worst:
                    worst = equity / peak - 1.0
            due += 1
        mark = market.close[i]
        if (first_kind != 0 or second_kind != 0) and market.close_time[i] >= deadline:
            first_kind, second_kind = 0, 0
        if qty != 0 and market.high[i] >= danger:
            return _stopped(NEAR_LIQUIDATION, i)
        at_row = market.row[i] if finer else i
        if moved:
            highest, lowest = row_mark, row_mark
        if at_row == BETWEEN:
            continue
        row_mark = mark
        if qty != 0 and (moved or mark > highest or mark < lowest):
            equity = float(cash + _value(qty, basis, mark, is_spot, mul, den))
            if equity > peak or moved:
                highest, lowest = mark, mark
            else:
                highest, lowest = max(highest, mark), min(lowest, mark)
            if equity > peak:
                peak = equity
            elif peak > 0 and equity / peak - 1.0 < worst:
                worst = equity / peak - 1.0

        # --- the decision ---
        if at_row == NO_ROW:
            continue
        row = at_row + 1
        target = wishes.exposure[at_row]
        if has_tags:
            wanted_tag = wishes.tag[at_row]
        if spent and not (spent_target == target and spent_tag == wanted_tag):
            spent = False
        if versions > 1 and side != 0:
            while version + 1 < versions and market.rules_from[version + 1] <= market.close_time[i]:
                version += 1
            if abs(qty) < market.resting_lot[version]:  # other lots make a position nothing that could be sold
                side, rest_until = 0, row + wishes.cooldown
                if not by_target:
                    spent, spent_target, spent_tag = True, target, wanted_tag
        if i < market.first or first_kind != 0 or second_kind != 0:
            continue
        flag = wishes.flags[at_row] if has_flags else 0
        if side == 0:
            if target == 0 or isnan(target):
                continue
        else:
            flagged = flag in (1, 3) if side > 0 else flag >= 2
            turned = target * side < 0
            ends = target == 0 or turned or flagged
            timed = wishes.max_candles != 0 and row - opened >= wishes.max_candles
            if not (ends or timed) and (isnan(target) or abs(target) == size_level):
                continue
        now = market.close_time[i]
        while version + 1 < versions and market.rules_from[version + 1] <= now:
            version += 1
        lot = market.lot[version]
        opens, grows = 0, False
        if side == 0:
            opens = 1 if target > 0 else -1
        elif ends or timed:
            by_target = ends
            wanted = floor_to(abs(qty), lot)
            if _takes(wanted, mark, market, version, mul, den):
                first_kind, first_qty = _CLOSE, -wanted if qty > 0 else wanted
                deadline = now + terms.max_wait
            if turned and not flagged and wishes.cooldown == 0:
                opens = -side
        else:
            level = abs(target)
            wished = size_units(wishes.levels, wishes.units, level)
            change = wished - size
            if abs(change) < wishes.min_change:
                continue
            resizing, resizing_level = wished, level
            if change > 0:
                grows = True
            else:
                wanted = reduced_qty(abs(qty), -change, size)
                if wanted < 0:
                    return _stopped(DIGITS, i)
                wanted = floor_to(wanted, lot)
                if _takes(wanted, mark, market, version, mul, den):
                    first_kind, first_qty = _SHRINK, -side * wanted
                    deadline = now + terms.max_wait
        if opens != 0 or grows:
            if grows:
                sign, share = side, change
            else:
                if spent or at_row < rest_until or (wishes.one_trade_per_tag and used[wanted_tag] != 0):
                    continue
                sign = opens
                entering, entering_level, entering_tag = opens, abs(target), wanted_tag
                entering_size = share = size_units(wishes.levels, wishes.units, entering_level)
            result, budget, _ = asked_budget(
                sign, share, cash, 0, qty, basis, mark, lot, market.min_qty[version], market.min_notional[version],
                market.max_notional[version], terms.max_size, is_spot, terms.allow_short, mul, den,
            )  # fmt: skip
            if result == SENT:
                second_kind, second_sign, second_budget = _GROW if grows else _ENTER, sign, budget
                deadline = now + terms.max_wait
            elif result == NO_SHORTS:
                if not grows:
                    spent, spent_target, spent_tag = True, target, wanted_tag
            elif result != REFUSED:
                return _stopped(result, i)

    equity_units = cash + _value(qty, basis, mark, is_spot, mul, den)
    while day < days:
        daily[day] = equity_units
        day += 1
    return Summary(
        DONE, -1, n_fills, equity_units, worst, fees, funding, n_trades, n_wins, n_losses, won, lost,
        1 if trade_open else 0,
    )  # fmt: skip


def _value(qty: int, basis: int, mark: int, is_spot: bool, mul: int, den: int) -> int:
    """Return what a position adds to equity beside cash: spot its worth, a future its profit."""
    if qty == 0:
        return 0 if is_spot else -basis
    worth = mul_div(qty * mul, mark, den, HALF_EVEN)
    return worth if is_spot else worth - basis


def _takes(qty: int, price: int, market: Market, version: int, mul: int, den: int) -> bool:
    """Say whether the venue takes a market order over a quantity, valued at the last price."""
    if qty < market.min_qty[version] or (market.max_qty[version] != 0 and qty > market.max_qty[version]):
        return False
    notional = mul_div(qty * mul, price, den, HALF_EVEN)
    if notional < market.min_notional[version]:
        return False
    return bool(market.max_notional[version] == 0 or notional <= market.max_notional[version])


def _stopped(code: int, at: int) -> Summary:
    return Summary(code, at, 0, 0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0)
