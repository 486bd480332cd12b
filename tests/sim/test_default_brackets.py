"""The leverage table for instruments of which none is known."""

import json
from gzip import decompress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from backtester.sim.brackets import maintenance_margin, max_leverage, table_fault
from backtester.sim.default_brackets import DEFAULT_BRACKETS, default_brackets

UNIT = 10**8


def test_it_is_a_sound_table() -> None:
    assert table_fault(DEFAULT_BRACKETS) == ""
    assert maintenance_margin(DEFAULT_BRACKETS, 100_000 * UNIT) == 3_750 * UNIT  # 50 000 × 2.5 % + 50 000 × 5 %
    assert max_leverage(DEFAULT_BRACKETS, 10**11 * UNIT) == 1


@given(price=st.integers(1, 10**15))
def test_in_coin_it_is_sound_at_any_price_of_the_coin(price: int) -> None:
    table = default_brackets(price)
    assert table_fault(table) == ""
    if 10**4 <= price <= 10**13:  # up to 100 000 a coin: caps are worth what they are in quote money, rounded down
        worth = table[0].cap * price // UNIT
        assert 49_990 * UNIT <= worth <= 50_000 * UNIT


def test_it_is_stricter_than_the_venues_own_of_large_contracts(real_data: Path) -> None:
    answer = json.loads(decompress((real_data / "leverageBracket/um_brackets_2026-03.json.gz").read_bytes()))
    real = {one["symbol"]: one["brackets"] for one in answer}
    for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"):
        for notional in (1_000, 60_000, 300_000, 2_000_000):
            step = next(b for b in real[symbol] if notional <= b["notionalCap"])
            theirs = notional * step["maintMarginRatio"] - step["cum"]
            assert maintenance_margin(DEFAULT_BRACKETS, notional * UNIT) > theirs * UNIT
            assert max_leverage(DEFAULT_BRACKETS, notional * UNIT) < step["initialLeverage"]
