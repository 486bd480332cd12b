"""Any two runs, compared: the bridge between them adds up to the last unit, and each run to its account."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import fixed_dictionaries, integers, sampled_from

from backtester.engine.compare.comparing import compare
from backtester.engine.compare.sides import ComparedRun
from backtester.report.bridge import bridge
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.runs import Ran, config_of, prepared_run, run_prepared

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
VARIANTS = fixed_dictionaries(
    {
        "lake": sampled_from(["one", "one", "other"]),
        "seed": sampled_from([1, 1, 1, 2]),
        "busy": sampled_from([0.2, 0.4, 0.4]),
        "start": sampled_from(["2024-01-01", "2024-01-01", "2024-01-01T00:30:00Z"]),
        "money": sampled_from([10_000, 10_000, 3_000]),
        "fees": sampled_from(
            [
                {"maker_bps": 0, "taker_bps": 0},
                {"maker_bps": 10, "taker_bps": 10},
                {"maker_bps": 2, "taker_bps": 5, "spot_asset": "received"},
                {"maker_bps": -2, "taker_bps": "7.5"},
            ]
        ),
        "slippage": sampled_from([0, 1, 25]),
        "execution": sampled_from([{}, {"touch_fills": True}, {"path": "optimistic", "market_fill": "mid"}]),
    }
)


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two lakes with the same two coins on both markets, and other prices."""
    found = {}
    for number, name in enumerate(("one", "other")):
        found[name] = tmp_path_factory.mktemp(name)
        for market in ("spot", "um"):
            two_coins(found[name], 180, seed=5 + number, market=market)
    return found


def erratic(folder: Path, lakes: dict[str, Path], market: str, variant: dict[str, Any]) -> Ran:
    config = config_of(
        lakes[variant["lake"]],
        SYMBOLS,
        run={"market": market, "seed": variant["seed"], "start": variant["start"], "end": "2024-01-01T02:50:00Z"},
        account={"initial_cash": variant["money"]},
        fees=variant["fees"],
        slippage={"bps": variant["slippage"]},
        execution=variant["execution"],
    )
    return run_prepared(folder, prepared_run(Erratic, config, busy=variant["busy"]))


@settings(max_examples=12, deadline=None)
@given(one=VARIANTS, other=VARIANTS, market=sampled_from(["spot", "um"]))
def test_the_bridge_between_any_two_runs_adds_up(
    one: dict[str, Any],
    other: dict[str, Any],
    market: str,
    lakes: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    first, second = (erratic(folder / str(n), lakes, market, v) for n, v in enumerate((one, other)))
    sides = [ComparedRun(ran.path).side() for ran in (first, second)]
    for side, ran in zip(sides, (first, second), strict=True):
        assert side.conversions_units == 0, "all is in one currency: every unit of final equity has a line"
        closed = [row["gross_pnl"] for row in ran.table("trades")]
        if ran.prepared.config.fees.spot_asset == "quote" or market == "um":
            assert sum(t.gross_units for t in side.trades) == sum(closed, Decimal(0)) * 10**8
        assert len(side.trades) == len(closed)
    lines = bridge(*sides)
    finals = [
        Decimal(json.loads((r.path / "metrics.json").read_text())["final_equity"]["value"]) for r in (first, second)
    ]
    assert sum(line.units for line in lines) == (finals[1] - finals[0]) * 10**8


@settings(max_examples=3, deadline=None)
@given(seed=integers(1, 50))
def test_other_fees_alone_move_fees_and_nothing_else_while_sizes_are_the_strategys(
    seed: int, lakes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("pair")
    paths = []
    for number, bps in enumerate((1, 9)):
        config = config_of(
            lakes["one"],
            SYMBOLS,
            run={"market": "um", "seed": seed},
            account={"initial_cash": 10_000_000},
            fees={"maker_bps": bps, "taker_bps": bps},
        )
        paths.append(run_prepared(folder / str(number), prepared_run(Fixed, config)).path)
    content = compare(paths).content
    moved = {line["name"] for line in content["bridge"]["lines"] if Decimal(line["amount"])}
    assert moved == {"fees"}
    assert content["first_decision"] is None
    assert content["first_difference"]["first"]["title"].startswith("line ")
    assert [row["key"] for row in content["config"]] == ["fees.maker_bps", "fees.taker_bps"]


class Fixed(Erratic):
    """Trades one coin now and then, whatever its account says."""

    def on_candle(self, candle: Any) -> Any:
        act = self.buy if self.rng.random() < 0.5 else self.sell
        return [act(candle.instrument, 1)] if self.rng.random() < 0.3 else None

    def on_fill(self, fill: Any) -> Any:
        return None

    def on_order_update(self, update: Any) -> Any:
        return None
