"""Orders that wait for a price: stop-limits, take-profits, trailing stops."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.market import flat
from tests.support.runs import Ran, bought, run_on, scripted, sold

B = "BTCUSDT"
NEAR = {"execution": {"path": "open_near_extreme_first"}}
COSTS = {"fees": {"maker_bps": 0, "taker_bps": 10}, "slippage": {"bps": 100}}


def long(after: Any) -> Any:
    """Buys one at the open of candle 1, and acts after candle 1 closed."""
    return scripted({0: lambda s: [s.buy(B, 1)], 1: after})


def held(folder: Path, market: list[Any], after: Any, **sections: Any) -> Ran:
    """What happens from candle 2 on to one coin bought at 100."""
    return run_on(folder, [*flat(100, 2), *market], long(after), **sections)


# --- stop-limits -------------------------------------------------------------------------------------------------


def test_a_stop_limit_fills_at_its_trigger_when_its_limit_allows(tmp_path: Path) -> None:
    ran = held(tmp_path, [(100, 100, 94, 95), *flat(95)], lambda s: [s.sell(B, 1, stop=96, limit=95)], **COSTS)
    assert ran.fills[1:] == [sold(2, "95.04")]  # 96 less 1 %, which the limit of 95 allows
    assert ran.fills[1].liquidity == "taker"
    assert ran.events("orders_sanitized")[1]["kind"] == "stop_limit"


def test_slippage_never_takes_a_stop_limit_beyond_its_limit(tmp_path: Path) -> None:
    ran = held(tmp_path, [(100, 100, 94, 95), *flat(95)], lambda s: [s.sell(B, 1, stop=96, limit="95.50")], **COSTS)
    assert ran.fills[1:] == [sold(2, "95.50")]


def test_a_stop_limit_that_the_market_gapped_over_rests_and_fills_when_the_price_comes_back(tmp_path: Path) -> None:
    market = [(90, 92, 88, 91), (91, 93, 90, 92), (92, 97, 92, 96)]
    ran = held(tmp_path, market, lambda s: [s.sell(B, 1, stop=96, limit=95)], **COSTS)
    assert (2, "triggered", "") in ran.updates
    assert ran.fills[1:] == [sold(4, 95)]
    assert ran.fills[1].liquidity == "maker"


def test_a_stop_limit_without_room_fills_only_when_the_rest_of_the_candle_surely_trades_through(tmp_path: Path) -> None:
    order = lambda s: [s.sell(B, 1, stop=95, limit=95)]  # noqa: E731
    back = held(tmp_path / "a", [(100, 101, 94, 97), *flat(97)], order)
    assert back.fills[1:] == [sold(2, 95)]  # the close is above the limit: whatever the path, it came back
    below = held(tmp_path / "b", [(100, 101, 94, 94.5), *flat(94)], order)
    assert len(below.fills) == 1
    assert below.details["final"]["open_orders"] == [2]


def test_a_buy_stop_limit_is_the_mirror_image(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 107, 100, 106), *flat(106, 1)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, stop=105, limit=106)]}))
    assert ran.fills == [bought(2, 105)]


# --- take-profits ------------------------------------------------------------------------------------------------


def test_a_take_profit_executes_at_the_market_when_its_price_is_reached(tmp_path: Path) -> None:
    ran = held(tmp_path, [(100, 110, 99, 108), *flat(108)], lambda s: [s.sell(B, 1, take_profit=110)], **COSTS)
    assert ran.fills[1:] == [sold(2, "108.90")]  # 110 less 1 %
    assert ran.fills[1].liquidity == "taker"
    assert (2, "triggered", "") in ran.updates


def test_a_take_profit_with_a_limit_fills_no_worse_than_that(tmp_path: Path) -> None:
    market = [(100, 112, 99, 108), *flat(108)]
    marketable = held(tmp_path / "a", market, lambda s: [s.sell(B, 1, take_profit=110, limit="109.50")], **COSTS)
    assert marketable.fills[1:] == [sold(2, "109.50")]
    resting = held(tmp_path / "b", market, lambda s: [s.sell(B, 1, take_profit=110, limit=111)], **COSTS)
    assert resting.fills[1:] == [sold(2, 111)]  # the way to 112 leads over 110, then 111
    assert resting.fills[1].liquidity == "maker"


def test_a_purchase_takes_profit_when_the_price_falls(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 101, 94, 95), *flat(95)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, take_profit=95)]}))
    assert ran.fills == [bought(2, 95)]


@pytest.mark.parametrize("options", [{"take_profit": 100}, {"take_profit": 99}, {"stop": 100, "limit": 99}])
def test_a_trigger_that_the_market_is_through_is_rejected(tmp_path: Path, options: dict[str, Any]) -> None:
    ran = held(tmp_path, flat(100, 2), lambda s: [s.sell(B, 1, **options)])
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("execution", "would_trigger")]
    assert len(ran.fills) == 1


def test_in_one_candle_the_stop_comes_before_the_take_profit(tmp_path: Path) -> None:
    both = lambda s: [s.sell(B, 1, take_profit=110, oco="x"), s.sell(B, 1, stop=95, oco="x")]  # noqa: E731
    ran = held(tmp_path, [(100, 112, 94, 108), *flat(108)], both)
    assert ran.fills[1:] == [sold(2, 95)]
    assert ran.details["counts"]["ambiguous_candles"] == 1


# --- trailing stops ----------------------------------------------------------------------------------------------


def test_a_trailing_stop_follows_the_highest_price_and_fires_a_tenth_below(tmp_path: Path) -> None:
    # highs of 110 and 120 put the level to 99 and 108; the last candle opens at 112 and falls through it
    market = [(105, 110, 104, 110), (112, 120, 112, 118), (112, 113, 100, 101)]
    ran = held(tmp_path, market, lambda s: [s.sell(B, 1, trail="0.1")])
    assert ran.fills[1:] == [sold(4, 108)]
    assert ran.events("orders_sanitized")[1]["trail"] == "0.10000000"


def test_it_starts_at_the_price_that_was_shown_when_it_came(tmp_path: Path) -> None:
    ran = held(tmp_path, [(99, 99, 89, 90), *flat(90)], lambda s: [s.sell(B, 1, trail="0.1")])
    assert ran.fills[1:] == [sold(2, 90)]


def test_a_market_that_opens_below_its_level_fills_it_there(tmp_path: Path) -> None:
    ran = held(tmp_path, [(80, 82, 79, 81), *flat(81)], lambda s: [s.sell(B, 1, trail="0.1")])
    assert ran.fills[1:] == [sold(2, 80)]
    assert ran.fills[1].at_open


def test_within_one_candle_it_fills_at_the_worst_price_that_some_path_would_give(tmp_path: Path) -> None:
    # a rise to 120 puts the level to 108; a rise to 111.1 and a fall to 100 fires it right at the low
    market = [(105, 120, 100, 115), *flat(115)]
    order = lambda s: [s.sell(B, 1, trail="0.1")]  # noqa: E731
    assert held(tmp_path / "worst", market, order).fills[1:] == [sold(2, 100)]
    walked = held(tmp_path / "near", market, order, **NEAR)  # 100 is nearer: low first, then up to 120, close at 115
    assert len(walked.fills) == 1
    high_first = [(105, 109, 95, 97), *flat(97)]
    assert held(tmp_path / "high", high_first, order, **NEAR).fills[1:] == [sold(2, "98.10")]


def test_it_sleeps_until_its_activation(tmp_path: Path) -> None:
    market = [(95, 96, 85, 86), (95, 112, 110, 111), (108, 108, 100, 101), *flat(101)]
    ran = held(tmp_path, market, lambda s: [s.sell(B, 1, trail="0.05", activation=110)])
    assert ran.fills[1:] == [sold(4, "106.40")]  # 112 less 5 %; the fall to 85 came before it was active


def test_a_trailing_purchase_is_the_mirror_image(tmp_path: Path) -> None:
    market = [*flat(100, 2), (95, 95, 80, 82), (84, 90, 83, 89), *flat(89)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, trail="0.1")]}), **NEAR)
    assert ran.fills == [bought(3, 88)]  # 80 plus a tenth


# --- what makes no order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stop": 90, "take_profit": 110}, "one of stop, take_profit and trail"),
        ({"stop": 90, "trail": "0.1"}, "one of stop, take_profit and trail"),
        ({"trail": "0.1", "limit": 90}, "trail or limit, not both"),
        ({"trail": 0}, "between 0 and 1"),
        ({"trail": 1}, "between 0 and 1"),
        ({"activation": 110}, "needs trail"),
        ({"post_only": True}, "post_only is for limit orders"),
        ({"limit": 90, "post_only": True, "time_in_force": "ioc"}, "post_only is for limit orders"),
        ({"stop": 90, "limit": 89, "post_only": True}, "post_only is for limit orders"),
        ({"time_in_force": "ioc"}, "needs a limit price"),
        ({"stop": 90, "time_in_force": "fok"}, "needs a limit price"),
        ({"limit": 90, "time_in_force": "gtd"}, "needs one"),
        ({"limit": 90, "time_in_force": "day"}, "day"),
        ({"good_till": 2**60}, "market order does not rest"),
        ({"limit": 90, "close_position": True}, "exactly one size"),
        ({"limit": 90, "oco": "#1"}, "belong to brackets"),
        ({"stop_loss": 90, "stop_trail": "0.1"}, "not both"),
        ({"stop_trail": 2}, "between 0 and 1"),
        ({"take_profits": [(110, "0.7"), (120, "0.5")]}, "may not exceed 1"),
        ({"take_profits": [(110, 0)]}, "above 0"),
        ({"stop_loss": 90, "reduce_only": True}, "nothing to protect"),
    ],
)
def test_arguments_that_make_no_order_are_refused_with_a_reason(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    seen: list[str] = []

    def tries(s: Any) -> None:
        with pytest.raises(ValueError, match=said) as error:
            s.sell(B, 1, **options)
        seen.append(str(error.value))

    run_on(tmp_path, flat(100, 2), scripted({0: tries}))
    assert len(seen) == 1


@pytest.mark.parametrize("options", [{"limit": -1}, {"take_profit": 0}, {"stop": 90, "limit": -5}])
def test_a_price_that_is_none_is_refused_by_risk_and_the_run_goes_on(tmp_path: Path, options: dict[str, Any]) -> None:
    ran = held(tmp_path, flat(100, 2), lambda s: [s.sell(B, 1, **options)])
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("risk", "bad_price")]
