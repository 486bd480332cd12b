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
    # Bound once: compiled code would count references to the arrays of a tuple at every look.
    first_candle, open_time, close_time = market.first, market.open_time, market.close_time
    open_prices, closes, highs, traded, offered = market.open, market.close, market.high, market.traded, market.offered
    rows, rules_from, lots, resting_lots = market.row, market.rules_from, market.lot, market.resting_lot
    min_qtys, max_qtys = market.min_qty, market.max_qty
    min_notionals, max_notionals = market.min_notional, market.max_notional
    midnights, day_candle = market.midnights, market.day_candle
    funding_time, funding_rate, funding_mark = market.funding_time, market.funding_rate, market.funding_mark
    exposure, tags, flags, levels, units = wishes.exposure, wishes.tag, wishes.flags, wishes.levels, wishes.units
    fill_times, fill_qtys, fill_prices, fill_fees = fills[0], fills[1], fills[2], fills[3]
    one_trade_per_tag, cooldown, min_change = wishes.one_trade_per_tag, wishes.cooldown, wishes.min_change
    max_candles, slippage, fee_rate, max_wait = wishes.max_candles, terms.slippage, terms.fee_rate, terms.max_wait
    mul, den, is_spot = terms.mul, terms.den, terms.is_spot
    cash, qty, basis, fees, funding = terms.cash, 0, 0, 0, 0
    n_fills, room = 0, len(fill_times)
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
    version, versions = 0, len(rules_from)
    mark, row_mark, row, finer = 0, 0, 0, len(rows) > 0  # the last close, that of the last row, and the next row
    day, days = 0, len(midnights)
    next_day = day_candle[0] if days > 0 else -1
    due, dues = 0, len(funding_time)
    has_tags, has_flags = len(tags) > 0, len(flags) > 0
    danger = NEVER  # the price at which a short may be near its liquidation
    flagged, turned, ends, timed, change = False, False, False, False, 0

    candles, skip_to = len(closes), 0
    too_poor_for = -1.0  # the size that a flat account cannot pay for until it has filled something else
    may_scan = not finer and versions == 1
    for i in range(candles):
        # --- candles at which nothing can happen are passed over ---
        if i < skip_to:
            continue
        if may_scan and first_kind == 0 and second_kind == 0 and i >= first_candle:
            stop = next_day if next_day >= 0 else candles
            until = funding_time[due] if due < dues else NEVER
            at = i
            if side == 0 and qty == 0:
                while at < stop and close_time[at] < until:
                    wish = exposure[at]
                    if not (wish == 0 or isnan(wish)) and (
                        has_tags or not (abs(wish) == too_poor_for or (spent and wish == spent_target))
                    ):
                        break
                    spent = spent and wish == spent_target
                    at += 1
            elif side != 0 and not spent and not has_flags and max_candles == 0:
                held = side * size_level
                # between the extremes since the last change neither a peak nor a deeper fall can come
                while (
                    at < stop
                    and lowest <= closes[at] <= highest
                    and highs[at] < danger
                    and (exposure[at] == held or isnan(exposure[at]))
                    and close_time[at] < until
                ):
                    at += 1
            skip_to = at
            if skip_to > i:
                mark = row_mark = closes[skip_to - 1]
                target, row = exposure[skip_to - 1], skip_to
                if has_tags:
                    wanted_tag = tags[skip_to - 1]
                continue
        # --- the open of the candle: what waits is filled ---
        if due < dues and funding_time[due] <= open_time[i]:
            if qty != 0:
                return _stopped(GAP, i)
            while due < dues and funding_time[due] <= open_time[i]:
                due += 1
        if i == next_day:
            while day < days and day_candle[day] == i and midnights[day] < open_time[i]:
                daily[day] = cash + _value(qty, basis, row_mark, is_spot, mul, den)
                day += 1
        if (first_kind != 0 or second_kind != 0) and traded[i]:
            now = open_time[i]
            while version + 1 < versions and rules_from[version + 1] <= now:
                version += 1
            if now >= deadline:
                first_kind, second_kind = 0, 0
            left = NEVER
            if terms.participation != 0 and offered[i] >= 0:
                left = mul_div(offered[i], terms.participation, RATE_SCALE, FLOOR)
            for place in range(2):
                kind = first_kind if place == 0 else second_kind
                if kind == 0:
                    continue
                sign = second_sign
                if place == 0:
                    sign = 1 if first_qty > 0 else -1
                price = worse_price(sign, open_prices[i], slippage)
                if price <= 0:
                    return _stopped(BAD_PRICE, i)
                if place == 0:
                    wanted = abs(first_qty)
                else:
                    lot = lots[version]
                    wanted = lots_for_budget(second_budget, price, lot, fee_rate, terms.shift)
                    if max_qtys[version] != 0:
                        wanted = min(wanted, floor_to(max_qtys[version], lot))
                    if wanted < min_qtys[version]:
                        continue
                    if mul_div(wanted * mul, price, den, HALF_EVEN) < min_notionals[version]:
                        continue
                if wanted > left:
                    return _stopped(PARTIAL, i)
                notional = mul_div(wanted * mul, price, den, HALF_EVEN)
                fee = fee_of(notional, fee_rate)
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
                too_poor_for = -1.0
                if n_fills == room:
                    return _stopped(FULL, i)
                left -= wanted
                qty, basis, realised = position_step(qty, basis, sign * wanted, notional, 1)
                cash += (-sign * notional if is_spot else realised) - fee
                fees += fee
                fill_times[n_fills], fill_qtys[n_fills] = now, sign * wanted
                fill_prices[n_fills], fill_fees[n_fills] = price, fee
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
                flat = abs(qty) < resting_lots[version]
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
                    rest_until = row + cooldown
                    if not by_target:
                        spent, spent_target, spent_tag = True, target, wanted_tag
                elif side != 0 and resizing != 0 and kind in (_SHRINK, _GROW):
                    size, size_level, resizing = resizing, resizing_level, 0
                if side == 0 and entering != 0 and not flat:
                    side, size, size_level, tag = entering, entering_size, entering_level, entering_tag
                    entering, resizing, by_target, opened = 0, 0, False, row
                    if one_trade_per_tag:
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
            while day < days and day_candle[day] == i:
                daily[day] = cash + _value(qty, basis, row_mark, is_spot, mul, den)
                day += 1
            next_day = day_candle[day] if day < days else -1

        # --- its close: what waited too long is over, the account is marked, funding is paid ---
        moved = False
        while due < dues and funding_time[due] <= close_time[i]:
            if funding_time[due] == close_time[i]:
                mark = closes[i]  # before, the last close is what is known
            if qty != 0:
                rate, at = funding_rate[due], funding_mark[due]
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
        mark = closes[i]
        if (first_kind != 0 or second_kind != 0) and close_time[i] >= deadline:
            first_kind, second_kind = 0, 0
        if qty != 0 and highs[i] >= danger:
            return _stopped(NEAR_LIQUIDATION, i)
        at_row = rows[i] if finer else i
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
        target = exposure[at_row]
        if has_tags:
            wanted_tag = tags[at_row]
        if spent and not (spent_target == target and spent_tag == wanted_tag):
            spent = False
        if versions > 1 and side != 0:
            while version + 1 < versions and rules_from[version + 1] <= close_time[i]:
                version += 1
            if abs(qty) < resting_lots[version]:  # other lots make a position nothing that could be sold
                side, rest_until = 0, row + cooldown
                if not by_target:
                    spent, spent_target, spent_tag = True, target, wanted_tag
        if i < first_candle or first_kind != 0 or second_kind != 0:
            continue
        flag = flags[at_row] if has_flags else 0
        if side == 0:
            if target == 0 or isnan(target):
                continue
        else:
            flagged = flag in (1, 3) if side > 0 else flag >= 2
            turned = target * side < 0
            ends = target == 0 or turned or flagged
            timed = max_candles != 0 and row - opened >= max_candles
            if not (ends or timed) and (isnan(target) or abs(target) == size_level):
                continue
        now = close_time[i]
        while version + 1 < versions and rules_from[version + 1] <= now:
            version += 1
        lot, least_qty, most_qty = lots[version], min_qtys[version], max_qtys[version]
        least, most = min_notionals[version], max_notionals[version]
        opens, grows = 0, False
        if side == 0:
            opens = 1 if target > 0 else -1
        elif ends or timed:
            by_target = ends
            wanted = floor_to(abs(qty), lot)
            if _takes(wanted, mark, least_qty, most_qty, least, most, mul, den):
                first_kind, first_qty = _CLOSE, -wanted if qty > 0 else wanted
                deadline = now + max_wait
            if turned and not flagged and cooldown == 0:
                opens = -side
        else:
            level = abs(target)
            wished = size_units(levels, units, level)
            change = wished - size
            if abs(change) < min_change:
                continue
            resizing, resizing_level = wished, level
            if change > 0:
                grows = True
            else:
                wanted = reduced_qty(abs(qty), -change, size)
                if wanted < 0:
                    return _stopped(DIGITS, i)
                wanted = floor_to(wanted, lot)
                if _takes(wanted, mark, least_qty, most_qty, least, most, mul, den):
                    first_kind, first_qty = _SHRINK, -side * wanted
                    deadline = now + max_wait
        if opens != 0 or grows:
            if grows:
                sign, share = side, change
            else:
                if spent or at_row < rest_until or (one_trade_per_tag and used[wanted_tag] != 0):
                    continue
                sign = opens
                entering, entering_level, entering_tag = opens, abs(target), wanted_tag
                entering_size = share = size_units(levels, units, entering_level)
            result, budget, _ = asked_budget(
                sign, share, cash, 0, qty, basis, mark, lot, min_qtys[version], min_notionals[version],
                max_notionals[version], terms.max_size, is_spot, terms.allow_short, mul, den,
            )  # fmt: skip
            if result == SENT:
                second_kind, second_sign, second_budget = _GROW if grows else _ENTER, sign, budget
                deadline = now + max_wait
            elif result == NO_SHORTS:
                if not grows:
                    spent, spent_target, spent_tag = True, target, wanted_tag
            elif result != REFUSED:
                return _stopped(result, i)
            elif qty == 0 and budget < least:
                too_poor_for = entering_level

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


def _takes(
    qty: int, price: int, min_qty: int, max_qty: int, min_notional: int, max_notional: int, mul: int, den: int
) -> bool:
    """Say whether the venue takes a market order over a quantity, valued at the last price."""
    if qty < min_qty or (max_qty != 0 and qty > max_qty):
        return False
    notional = mul_div(qty * mul, price, den, HALF_EVEN)
    return bool(notional >= min_notional and (max_notional == 0 or notional <= max_notional))


def _stopped(code: int, at: int) -> Summary:
    return Summary(code, at, 0, 0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0)
