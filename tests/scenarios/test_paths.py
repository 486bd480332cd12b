"""The same candle under each declared path."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.market import flat
from tests.support.runs import Ran, run_on, scripted

B = "BTCUSDT"
PESSIMISTIC, NEAR, OPTIMISTIC = "pessimistic", "open_near_extreme_first", "optimistic"


def held(folder: Path, candle: Any, path: str, **sections: Any) -> Ran:
    """One coin bought at 100, stop 95 and target 110 in one group, then a candle."""

    def exits(s: Any) -> Any:
        return [s.sell(B, 1, stop=95, oco="x"), s.sell(B, 1, limit=110, oco="x")]

    orders = scripted({0: lambda s: [s.buy(B, 1)], 1: exits})
    return run_on(folder, [*flat(100, 2), candle, *flat(candle[3])], orders, execution={"path": path}, **sections)


@pytest.mark.parametrize(
    ("path", "candle", "price"),
    [
        (PESSIMISTIC, (100, 111, 80, 100), 95),
        (NEAR, (100, 111, 80, 100), 110),  # the high is nearer
        (OPTIMISTIC, (100, 111, 80, 100), 110),
        (PESSIMISTIC, (100, 130, 94, 100), 95),
        (NEAR, (100, 130, 94, 100), 95),  # the low is nearer
        (OPTIMISTIC, (100, 130, 94, 100), 110),
        (NEAR, (100, 112, 88, 100), 95),  # equally near: against the trader
        # what the open decides comes first on every path
        (PESSIMISTIC, (112, 113, 80, 100), 110),
        (NEAR, (112, 113, 80, 100), 110),
        (OPTIMISTIC, (90, 130, 80, 100), 90),
    ],
)
def test_a_path_says_which_exit_the_candle_met_first(tmp_path: Path, path: str, candle: Any, price: int) -> None:
    assert [fill.price for fill in held(tmp_path, candle, path).fills] == [100, price]


@pytest.mark.parametrize("path", [PESSIMISTIC, NEAR, OPTIMISTIC])
def test_what_another_path_would_change_is_counted_on_every_path(tmp_path: Path, path: str) -> None:
    ran = held(tmp_path, (100, 130, 94, 100), path)
    assert ran.details["counts"]["ambiguous_candles"] == 1
    assert any("both a stop and a limit" in warning for warning in ran.result.warnings)


def test_a_run_says_which_path_it_assumed(tmp_path: Path) -> None:
    ran = held(tmp_path, (100, 101, 99, 100), OPTIMISTIC)
    assert "in the trader's favour" in ran.details["assumptions"]["fills"]


def test_of_several_orders_the_path_meets_the_nearest_first(tmp_path: Path) -> None:
    bids = scripted({0: lambda s: [s.buy(B, 1, limit=p, tag=str(p)) for p in (90, 96, 93)]})
    market = [*flat(100, 1), (100, 101, 85, 88), *flat(88)]
    walked = run_on(tmp_path / "near", market, bids, execution={"path": NEAR})
    assert [fill.tag for fill in walked.fills] == ["96", "93", "90"]
    pessimistic = run_on(tmp_path / "none", market, bids)
    assert [fill.tag for fill in pessimistic.fills] == ["96", "93", "90"]


def test_a_stop_that_opens_a_position_lets_its_exits_meet_the_way_on(tmp_path: Path) -> None:
    # down to 94, which is nearer, then up over 105 and 110: the stop at 96 comes to life above the low that was
    market = [*flat(100, 1), (100, 112, 94, 97), *flat(97)]
    order = scripted({0: lambda s: [s.buy(B, 1, stop=105, stop_loss=96, take_profits=110)]})
    ran = run_on(tmp_path, market, order, execution={"path": NEAR})
    assert [fill.price for fill in ran.fills] == [105, 110]


def test_the_high_of_a_walked_candle_is_seen_before_the_fall_to_its_close(tmp_path: Path) -> None:
    # low 99 first, then 120: a trailing stop of 5 % stands at 114 when the price falls to 110
    orders = scripted({0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, trail="0.05")]})
    market = [*flat(100, 2), (100, 120, 99, 110), *flat(110)]
    ran = run_on(tmp_path, market, orders, execution={"path": NEAR})
    assert [fill.price for fill in ran.fills] == [100, 114]


def test_candles_that_met_a_working_order_are_counted_by_instrument(tmp_path: Path) -> None:
    # BTCUSDT: held from the second candle on, its exits meet that and the next; ETHUSDT: a bid meets all after it
    markets = {"BTCUSDT": [*flat(100, 2), (100, 107, 94, 100), *flat(100, 2)], "ETHUSDT": flat(100, 5)}
    script = {0: lambda s: [s.buy(B, 1, stop_loss=95, take_profits=105), s.buy("ETHUSDT", 1, limit=50)]}
    details = run_on(tmp_path, markets, scripted(script, first="spot:BTCUSDT")).details
    assert details["candles_met"] == {
        "spot:BTCUSDT": {"met": 2, "ambiguous": 1},
        "spot:ETHUSDT": {"met": 4, "ambiguous": 0},
    }
    assert details["counts"]["ambiguous_candles"] == 1
