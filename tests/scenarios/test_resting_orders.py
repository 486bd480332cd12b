"""Limits and stops: what a candle's path does to orders that rest."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.time import parse_time
from backtester.strategy.base import Strategy
from tests.support.market import flat, write_candles
from tests.support.runs import bought, config_of, prepared_run, run_on, run_prepared, scripted, sold

B, E = "BTCUSDT", "ETHUSDT"


def test_limit_buy_fills_at_its_limit_when_the_candle_trades_through(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (100, 100, 95, 97)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=96)]}))
    assert ran.fills == [bought(1, 96)]
    assert ran.fills[0].liquidity == "maker"


def test_a_touch_is_not_enough_unless_the_config_says_so(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (100, 104, 96, 97)]
    orders = scripted({0: lambda s: [s.buy(B, 1, limit=96)]})
    assert run_on(tmp_path / "a", market, orders).fills == []
    assert run_on(tmp_path / "b", market, orders, execution={"touch_fills": True}).fills == [bought(1, 96)]


def test_an_order_does_not_meet_the_candle_at_whose_close_it_was_sent(tmp_path: Path) -> None:
    market = [(100, 120, 80, 100), (100, 101, 99, 100)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=90), s.buy(B, 1, stop=110)]}))
    assert ran.fills == []


@pytest.mark.parametrize("path", ["pessimistic", "open_near_extreme_first", "optimistic"])
@pytest.mark.parametrize("terms", [{}, {"post_only": True}])
def test_a_limit_that_rests_fills_at_its_limit_as_maker_also_when_the_market_opens_beyond_it(
    tmp_path: Path, path: str, terms: dict[str, bool]
) -> None:
    market = [(100, 101, 99, 100), (100, 100, 98, 99), (90, 95, 89, 94), (100, 100, 100, 100)]
    orders = scripted({0: lambda s: [s.buy(B, 1, limit=97, **terms)], 2: lambda s: [s.sell(B, 1, limit=96, **terms)]})
    ran = run_on(tmp_path, market, orders, execution={"path": path})
    assert ran.fills == [bought(2, 97), sold(3, 96)]
    assert [(fill.at_open, fill.liquidity) for fill in ran.fills] == [(True, "maker")] * 2


def test_a_limit_through_the_market_on_arrival_takes_at_its_first_open(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (90, 95, 89, 94), (97, 97, 97, 97)]
    ran = run_on(
        tmp_path,
        market,
        scripted({0: lambda s: [s.buy(B, 1, limit=101)], 1: lambda s: [s.sell(B, 1, limit=93)]}),
    )
    assert ran.fills == [bought(1, 90), sold(2, 97)]
    assert [(fill.at_open, fill.liquidity) for fill in ran.fills] == [(True, "taker")] * 2


def test_a_limit_through_the_market_that_its_first_open_does_not_fill_rests_from_then_on(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (105, 106, 104, 105), (90, 95, 89, 94)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=101)]}))
    assert ran.fills == [bought(2, 101)]
    assert ran.fills[0].liquidity == "maker"


def test_a_limit_through_the_market_pays_as_a_taker_and_never_more_than_its_limit(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (100, 101, 99, 100)]
    costs = {"fees": {"maker_bps": 0, "taker_bps": 10}, "slippage": {"bps": 100}}
    capped = run_on(tmp_path / "a", market, scripted({0: lambda s: [s.buy(B, 1, limit="100.50")]}), **costs)
    assert capped.fills == [bought(1, "100.50")]
    assert capped.fills[0].liquidity == "taker"
    slipped = run_on(tmp_path / "b", market, scripted({0: lambda s: [s.buy(B, 1, limit=105)]}), **costs)
    assert slipped.fills == [bought(1, 101)]
    assert slipped.fills[0].fee == Decimal("0.101")


def test_a_resting_limit_pays_as_a_maker_without_slippage(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (100, 101, 90, 95)]
    ran = run_on(
        tmp_path,
        market,
        scripted({0: lambda s: [s.buy(B, 2, limit=95)]}),
        fees={"maker_bps": -1, "taker_bps": 10},
        slippage={"bps": 100},
    )
    assert ran.fills == [bought(1, 95, 2)]
    assert ran.fills[0].fee == Decimal("-0.019")
    assert ran.details["final"]["cash"]["spot:USDT"] == "9810.01900000"


def test_a_stop_fills_at_its_trigger_with_slippage_against_the_trader(tmp_path: Path) -> None:
    market = [(100, 101, 99, 100), (100, 100, 100, 100), (100, 100, 94, 95), (95, 95, 95, 95)]
    ran = run_on(
        tmp_path,
        market,
        scripted({0: lambda s: [s.buy(B, 1, limit="100.01")], 1: lambda s: [s.sell(B, 1, stop=96)]}),
        slippage={"bps": 50},
    )
    assert ran.fills[-1] == sold(2, "95.52")  # 96 × 0.995
    assert not ran.fills[-1].at_open
    assert ran.fills[-1].liquidity == "taker"
    assert (2, "triggered", "") in ran.updates


def test_a_stop_that_the_market_opens_beyond_fills_at_the_open(tmp_path: Path) -> None:
    market = [*flat(100, 3), (90, 92, 88, 91), (91, 91, 91, 91)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop=96)]}))
    assert ran.fills == [bought(1, 100), sold(3, 90)]
    assert ran.fills[-1].at_open  # it happened at the open, we learnt of it with the candle


def test_a_buy_stop_is_the_mirror_image(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 107, 100, 106), *flat(106, 1), (112, 113, 111, 112)]
    ran = run_on(
        tmp_path,
        market,
        scripted({0: lambda s: [s.buy(B, 1, stop=105)], 3: lambda s: [s.buy(B, 1, stop=110)]}),
    )
    assert ran.fills == [bought(2, 105), bought(4, 112)]


def test_a_stop_already_through_the_market_is_rejected_and_the_strategy_hears_of_it(tmp_path: Path) -> None:
    heard = []

    class Listens(scripted({0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop=100, tag="stop")]})):  # type: ignore[misc]
        def on_order_update(self, update):  # type: ignore[no-untyped-def]
            heard.append((type(update).__name__, update.tag, str(getattr(update, "reason", ""))))

    ran = run_on(tmp_path, flat(100, 4), Listens)
    assert ran.refusals == [("execution", "would_trigger", {"stop": "100.00"})]
    assert ("OrderRejected", "stop", "would_trigger") in heard
    assert ran.fills == [bought(1, 100)]


def test_or_it_executes_at_the_market_when_the_config_says_so(tmp_path: Path) -> None:
    market = [*flat(100, 2), (98, 99, 97, 98), (98, 99, 97, 98)]
    ran = run_on(
        tmp_path,
        market,
        scripted({0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop=101)]}),
        execution={"stop_through": "market"},
    )
    assert ran.fills == [bought(1, 100), sold(2, 98)]
    assert (2, "triggered", "would_trigger") in ran.updates


def test_a_cancelled_order_does_not_fill(tmp_path: Path) -> None:
    market = [*flat(100, 3), (100, 100, 80, 90)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1, limit=90)], 2: lambda s: s.cancel_all(B)}))
    assert ran.fills == []
    assert ran.updates == [(1, "accepted", ""), (1, "cancelled", "requested")]


def test_an_order_of_a_budget_is_sized_at_its_limit_or_trigger(tmp_path: Path) -> None:
    market = [*flat(100, 2), (100, 111, 89, 100)]
    ran = run_on(
        tmp_path,
        market,
        scripted({1: lambda s: [s.buy(B, quote=90, limit=90), s.buy(B, quote=220, stop=110)]}),
    )
    assert sorted((fill.price, fill.qty) for fill in ran.fills) == [(90, 1), (110, 2)]


class WithTimer(Strategy):
    """Sends one order in the middle of candle 2."""

    def on_start(self) -> None:
        self.call_at(parse_time("2024-01-01T00:02:30Z"))


@pytest.mark.parametrize(
    ("order", "candle"),
    [
        # the candle opened at 97 and saw 90 and 110, before or after the order came: nobody can say
        (lambda s: s.buy(B, 1, limit=95), (97, 110, 90, 100)),
        (lambda s: s.buy(B, 1, limit=98), (97, 110, 90, 100)),
        (lambda s: s.buy(B, 1, stop=105), (97, 110, 90, 100)),
    ],
)
def test_an_order_sent_in_the_middle_of_a_candle_does_not_meet_what_came_before_it(  # type: ignore[no-untyped-def]
    tmp_path: Path, order, candle
) -> None:
    class Timed(WithTimer):
        def on_timer(self, now: int):  # type: ignore[no-untyped-def]
            return [order(self)]

    ran = run_on(tmp_path, [*flat(100, 2), candle, *flat(100, 2)], Timed)
    assert ran.updates[0] == (1, "accepted", "")
    assert ran.fills == []


def test_an_order_sent_in_the_middle_of_a_longer_candle_does_not_meet_what_came_before_it(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    minutes = [*flat(100, 90), (100, 100, 80, 80), *flat(80, 89)]
    write_candles(lake, minutes, symbol=B)
    write_candles(lake, [(10, 10, 10, 10), (10, 11, 5, 10), (10, 11, 9, 10)], symbol=E, timeframe="1h")

    class Switches(scripted({0: lambda s: [s.buy(B, 1)]})):  # type: ignore[misc]
        """When the stop fires in minute 90 it bids for the hourly instrument, whose low may long be over."""

        def on_fill(self, fill):  # type: ignore[no-untyped-def]
            if fill.side == "buy":
                return [self.sell(B, 1, stop=90)]
            return [self.buy(E, 1, limit=6)]

    config = config_of(lake, [B, E], run={"timeframe": "1h"})
    ran = run_prepared(tmp_path, prepared_run(Switches, config))
    assert [fill.price for fill in ran.fills if fill.side == "sell"] == [90]
    assert [fill.price for fill in ran.fills if fill.price < 50] == []


@pytest.mark.parametrize("touch", [False, True])
@pytest.mark.parametrize(
    ("limit", "fills"),
    [
        (130, [bought(1, 100), bought(2, 120)]),  # through the open that it knows: it takes at the next one
        ("95.50", [bought(1, 100), bought(1, "95.50")]),  # along the rest of the candle
        (100, [bought(1, 100), bought(3, 100)]),  # at the open, and the market may have left it upwards at once
    ],
)
def test_a_limit_sent_at_an_open_does_not_get_that_open(tmp_path: Path, touch: bool, limit: Any, fills: Any) -> None:
    class Adds(Strategy):
        def on_candle(self, candle):  # type: ignore[no-untyped-def]
            flat_now = self.position(B).is_flat and not self.open_orders(B)
            return [self.buy(B, 1)] if flat_now else None

        def on_fill(self, fill):  # type: ignore[no-untyped-def]
            return [self.buy(B, 1, limit=limit)] if fill.price == 100 else None

    market = [*flat(100, 1), (100, 110, 95, 105), (120, 121, 119, 120), (120, 120, 99, 110)]
    ran = run_on(tmp_path, market, Adds, execution={"touch_fills": touch, "market_fill": "open"})
    assert ran.fills[:2] == fills
