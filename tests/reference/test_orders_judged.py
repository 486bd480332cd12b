"""Market, limit and stop orders with their exits, against two other engines, order by order.

Every difference has the name of an assumption in docs/fills.md, and their numbers are written down here.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.reference import judges
from tests.reference.episodes import Bar, Episode, Filled, Market, named_difference, ours, planned
from tests.support.lakes import wandering
from tests.support.market import write_candles
from tests.support.real import import_real

SAME, TOUCHED, OPEN = "same", "touched", "the open comes first"
GAP, EXIT, QUIET = "a gap fills at the limit", "exit in the candle of its entry", "no trades in the candle"
BT_PY, TRADER = "backtesting_py", "backtrader"

# market, whether a touch fills (as it does with both judges), judge → how many episodes differ, by assumption
FOUND: dict[tuple[str, bool, str], dict[str, int]] = {
    ("btc", True, BT_PY): {SAME: 217, GAP: 2, EXIT: 20},
    ("btc", True, TRADER): {SAME: 194, GAP: 2, EXIT: 43},
    ("btc", False, BT_PY): {SAME: 217, GAP: 2, EXIT: 20},
    ("btc", False, TRADER): {SAME: 194, GAP: 2, EXIT: 43},
    ("fil", True, BT_PY): {SAME: 918, EXIT: 80, OPEN: 1},
    ("fil", True, TRADER): {SAME: 812, EXIT: 186, OPEN: 1},
    ("fil", False, BT_PY): {SAME: 793, EXIT: 70, TOUCHED: 136},
    ("fil", False, TRADER): {SAME: 709, EXIT: 163, TOUCHED: 127},
    ("made_up", True, BT_PY): {SAME: 452, GAP: 4, EXIT: 39, QUIET: 4},
    ("made_up", True, TRADER): {SAME: 415, GAP: 4, EXIT: 76, QUIET: 4},
    ("made_up", False, BT_PY): {SAME: 446, GAP: 4, EXIT: 39, QUIET: 4, TOUCHED: 6},
    ("made_up", False, TRADER): {SAME: 409, GAP: 4, EXIT: 76, QUIET: 4, TOUCHED: 6},
}


@pytest.fixture(scope="session")
def btc(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Market:
    """Real BTCUSDT spot, two days of minutes."""
    days = sorted((real_data / "archive/data/spot/daily/klines/BTCUSDT/1m").glob("*.zip"))
    return Market.of(import_real(days, tmp_path_factory.mktemp("judged")), "spot", "BTCUSDT", 2, 2880)


@pytest.fixture(scope="session")
def fil(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Market:
    """Real FILUSDT futures, eight days of minutes: few ticks to a candle, so that touches are common."""
    month = real_data / "archive/data/futures/um/monthly/klines/FILUSDT/1m/FILUSDT-1m-2023-06.zip"
    return Market.of(import_real([month], tmp_path_factory.mktemp("judged")), "um", "FILUSDT", 3, 12_000)


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A random walk, with candles in which nobody trades."""
    lake = tmp_path_factory.mktemp("judged")
    write_candles(lake, wandering(6000, 3, quiet=0.02), market="um")
    return Market.of(lake, "um", "BTCUSDT", 2, 6000)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "touch", "judge"), FOUND)
def test_every_difference_has_a_name(
    request: pytest.FixtureRequest, tmp_path: Path, name: str, touch: bool, judge: str
) -> None:
    pytest.importorskip({BT_PY: "backtesting", TRADER: "backtrader"}[judge])
    pytest.importorskip("pandas")
    market: Market = request.getfixturevalue(name)
    plan = planned(market, 7, shorts=market.market == "um")
    mine, others = ours(tmp_path, market, plan, touch_fills=touch), getattr(judges, judge)(market, plan)
    names = {begins: named_difference(market, plan[begins], mine[begins], others[begins]) for begins in plan}
    unexplained = [(plan[begins], mine[begins], others[begins]) for begins, found in names.items() if not found]
    assert unexplained == []
    assert Counter(names.values()) == FOUND[name, touch, judge]
    assert {plan[begins].kind for begins, found in names.items() if found == SAME} == {"market", "limit", "stop"}


@pytest.mark.parametrize(
    "theirs",
    [
        [],  # no fill at all
        [Filled(3, 1, 99), Filled(4, -1, 105)],  # another price
        [Filled(4, 1, 98), Filled(5, -1, 105)],  # a candle later
        [Filled(3, 1, 98), Filled(4, -1, 104)],
        [Filled(3, 1, 98), Filled(5, -1, 105)],  # an exit too late
        [Filled(3, 1, 98), Filled(4, -1, 105), Filled(4, -1, 105)],
    ],
)
def test_a_difference_without_a_reason_has_no_name(theirs: list[Filled]) -> None:
    bars: Any = [(number, 100, 107, 97, 101, 5.0) for number in range(8)]
    market = Market(Path(), "um", "BTCUSDT", 2, [Bar(*bar) for bar in bars])
    our = [Filled(3, 1, 98), Filled(4, -1, 105)]
    assert named_difference(market, Episode(1, "limit", 98, 90, 105), our, our) == SAME
    assert named_difference(market, Episode(1, "limit", 98, 90, 105), our, theirs) == ""
