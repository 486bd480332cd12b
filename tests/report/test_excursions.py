"""The worst and the best on the way: by hand, and against a walk over every candle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, lists, tuples

from backtester.report.excursions import Contract, Excursions, Steps

TF = 60


def steps_of(fills: list[tuple[int, int, bool, float, float, float, float]]) -> Steps:
    """Rows of trade, time in candles, whether at an open, price, quantity, basis, realised."""
    trade, at, opens, price, qty, basis, realised = (np.array(column) for column in zip(*fills, strict=True))
    ts = at.astype(np.int64) * TF
    return Steps(trade, np.where(opens, ts, ts - TF), ts, price * 1.0, qty * 1.0, basis * 1.0, realised * 1.0)


def extremes(
    steps: Steps, candles: list[tuple[float, float]], batch: int = 100, **contract: float
) -> list[list[float]]:
    """Worst and best of each trade, over candles of (high, low)."""
    found = Excursions(steps, Contract(1.0, **contract), TF)  # type: ignore[arg-type]
    times = np.arange(len(candles), dtype=np.int64) * TF
    high, low = (np.array(column, dtype=np.float64) for column in zip(*candles, strict=True))
    for begin in range(0, len(candles), batch):
        part = slice(begin, begin + batch)
        found.add(times[part], high[part], low[part])
    return [column.tolist() for column in found.extremes(int(steps.trade[-1]) + 1)]


CANDLES = [(101, 99), (105, 100), (103, 90), (98, 95), (99, 80)]


def test_a_long_from_open_to_open_sees_the_candles_between() -> None:
    fills = [(0, 1, True, 100, 2, 200, 0), (0, 3, True, 97, 0, 0, -6)]
    assert extremes(steps_of(fills), CANDLES) == [[-20], [10]]


def test_a_short_gains_from_the_low() -> None:
    fills = [(0, 1, True, 100, -2, -200, 0), (0, 3, True, 97, 0, 0, 6)]
    assert extremes(steps_of(fills), CANDLES) == [[-10], [20]]


def test_of_the_candle_in_which_a_stop_filled_only_its_price_counts() -> None:
    fills = [(0, 1, True, 100, 1, 100, 0), (0, 3, False, 97, 0, 0, -3)]  # it filled within candle 2
    assert extremes(steps_of(fills), CANDLES) == [[-3], [5]]


def test_what_was_realised_on_the_way_counts() -> None:
    fills = [(0, 0, True, 100, 2, 200, 0), (0, 2, True, 104, 1, 100, 4), (0, 3, True, 97, 0, 0, 1)]
    assert extremes(steps_of(fills), CANDLES) == [[4 - 10], [10]]


def test_an_inverse_contract_is_worth_its_money_over_the_price() -> None:
    steps = steps_of([(0, 1, True, 100, 100, 1, 0), (0, 3, True, 100, 0, 0, 0)])
    worst, best = extremes(steps, CANDLES, is_inverse=True, gain=-1)
    assert worst[0] == pytest.approx(1 - 100 / 90)
    assert best[0] == pytest.approx(1 - 100 / 105)


def test_a_trade_that_never_saw_a_whole_candle_has_its_fills() -> None:
    assert extremes(steps_of([(0, 2, False, 100, 1, 100, 0), (0, 2, False, 96, 0, 0, -4)]), CANDLES) == [[-4], [0]]


moves = lists(tuples(integers(0, 4), booleans(), integers(-3, 3), integers(80, 120)), min_size=1, max_size=12)
bars = lists(tuples(integers(90, 120), integers(80, 90)), min_size=30, max_size=30)


@given(moves, bars, integers(1, 31))
def test_extremes_are_those_of_a_walk_over_every_candle(
    made: list[tuple[int, bool, int, int]], candles: list[tuple[int, int]], batch: int
) -> None:
    fills, now, qty, cash, number = [], 1, 0, 0.0, -1
    before: list[tuple[int, int, int, float]] = []  # trade, from candle, quantity, cash
    for wait, opens, change, price in made:
        now = min(now + wait, 29)
        if change == 0 or (qty and (qty + change) * qty < 0):
            continue
        number += qty == 0
        cash = (0.0 if qty == 0 else cash) - change * price
        qty += change
        # basis and realised are one sum here: profit = realised + quantity × price − basis
        fills.append((number, now, opens, price, qty, -cash, 0.0))
        before.append((number, now, qty, cash))
        if wait == 0 and not opens and len(fills) > 1 and fills[-2][1] == now:
            fills[-1] = (*fills[-1][:2], fills[-2][2], *fills[-1][3:])
    if not fills:
        return
    worst, best = [0.0] * (number + 1), [0.0] * (number + 1)

    def see(trade: int, profit: float) -> None:
        worst[trade], best[trade] = min(worst[trade], profit), max(best[trade], profit)

    for n, (trade, at, _, price, held, basis, _) in enumerate(fills):
        see(trade, held * price - basis)
        if n + 1 < len(fills) and fills[n + 1][0] == trade and held:
            until = fills[n + 1][1] - (0 if fills[n + 1][2] else 1)
            for high, low in candles[at:until]:
                see(trade, held * high - basis)
                see(trade, held * low - basis)
    assert extremes(steps_of(fills), [(float(h), float(low)) for h, low in candles], batch) == [worst, best]
