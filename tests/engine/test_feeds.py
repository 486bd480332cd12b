"""Runs that mix candles of several lengths with every other kind of market data."""

from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError, UsageError
from backtester.core.market import Candle, OptionQuote
from backtester.core.time import HOUR, MINUTE, format_time, parse_time
from backtester.engine.replay import replay, verify
from backtester.strategy.base import Strategy, StrategyParams
from tests.support.lakes import wandering, write_rows
from tests.support.market import flat, time_of, write_candles
from tests.support.runs import Ran, bought, config_of, prepared_run, run_prepared, scripted

B = "BTCUSDT"
U = "um:BTCUSDT"
PATH = {"open": [1.0, 3.0], "high": [4.0, 3.0], "low": [0.5, 3.0], "close": [3.0, 3.0]}


class EverythingParams(StrategyParams):
    """wants: the feeds that the strategy itself asks for."""

    wants: tuple[str, ...] = ()


class Everything(Strategy):
    """Remembers all that it is shown, and when."""

    Params = EverythingParams
    shown: list[tuple[int, Any]]

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        type(self).shown = []

    @property
    def feeds(self) -> tuple[str, ...]:
        return tuple(self.params.wants)

    def _see(self, event: Any) -> None:
        self.shown.append(((self.now - time_of(0)) // MINUTE, event))

    on_candle = on_trade = on_quote = on_funding = on_mark = _see
    on_index = on_premium = on_metrics = on_chain = on_volatility = _see


class Silent(Strategy):
    """Hears candles alone."""

    def on_candle(self, candle: Candle) -> None:
        return None


def names() -> list[tuple[int, str]]:
    return [
        (minute, event.timeframe if isinstance(event, Candle) else type(event).__name__)
        for minute, event in Everything.shown
    ]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two hours of um:BTCUSDT minutes, and of every other kind one row that becomes known at 01:00 exactly; of the
    hourly ones another at 02:00.
    """
    folder = tmp_path / "lake"
    write_candles(folder, wandering(120, 3), market="um")
    one = time_of(60)
    write_rows(folder, "fundingRate", B, {"time": [one], "interval_hours": [8], "funding_rate": [-0.0001]})
    for kind in ("markPriceKlines", "indexPriceKlines", "premiumIndexKlines"):
        write_rows(folder, kind, B, {"open_time": [one - HOUR, one], **PATH}, timeframe="1h")
    write_rows(folder, "metrics", B, {"time": [one], "open_interest": [5.0], "open_interest_value": [500.0]})
    trade = {"price": [100.5, 100.25], "quantity": [2.0, 3.0], "is_buyer_maker": [True, False]}
    ids = {"agg_trade_id": [7, 8], "first_trade_id": [1, 2], "last_trade_id": [1, 2]}
    write_rows(folder, "aggTrades", B, {"time": [one, one], **ids, **trade})
    write_rows(folder, "trades", B, {"time": [one, one], "trade_id": [7, 8], "quote_quantity": [1.0, 1.0], **trade})
    quote = {"bid_price": [99.0], "bid_quantity": [1.0], "ask_price": [101.0], "ask_quantity": [2.0]}
    write_rows(folder, "bookTicker", B, {"time": [one], "update_id": [1], **quote})
    write_rows(folder, "BVOLIndex", "BTCBVOLUSDT", {"time": [one], "index_value": [55.5]}, market="option")
    chain = {"open": [5.0, 6.0], "high": [5.0, 6.0], "low": [5.0, 6.0], "close": [5.0, 6.0], "volume": [1.0, 0.0]}
    key = {"time": [one - HOUR] * 2, "expiry": [parse_time("2024-01-05T08:00:00Z")] * 2, "strike": [40000.0] * 2}
    quotes = {**key, "is_call": [False, True], **chain, "mark_price": [5.5, 6.5]}
    write_rows(folder, "EOHSummary", B, quotes, market="option")
    return folder


ALL = (
    *("aggTrades", "bookTicker", "fundingRate", "metrics", "5m", "1h"),
    *("markPriceKlines:1h", "indexPriceKlines:1h", "premiumIndexKlines:1h"),
    *("option:BTCBVOLUSDT/BVOLIndex", "option:BTCUSDT/EOHSummary"),
)


def run(tmp_path: Path, lake: Path, strategy: type[Strategy], feeds: tuple[str, ...] = (), **sections: Any) -> Ran:
    params = sections.pop("params", {})
    sections.setdefault("execution", {"data": "candles"})  # two trades of an hour cannot execute orders of two
    section = {"market": "um", **sections.pop("run", {})}
    config = config_of(lake, [B], run=section, data={"feeds": feeds, **sections.pop("data", {})}, **sections)
    return run_prepared(tmp_path, prepared_run(strategy, config, **params))


def test_at_one_instant_references_come_first_then_candles_then_trades_and_quotes(tmp_path: Path, lake: Path) -> None:
    run(tmp_path, lake, Everything, ALL)
    assert [name for minute, name in names() if minute == 60] == [
        *("FundingRate", "MarkPrice", "IndexPrice", "PremiumIndex", "FuturesMetrics", "VolatilityIndex", "OptionChain"),
        *("1h", "5m", "1m", "Trade", "Trade", "Quote"),
    ]
    assert {name for minute, name in names() if minute not in (60, 120)} == {"1m", "5m"}


def test_every_kind_says_what_the_lake_holds(tmp_path: Path, lake: Path) -> None:
    run(tmp_path, lake, Everything, ALL)
    seen = {type(event).__name__: event for minute, event in Everything.shown if minute == 60}
    assert (seen["FundingRate"].rate, seen["FundingRate"].interval) == (-0.0001, 8 * HOUR)
    for name in ("MarkPrice", "IndexPrice", "PremiumIndex"):
        one = seen[name]
        assert (one.open, one.high, one.low, one.price, one.ts) == (1.0, 4.0, 0.5, 3.0, time_of(60))
    metrics = seen["FuturesMetrics"]
    assert (metrics.open_interest, metrics.open_interest_value) == (5.0, 500.0)
    assert metrics.account_ratio != metrics.account_ratio  # NaN: the source does not say
    trade = seen["Trade"]
    assert (trade.trade_id, trade.price, trade.qty, trade.is_buyer_maker) == (8, 100.25, 3.0, False)
    assert trade.cause() == "um:BTCUSDT/trade/8"
    quote = seen["Quote"]
    assert (quote.bid, quote.bid_qty, quote.ask, quote.ask_qty) == (99.0, 1.0, 101.0, 2.0)
    assert (seen["VolatilityIndex"].value, seen["VolatilityIndex"].instrument) == (55.5, "option:BTCBVOLUSDT")
    chain = seen["OptionChain"]
    put, call = chain.quotes
    assert isinstance(put, OptionQuote)
    assert (put.contract, call.contract) == ("BTC-240105-40000-P", "BTC-240105-40000-C")
    assert (put.mark, call.mark, call.close, chain.ts) == (5.5, 6.5, 6.0, time_of(60))


def test_a_strategy_asks_for_the_feeds_that_it_needs(tmp_path: Path, lake: Path) -> None:
    ran = run(tmp_path, lake, Everything, params={"wants": ("1h", "trades")}, run={"timeframe": "5m"})
    assert [name for minute, name in names() if minute == 60] == ["1h", "5m", "Trade", "Trade"]
    assert ran.details["feeds"] == ["um:BTCUSDT/klines:1h", "um:BTCUSDT/klines:5m", "um:BTCUSDT/trades"]


def test_a_run_with_feeds_is_repeated_from_its_own_config(tmp_path: Path, lake: Path) -> None:
    class Trader(Everything):
        def on_trade(self, trade: Any) -> Any:
            return [self.buy(trade.symbol, 1)]

    ran = run(tmp_path, lake, Trader, ("aggTrades", "fundingRate"))
    assert [fill.candle for fill in ran.fills] == [61, 61]
    assert replay(ran.path).lines == len(ran.lines)
    verify(ran.path)  # raises when the log differs


def test_an_order_decided_on_a_trade_waits_for_the_next_candle_that_opens(tmp_path: Path) -> None:
    class OnTape(Strategy):
        def on_trade(self, trade: Any) -> Any:
            return [self.buy(trade.symbol, 1)]

    lake = tmp_path / "lake"
    rows = [(100 + n,) * 4 for n in range(6)]
    write_candles(lake, rows, market="um")
    half = time_of(2) + MINUTE // 2
    ids = {"trade_id": [1], "quote_quantity": [1.0], "is_buyer_maker": [True]}
    write_rows(lake, "trades", B, {"time": [half], "price": [1.0], "quantity": [1.0], **ids})
    ran = run(tmp_path, lake, OnTape, ("trades",))
    assert ran.fills == [bought(3, 103)]
    assert ran.events("orders_intent")[0]["ts"] == half
    assert ran.events("orders_intent")[0]["cause_id"] == "um:BTCUSDT/trade/1"


def test_finer_candles_that_a_strategy_sees_are_also_those_that_execute(tmp_path: Path) -> None:
    rows = [(100 + n, 101 + n, 99 + n, 100 + n) for n in range(120)]
    lake = tmp_path / "lake"
    write_candles(lake, rows, market="um")
    write_candles(lake, [(100, 160, 99, 159), (160, 220, 159, 219)], market="um", timeframe="1h")
    coarse = run(tmp_path, lake, Everything, run={"timeframe": "1h"})
    assert coarse.prepared.series[0].stored_timeframe == "1h"
    fine = run(tmp_path, lake, Everything, ("5m",), run={"timeframe": "1h"})
    assert fine.prepared.series[0].stored_timeframe == "1m"
    assert [name for _, name in names()].count("5m") == 24


def test_candles_of_an_instrument_that_is_not_traded_are_shown_and_never_executed(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 4), market="um")
    write_candles(lake, flat(7, 4), market="spot", symbol="ETHUSDT")
    ran = run(tmp_path, lake, Everything, ("spot:ETHUSDT/klines:1m",))
    assert [event.instrument for _, event in Everything.shown] == [U, "spot:ETHUSDT"][::-1] * 4
    assert list(ran.prepared.instruments) == [U]


def test_a_feed_that_no_hook_hears_is_not_read_and_the_run_says_so(tmp_path: Path, lake: Path) -> None:
    ran = run(tmp_path, lake, Silent, ("fundingRate",), futures={"funding": "off"})
    assert "the feed um:BTCUSDT/fundingRate was not read: the strategy has no on_funding" in ran.details["warnings"]
    assert not any("fundingRate" in one["path"] for one in ran.details["data"])
    heard = run(tmp_path, lake, Everything, ("fundingRate",))
    assert any("fundingRate" in one["path"] for one in heard.details["data"])


@pytest.mark.parametrize(
    ("feed", "says"),
    [
        ("klimes:1h", "'klimes:1h' is not a feed"),
        ("spot:BTCUSDT/", "is not a feed"),
        ("markPriceKlines", "needs a timeframe"),
        ("fundingRate:1h", "fundingRate has no timeframe"),
        ("klines:7m", "timeframe '7m' is not known"),
        ("um:BTC USDT/trades", "is not an instrument"),
    ],
)
def test_a_feed_that_cannot_be_is_refused(lake: Path, feed: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        prepared_run(Everything, config_of(lake, [B], run={"market": "um"}, data={"feeds": [feed]}))


def test_trades_told_twice_are_refused(lake: Path) -> None:
    with pytest.raises(UsageError, match="tell the same twice"):
        prepared_run(Everything, config_of(lake, [B], run={"market": "um"}, data={"feeds": ["trades", "aggTrades"]}))


def test_a_feed_that_the_lake_lacks_names_the_command_that_brings_it(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 4), market="um")
    with pytest.raises(DataError, match="um:BTCUSDT/fundingRate") as caught:
        prepared_run(Everything, config_of(lake, [B], run={"market": "um"}, data={"feeds": ["fundingRate"]}))
    assert "bt download --market um --kind fundingRate --symbols BTCUSDT --start 2024-01-01" in caught.value.hint


def test_a_kind_that_a_market_does_not_publish_points_to_the_one_that_does(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, flat(100, 4))
    with pytest.raises(DataError) as caught:
        prepared_run(Everything, config_of(lake, [B], data={"feeds": ["fundingRate"]}))
    assert "um:BTCUSDT/fundingRate" in caught.value.hint


def test_rows_at_the_end_or_later_decide_nothing_but_what_closes_at_the_end_is_shown(
    tmp_path: Path, lake: Path
) -> None:
    write_rows(lake, "fundingRate", B, {"time": [time_of(10)], "interval_hours": [8], "funding_rate": [0.0]})
    feeds = ("fundingRate", "1h", "markPriceKlines:1h", "option:BTCUSDT/EOHSummary")
    run(tmp_path, lake, Everything, feeds, run={"end": format_time(time_of(60))})
    assert [name for minute, name in names() if minute == 60] == ["MarkPrice", "OptionChain", "1h", "1m"]
    assert [minute for minute, name in names() if name == "FundingRate"] == [10]


def test_a_reference_candle_that_ends_after_the_run_is_not_missed(tmp_path: Path, lake: Path) -> None:
    run(tmp_path, lake, Everything, ("markPriceKlines:1h",), run={"end": format_time(time_of(90))})
    assert [minute for minute, name in names() if name == "MarkPrice"] == [60]


def test_warmup_reaches_the_other_feeds_too(tmp_path: Path, lake: Path) -> None:
    class Warm(Everything):
        @property
        def warmup_candles(self) -> int:
            return 30

    run(tmp_path, lake, Warm, ("fundingRate",), run={"start": format_time(time_of(80))})
    assert [minute for minute, event in Warm.shown if type(event).__name__ == "FundingRate"] == [60]
    assert Warm.shown[0][0] == 51


def test_no_feed_changes_what_an_unconcerned_strategy_does(tmp_path: Path, lake: Path) -> None:
    script = {3: lambda s: [s.buy(B, 1)], 70: lambda s: s.close(B)}
    plain = run(tmp_path, lake, scripted(script))
    other = tuple(feed for feed in ALL if feed not in ("5m", "1h"))

    class Nosy(scripted(script)):  # type: ignore[misc]
        """Hears everything, and does as scripted."""

        on_trade = on_quote = on_funding = on_mark = on_index = on_premium = lambda self, event: None
        on_metrics = on_chain = on_volatility = on_trade

    mixed = run(tmp_path, lake, Nosy, other)
    assert any("aggTrades" in one["path"] for one in mixed.details["data"])
    assert mixed.raw_lines == plain.raw_lines
    assert len(plain.fills) == 2
