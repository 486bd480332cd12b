"""What taking liquidity costs beyond a fixed rate, and how long an order travels: each model by hand."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import DataError, UsageError
from backtester.core.time import MINUTE
from tests.support.lakes import write_rows
from tests.support.market import time_of, write_candles
from tests.support.runs import bought, config_of, prepared_run, run_on, run_prepared, scripted, sold

B = "BTCUSDT"


def waves(count: int, volume: float = 100) -> list[Any]:
    """Candles that open and close at 100 and reach a dollar up and down: a true range of 2 %, no returns."""
    return [(100, 101, 99, 100, volume) for _ in range(count)]


def test_slippage_grows_with_the_true_range(tmp_path: Path) -> None:
    slippage = {"model": "spread_volatility", "bps": 1, "volatility": "0.1", "window": 3}
    ran = run_on(tmp_path, waves(6), scripted({4: lambda s: [s.buy(B, 1)]}), slippage=slippage)
    # 1 bp and a tenth of 2 %: 100 x 1.0021
    assert ran.fills == [bought(5, "100.21")]
    assert not [w for w in ran.details["warnings"] if "priced before" in w]


def test_the_true_range_is_of_earlier_candles_only(tmp_path: Path) -> None:
    slippage = {"model": "spread_volatility", "bps": 0, "volatility": "0.1", "window": 3}
    market = [*waves(5), (100, 150, 95, 100, 100), *waves(1)]
    script = {3: lambda s: [s.buy(B, 1)], 4: lambda s: [s.sell(B, 1, stop=96)]}
    ran = run_on(tmp_path, market, scripted(script), slippage=slippage)
    # the stop is met in the wild candle, priced by the calm ones before it
    assert ran.fills == [bought(4, "100.20"), sold(5, "95.80")]


def test_slippage_grows_with_the_square_of_the_share_of_the_volume(tmp_path: Path) -> None:
    slippage = {"model": "volume_share", "bps": 0, "volume_impact": "0.1"}
    orders = scripted({0: lambda s: [s.buy(B, 10)], 1: lambda s: [s.sell(B, 5)]})
    ran = run_on(tmp_path, waves(4), orders, slippage=slippage)
    # a tenth of 100: 0.1 x 0.1^2 = 0.1 %; a twentieth: 0.025 %
    assert ran.fills == [bought(1, "100.10", 10), sold(2, "99.97", 5)]


@pytest.mark.parametrize(
    "models",
    [
        {"slippage": {"model": "volume_share", "bps": 0, "volume_impact": 1}},
        {"impact": {"model": "square_root", "coefficient": 100, "window": 4}},
    ],
)
def test_each_slice_of_a_candle_pays_for_what_the_ones_before_it_took(tmp_path: Path, models: Any) -> None:
    market = [(100, 101, 100, 100 + i % 2, 100) for i in range(8)]

    def prices(name: str, *sizes: int) -> list[Decimal]:
        order = scripted({5: lambda s: [s.buy(B, size) for size in sizes]})
        return [fill.price for fill in run_on(tmp_path / name, market, order, **models).fills]

    slices = prices("slices", 2, 2, 2, 2)
    assert slices == [prices(str(whole), whole)[0] for whole in (2, 4, 6, 8)]
    assert slices == sorted(set(slices))
    again = scripted({n: lambda s: [s.buy(B, 2)] for n in (5, 6)})  # each candle has a volume of its own
    models = {"slippage": {"model": "volume_share", "bps": 0, "volume_impact": 1}}
    fills = run_on(tmp_path / "later", [(100, 101, 99, 100, 100)] * 8, again, **models).fills
    assert len({fill.price for fill in fills}) == 1


def test_impact_is_the_square_root_law(tmp_path: Path) -> None:
    # closes 100, 101, 100, ...: returns of 1 % and 0.9901 %; four of them: sigma = sqrt(2 x 0.01^2 + 2 x 0.00990100^2)
    market = [(100, 101, 100, 100 + i % 2, 100) for i in range(7)]
    impact = {"model": "square_root", "coefficient": "1", "window": 4}
    ran = run_on(tmp_path, market, scripted({5: lambda s: [s.buy(B, 4)]}), impact=impact)
    # sqrt(4 / 400) = 0.1 of sigma = 1.99007... %: 100 x 1.00199007 → up
    assert ran.fills == [bought(6, "100.20", 4)]
    assert pytest.approx(0.00199, rel=1e-3) == (2 * 0.01**2 + 2 * (1 / 101) ** 2) ** 0.5 * 0.1


def test_more_of_it_costs_more_and_a_limit_bounds_it(tmp_path: Path) -> None:
    impact = {"model": "square_root", "coefficient": "1", "window": 4}
    market = [(100, 101, 100, 100 + i % 2, 100) for i in range(7)]
    prices = [
        run_on(tmp_path / str(qty), market, scripted({5: lambda s, qty=qty: [s.buy(B, qty)]}), impact=impact).fills
        for qty in (1, 4, 16, 64)
    ]
    assert [fills[0].price for fills in prices] == [Decimal(p) for p in ("100.10", "100.20", "100.40", "100.80")]
    order = scripted({5: lambda s: [s.buy(B, 64, limit="100.30", time_in_force="ioc")]})
    assert run_on(tmp_path / "limit", market, order, impact=impact).fills == [bought(6, "100.30", 64)]


def test_a_fill_before_the_models_know_enough_is_counted_or_refused(tmp_path: Path) -> None:
    slippage = {"model": "spread_volatility", "bps": 1, "volatility": "0.1", "window": 3}
    orders = scripted({1: lambda s: [s.buy(B, 1)], 4: lambda s: [s.sell(B, 1)]})
    ran = run_on(tmp_path / "assumed", waves(6), orders, slippage=slippage)
    assert len(ran.fills) == 2
    assert [w for w in ran.details["warnings"] if w.startswith("1 fills were priced before")]
    ran = run_on(tmp_path / "strict", waves(6), orders, slippage=slippage, execution={"strict": True})
    assert [(who, reason) for who, reason, _ in ran.refusals] == [
        ("execution", "model_not_ready"),
        ("risk", "short_not_allowed"),
    ]


def test_a_latency_longer_than_a_candle_moves_the_fill(tmp_path: Path) -> None:
    market = [(100 + i, 101 + i, 99 + i, 100 + i, 100) for i in range(6)]
    order = scripted({0: lambda s: [s.buy(B, 1)]})
    # arrives 90 s after the close of candle 0, within candle 2, and fills at the open of candle 3
    ran = run_on(tmp_path, market, order, execution={"latency_ms": 90_000})
    assert ran.fills == [bought(3, 103)]
    [accepted] = ran.events("orders_update")
    assert accepted["ts"] == ran.prepared.start + MINUTE + 90_000_000


def test_a_latency_of_exactly_one_candle_meets_the_next_open(tmp_path: Path) -> None:
    market = [(100 + i, 101 + i, 99 + i, 100 + i, 100) for i in range(6)]
    ran = run_on(tmp_path, market, scripted({0: lambda s: [s.buy(B, 1)]}), execution={"latency_ms": 60_000})
    assert ran.fills == [bought(2, 102)]


def test_an_order_fills_while_its_cancel_travels(tmp_path: Path) -> None:
    market = [*waves(3), (100, 101, 94, 100, 100), *waves(3)]
    orders = {0: lambda s: [s.buy(B, 1, limit=95)], 2: lambda s: s.cancel_all(B)}
    ran = run_on(tmp_path, market, scripted(orders), execution={"latency_ms": 90_000})
    assert ran.fills == [bought(3, 95)]
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("execution", "unknown_order")]


def test_random_latency_comes_from_the_seed_and_keeps_the_order_of_sending(tmp_path: Path) -> None:
    def arrivals(folder: str, seed: int) -> list[int]:
        ran = run_on(
            tmp_path / folder,
            waves(30),
            scripted({i: lambda s: [s.buy(B, "0.1", limit=90)] for i in range(20)}),
            execution={"latency_ms": 60_000, "latency_jitter_ms": 300_000},
            run={"seed": seed},
        )
        assert [e["order_id"] for e in ran.events("orders_update")] == list(
            range(1, len(ran.events("orders_update")) + 1)
        )
        return [e["ts"] for e in ran.events("orders_update")]

    first = arrivals("a", 1)
    assert first == sorted(first)
    assert len(set(first)) > 3
    assert first == arrivals("b", 1)
    assert first != arrivals("c", 2)


def test_a_latency_that_candles_cannot_show_moves_nothing_and_is_said_or_refused(tmp_path: Path) -> None:
    order = scripted({0: lambda s: [s.buy(B, 1)]})
    ran = run_on(tmp_path / "said", waves(3), order, execution={"latency_ms": 50})
    assert ran.fills == [bought(1, 100)]
    assert "shorter than the candles of 1m" in ran.details["assumptions"]["latency"]
    assert ran.details["assumptions"]["latency"] in ran.details["warnings"]
    with pytest.raises(DataError, match="latency of 50 ms cannot be seen"):
        run_on(tmp_path / "strict", waves(3), order, execution={"latency_ms": 50, "strict": True})


def test_a_discount_lowers_fees_and_not_rebates(tmp_path: Path) -> None:
    fees = {"maker_bps": -2, "taker_bps": 10, "discount_asset": "BNB", "discount_pct": 25}
    market = [*waves(2), (100, 101, 94, 100, 100), *waves(1)]
    orders = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.buy(B, 1, limit=95)]}
    ran = run_on(tmp_path, market, scripted(orders), fees=fees)
    assert [fill.fee for fill in ran.fills] == [Decimal("0.075"), Decimal("-0.019")]
    assert ran.details["assumptions"]["fees"].endswith("25% less for BNB, bought when needed")


# --- triggers on the mark price ----------------------------------------------------------------------------------

UM: dict[str, Any] = {"run": {"market": "um"}, "execution": {"trigger_price": "mark"}}


def on_marks(folder: Path, marks: list[tuple[float, ...]], market: list[Any], script: Any, **over: Any) -> Any:
    """Run over candles and mark prices of the same minutes."""
    lake = folder / "lake"
    write_candles(lake, market, symbol=B, market="um")
    columns = {"open_time": [time_of(n) for n in range(len(marks))]}
    columns |= {name: [mark[n] for mark in marks] for n, name in enumerate(("open", "high", "low", "close"))}
    write_rows(lake, "markPriceKlines", B, columns, timeframe="1m")
    return run_prepared(folder, prepared_run(scripted(script), config_of(lake, [B], **(UM | over))))


CALM = (100, 101, 99, 100)
DIP = (100, 101, 94, 100)


def test_a_stop_on_the_mark_ignores_the_last_price(tmp_path: Path) -> None:
    market = [(*CALM, 100), (*CALM, 100), (*DIP, 100), (*CALM, 100), (102, 103, 101, 102, 100)]
    protect = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop=95)]}
    ran = on_marks(tmp_path / "last", [CALM] * 5, market, protect)
    assert ran.fills == [bought(1, 100)]
    assert "watch the mark price" in ran.details["assumptions"]["triggers"]
    # the mark dips in candle 3: known at its close, sold at the open of candle 4
    ran = on_marks(tmp_path / "mark", [CALM, CALM, CALM, DIP, CALM], market, protect)
    assert ran.fills == [bought(1, 100), sold(4, 102)]
    assert ran.updates[-1] == (2, "triggered", "")


def test_a_stop_of_a_bracket_watches_the_mark_too(tmp_path: Path) -> None:
    market = [(*CALM, 100), (*DIP, 100), (*DIP, 100), (*CALM, 100), (102, 103, 101, 102, 100)]
    entry = {0: lambda s: [s.buy(B, 1, stop_loss=95, take_profits=[(110, 1)])]}
    ran = on_marks(tmp_path, [CALM, CALM, CALM, DIP, CALM], market, entry)
    assert ran.fills == [bought(1, 100), sold(4, 102)]
    assert ran.updates[-1] == (3, "cancelled", "oco")


def test_a_trailing_stop_follows_the_mark(tmp_path: Path) -> None:
    market = [(*CALM, 100)] * 6
    marks = [CALM, CALM, (108, 110, 107.5, 110), (110, 110, 106, 106), CALM, CALM]
    script = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, trail="0.03")]}
    ran = on_marks(tmp_path, marks, market, script)
    # 3 % under 110 is 106.7: reached in candle 3, sold at the open of candle 4
    assert ran.fills == [bought(1, 100), sold(4, 100)]


@pytest.mark.parametrize(
    ("path", "mark", "sold_in"),
    [
        ("pessimistic", (100, 101, 94, 94), 3),  # the close
        ("optimistic", (100, 101, 94, 94), 3),
        ("pessimistic", DIP, 3),  # some path reaches it after the entry
        ("optimistic", DIP, None),
    ],
)
def test_an_order_that_came_within_the_candle_of_the_mark_is_triggered_by_its_close(
    tmp_path: Path, path: str, mark: tuple[float, ...], sold_in: int | None
) -> None:
    market = [(*CALM, 100)] * 6
    # the bid fills in candle 2, whose mark dips; its stop is alive from some moment of that candle on
    entry = {0: lambda s: [s.buy(B, 1, limit="99.5", stop_loss=95)]}
    market = [(100, 101, 100, 100, 100)] * 2 + [(*CALM, 100)] * 4
    over = {"execution": {"trigger_price": "mark", "path": path}}
    ran = on_marks(tmp_path, [CALM, CALM, mark, CALM, CALM, CALM], market, entry, **over)
    assert ran.fills == [bought(2, "99.5"), *([sold(sold_in, 100)] if sold_in else [])]
    unsure = mark == DIP
    assert any("a mark candle may have triggered" in warning for warning in ran.result.warnings) is unsure


def test_marks_coarser_than_the_candles_that_execute_are_said_and_refused_when_strict(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    write_candles(lake, [(*CALM, 100)] * 10, symbol=B, market="um")
    columns = {"open_time": [time_of(n) for n in (0, 5)]}
    columns |= {name: [mark[n] for mark in (CALM, CALM)] for n, name in enumerate(("open", "high", "low", "close"))}
    write_rows(lake, "markPriceKlines", B, columns, timeframe="5m")
    over: dict[str, Any] = {"run": {"market": "um", "timeframe": "5m"}, "execution": {"trigger_price": "mark"}}
    ran = run_prepared(tmp_path, prepared_run(scripted({}), config_of(lake, [B], **over)))
    assert any("mark prices of 5m, coarser than the candles of 1m" in warning for warning in ran.result.warnings)
    over["execution"]["strict"] = True
    with pytest.raises(DataError, match="coarser than the candles of 1m"):
        prepared_run(scripted({}), config_of(lake, [B], **over))


def test_a_stop_limit_on_the_mark_rests_as_a_limit(tmp_path: Path) -> None:
    market = [(*CALM, 100), (*CALM, 100), (*CALM, 100), (90, 91, 89, 90, 100), (90, 97, 90, 96, 100)]
    script = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop=95, limit="94.5")]}
    ran = on_marks(tmp_path, [CALM, CALM, DIP, CALM, CALM], market, script)
    assert ran.fills == [bought(1, 100), sold(4, "94.5")]


def test_a_stop_that_the_mark_is_through_is_refused(tmp_path: Path) -> None:
    market = [(*CALM, 100)] * 4
    script = {0: lambda s: [s.buy(B, 1)], 1: lambda s: [s.sell(B, 1, stop=95)]}
    ran = on_marks(tmp_path, [CALM, (94, 94, 94, 94), CALM, CALM], market, script)
    assert [(who, reason) for who, reason, _ in ran.refusals] == [("execution", "would_trigger")]


def test_spot_has_no_mark_and_a_missing_one_is_said(tmp_path: Path) -> None:
    order = scripted({0: lambda s: [s.buy(B, 1)]})
    with pytest.raises(UsageError, match="spot has no mark price"):
        run_on(tmp_path / "spot", waves(3), order, execution={"trigger_price": "mark"})
    with pytest.raises(DataError, match="markPriceKlines:1m"):
        run_on(tmp_path / "none", waves(3), order, **UM)
