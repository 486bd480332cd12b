"""The curve values boundaries in columns; here each row is valued by itself, in fractions, and must be the same."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtester.account.equity import EquityColumns, EquityCurve
from backtester.core.folds import Ledger, Position
from backtester.core.instruments import Asset, Instrument
from backtester.core.market import Marks
from backtester.core.time import MINUTE
from tests.support.specs import instrument

START = 1_704_067_200_000_000
SPOT, OTHER = instrument("BTCUSDT"), instrument("ETHUSDT")
USDT = Asset("USDT")

Step = tuple[int, int, int, int, int]  # price of each, then the account after it: cash, quantity of each


def half_even(value: Fraction) -> int:
    return round(value)  # Python rounds a Fraction half to even


def value_of(spec: Instrument, qty: int, price: int) -> int:
    return half_even(Fraction(qty * price * 10**8, 10 ** (spec.scale.price + spec.scale.qty)))


def row_of(ts: int, cash: int, held: dict[Instrument, int], prices: dict[Instrument, int]) -> tuple[int, ...]:
    values = {spec: value_of(spec, qty, prices[spec]) for spec, qty in held.items()}
    unrealised = sum(values.values()) - sum(7 * qty for qty in held.values())
    equity = cash + sum(v if spec.is_spot else v - 7 * held[spec] for spec, v in values.items())
    return ts, equity, cash, unrealised, sum(abs(v) for v in values.values())


quantities = st.integers(-(10**6), 10**6) | st.integers(-(10**15), 10**15)
steps = st.lists(
    st.tuples(st.integers(1, 10**8), st.integers(1, 10**8), st.integers(0, 10**14), quantities, quantities),
    min_size=1,
    max_size=30,
)


@given(steps=steps, timeframe=st.sampled_from([1, 3]), windows=st.sets(st.integers(1, 30)), changed=st.data())
def test_rows_in_columns_are_the_rows_one_by_one(
    steps: list[Step], timeframe: int, windows: set[int], changed: st.DataObject
) -> None:
    got: list[tuple[int, ...]] = []

    def sink(columns: EquityColumns) -> None:
        got.extend(zip(*(column.tolist() for column in columns), strict=True))

    ledger = Ledger({SPOT.id: SPOT, OTHER.id: OTHER})
    curve = EquityCurve(ledger, timeframe * MINUTE, START, sink)
    expected: list[tuple[int, ...]] = []
    cash, held = 0, {SPOT: 0, OTHER: 0}
    ticks: list[int] = []
    marks: dict[Instrument, list[int]] = {SPOT: [], OTHER: []}

    def hand_on() -> None:
        columns = {spec.id: np.array(prices, dtype=np.int64) for spec, prices in marks.items()}
        curve.value(Marks(ticks[-1], np.array(ticks, dtype=np.int64), columns))
        ticks.clear()
        for prices in marks.values():
            prices.clear()

    for n, (price, other_price, new_cash, qty, other_qty) in enumerate(steps):
        now = START + (n + 1) * MINUTE
        prices = {SPOT: price, OTHER: other_price}
        ticks.append(now)
        marks[SPOT].append(price)
        marks[OTHER].append(other_price)
        moments = changed.draw(st.lists(st.sampled_from(["match", "open"]), max_size=2, unique=True))
        for moment in ("match", None, "open"):  # a change before the boundary, the boundary, a change after it
            if moment is None and n % timeframe == timeframe - 1:
                expected.append(row_of(now, cash, held, prices))
            if moment in moments:
                cash, held = new_cash, {SPOT: qty, OTHER: other_qty if moment == "open" else 0}
                ledger.asset(SPOT.cash).cash_units = cash
                for spec, q in held.items():
                    ledger.asset(spec.coin).cash_units = spec.base_money(q)
                ledger.positions.clear()
                ledger.positions.update({spec.id: Position(q, 7 * q) for spec, q in held.items() if q})
                settled = now if moment == "open" else now - MINUTE
                curve.change(now, settled, {spec.id: p for spec, p in prices.items()})
                expected.append(row_of(now, cash, held, prices))
        if n in windows:
            hand_on()
    if ticks:
        hand_on()
    curve.close()
    assert got == expected
