"""The venue's worked liquidation examples, as whole runs on made-up marks.

Source: USD-M FAQ "How to Calculate Liquidation Price": cross margin, two long positions in one wallet of 1 535 443.01.
ETHUSDT falls at 1 153.26 with BTCUSDT at 31 967.27; BTCUSDT falls at 26 316.89 with ETHUSDT at 1 335.18.
"""

from pathlib import Path
from typing import Any

import pytest

from backtester.engine.replay import replay, verify
from backtester.sim.brackets import BracketTable
from tests.sim.derivatives import FAQ_TABLE, UNIT, bracket_table
from tests.support.lakes import write_rows
from tests.support.market import Row, time_of, write_candles
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import put_rules

ETH, BTC = "ETHUSDT", "BTCUSDT"
ENTRY = {ETH: 1456.84, BTC: 32481.98}
MARK = {ETH: 1335.18, BTC: 31967.27}
# The brackets that the examples name, with what leads to their deductions.
TABLES = {ETH: bracket_table((2_707_300, 20, "0.05"), (10_000_000, 5, "0.1")), BTC: FAQ_TABLE}


def answer(symbol: str, table: BracketTable) -> dict[str, Any]:
    """A leverage table as the venue writes it."""
    rows = [
        {
            "bracket": number,
            "initialLeverage": bracket.max_leverage,
            "notionalCap": bracket.cap // UNIT,
            "notionalFloor": bracket.floor // UNIT,
            "maintMarginRatio": bracket.maintenance_rate / UNIT,
            "cum": bracket.deduction / UNIT,
        }
        for number, bracket in enumerate(table, start=1)
    ]
    return {"symbol": symbol, "notionalCoef": 1.0, "brackets": rows}


def run(folder: Path, fallen: str, low: float) -> Ran:
    """Both are bought at their entries, marked, and one mark touches a low."""
    for symbol in (ETH, BTC):
        entry, mark = ENTRY[symbol], MARK[symbol]
        touched = low if symbol == fallen else mark
        rows: list[Row | None] = [(entry,) * 4] * 2 + [(mark,) * 4] * 2 + [(mark, mark, touched, mark), (mark,) * 4]
        write_candles(folder / "lake", rows, symbol=symbol, market="um")
        columns = {name: [row[at] for row in rows if row] for at, name in enumerate(("open", "high", "low", "close"))}
        times = {"open_time": [time_of(n) for n in range(len(rows))]}
        write_rows(folder / "lake", "markPriceKlines", symbol, columns | times, timeframe="1m")
    put_rules(folder / "lake", [answer(symbol, table) for symbol, table in TABLES.items()], date="2023-01-01")

    def enter(s: Any) -> Any:
        return [s.buy(ETH, "3683.979"), s.buy(BTC, "109.488")]

    config = config_of(
        folder / "lake",
        [ETH, BTC],
        run={"market": "um"},
        account={"initial_cash": "1535443.01"},
        futures={"margin_mode": "cross", "instruments": {ETH: {"leverage": 5}, BTC: {"leverage": 20}}},
    )
    return run_prepared(folder, prepared_run(scripted({0: enter}), config))


@pytest.mark.parametrize(
    ("fallen", "published", "falls_at", "tick_above"),
    [(ETH, 1153.26, 1153.25646, 1153.25647), (BTC, 26316.89, 26316.89326, 26316.89327)],
)
def test_the_engine_liquidates_at_the_published_price_and_not_a_tick_above(
    tmp_path: Path, fallen: str, published: float, falls_at: float, tick_above: float
) -> None:
    def price_of(symbol: str) -> float:
        return falls_at if symbol == fallen else MARK[symbol]

    assert round(falls_at, 2) == published
    safe = run(tmp_path / "safe", fallen, tick_above)
    assert [f.qty for f in safe.fills] == [safe.fills[0].qty, safe.fills[1].qty]
    assert safe.details["liquidation"]["liquidations"] == {}
    hit = run(tmp_path / "hit", fallen, falls_at)
    assert hit.fills[2].tag == "liquidation"
    first = next(e for e in hit.events("margin") if e["state"] == "liquidated")
    # of all that the wallet secures the position that must keep most is reduced first: ETHUSDT in both examples
    assert first["instrument"] == f"um:{ETH}"
    assert float(first["numbers"]["price"]) == (falls_at if fallen == ETH else MARK[ETH])
    balance = 1535443.01 + 3683.979 * (price_of(ETH) - ENTRY[ETH]) + 109.488 * (price_of(BTC) - ENTRY[BTC])
    assert float(first["numbers"]["balance"]) == pytest.approx(balance, abs=0.01)
    replay(hit.path)
    verify(hit.path)
