"""Whole runs in a test: a market, a strategy class, a config; then what the log and the tables say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from backtester.config.configs import BacktestConfig
from backtester.core.instruments import option_name
from backtester.core.time import parse_time, timeframe_us
from backtester.engine.prepare import PreparedRun, prepare
from backtester.engine.run import RunResult, run_backtest
from backtester.strategy import registry
from backtester.strategy.base import Intents, Strategy
from tests.support import inline
from tests.support.market import START, Rows, write_candles

# Costs nothing, rounds nothing away and finds as much as it wants, unless a test says otherwise.
FREE = {
    "fees": {"maker_bps": 0, "taker_bps": 0},
    "slippage": {"bps": 0},
    "execution": {"participation": 0},
}
CENTS = {"tick_size": "0.01", "lot_size": "0.001", "min_qty": "0.001", "max_qty": 0, "min_notional": 0}


@dataclass
class Ran:
    """A run that was made, read back from its folder."""

    result: RunResult
    prepared: PreparedRun

    @property
    def path(self) -> Path:
        return self.result.path

    @cached_property
    def raw_lines(self) -> list[bytes]:
        return (self.path / "audit.jsonl").read_bytes().splitlines(keepends=True)

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw_lines]

    @cached_property
    def details(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.path / "run.json").read_bytes())
        return content

    def events(self, topic: str) -> list[dict[str, Any]]:
        """The events of one topic, in order."""
        return [line["event"] for line in self.lines if line["topic"] == topic]

    @property
    def fills(self) -> list["FillSeen"]:
        """What executed, as a reader wants to see it."""
        start, length = self.prepared.start, timeframe_us(self.prepared.series[0].stored_timeframe)
        return [
            FillSeen(
                candle=(int(event["cause_id"].rpartition("/")[2]) - start) // length,
                side=event["side"],
                price=Decimal(event["price"]),
                qty=Decimal(event["qty"]),
                fee=Decimal(event["fee"]),
                tag=event["tag"],
                at_open=event["ts"] == int(event["cause_id"].rpartition("/")[2]),
                liquidity=event["liquidity"],
            )
            for line in self.lines
            if line["topic"] == "fills"
            for event in [line["event"]]
        ]

    @property
    def refusals(self) -> list[tuple[str, str, dict[str, str]]]:
        """Who refused, why, and the numbers."""
        return [(e["who"], e["reason"], e["numbers"]) for e in self.events("orders_rejected")]

    @property
    def updates(self) -> list[tuple[int, str, str]]:
        """Order, what became of it, and why."""
        return [(e["order_id"], e["status"], e["reason"]) for e in self.events("orders_update")]

    def table(self, name: str) -> list[dict[str, Any]]:
        """A table of the folder, row by row, times as UTC microseconds."""
        table = pq.read_table(self.path / f"{name}.parquet")
        rows: list[dict[str, Any]] = table.to_pylist()
        start = parse_time("1970-01-01")
        for row in rows:
            for key, value in row.items():
                if hasattr(value, "timestamp"):
                    row[key] = round((value.timestamp() - start) * 1e6)
        return rows


@dataclass(frozen=True)
class FillSeen:
    """One fill: the number of the candle in which it happened, and what was traded."""

    candle: int
    side: str
    price: Decimal
    qty: Decimal
    fee: Decimal = field(default=Decimal(0), compare=False)
    tag: str = field(default="", compare=False)
    at_open: bool = field(default=False, compare=False)
    liquidity: str = field(default="", compare=False)


def bought(candle: int, price: str | int, qty: str | int = 1) -> FillSeen:
    """The buy that a test expects."""
    return FillSeen(candle, "buy", Decimal(price), Decimal(qty))


def sold(candle: int, price: str | int, qty: str | int = 1) -> FillSeen:
    """The sale that a test expects."""
    return FillSeen(candle, "sell", Decimal(price), Decimal(qty))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Base with over laid on top, table by table."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def config_of(lake: Path, symbols: list[str], **sections: Any) -> BacktestConfig:
    """A config over a lake; sections are laid over a market without costs."""
    market = sections.get("run", {}).get("market", "spot")
    ids = [s if ":" in s else f"{market}:{s}" for s in symbols]
    base = FREE | {
        "run": {"symbols": symbols},
        "strategy": {"name": "inline"},
        "data": {"dir": str(lake)},
        "instruments": {i: CENTS for i in ids if option_name(i.partition(":")[2]) is None},
    }
    return BacktestConfig.model_validate(merged(base, sections))


def prepared_run(strategy: type[Strategy], config: BacktestConfig, **params: Any) -> PreparedRun:
    """Resolve a config for a class that the registry does not know."""
    registry.BUILT_IN.setdefault("inline", "tests.support.inline:Current")
    inline.Current = strategy
    return prepare(config, params_options=params)


def run_on(
    folder: Path,
    markets: Rows | Mapping[str, Rows],
    strategy: type[Strategy],
    *,
    params: Mapping[str, Any] | None = None,
    start: str = START,
    timeframe: str = "1m",
    stored: str = "",
    **sections: Any,
) -> Ran:
    """Write the markets to a lake in `folder`, run a strategy on them, and read the run back.

    Args:
        markets: rows of BTCUSDT, or rows by symbol.
        start: when the first row opens.
        timeframe, stored: what the strategy sees, and what the rows are (the same unless given).
        sections: config sections, laid over a market without costs.
    """
    by_symbol = markets if isinstance(markets, Mapping) else {"BTCUSDT": markets}
    market = sections.get("run", {}).get("market", "spot")
    lake = folder / "lake"
    for symbol, rows in by_symbol.items():
        write_candles(lake, rows, symbol=symbol, market=market, timeframe=stored or timeframe, start=start)
    run = merged({"timeframe": timeframe}, sections.get("run", {}))
    config = config_of(lake, list(by_symbol), **(sections | {"run": run}))
    return run_prepared(folder, prepared_run(strategy, config, **(params or {})))


def run_prepared(folder: Path, prepared: PreparedRun) -> Ran:
    """Run what was prepared; a strategy or engine that raised raises here."""
    result = run_backtest(prepared, folder / "runs")
    if result.error is not None:
        raise result.error
    return Ran(result, prepared)


class Scripted(Strategy):
    """Does what a test says after each candle: `script` maps the number of a candle to a function of the strategy."""

    position_modes = ("one_way", "hedge")
    script: Mapping[int, Any] = {}
    first: str = ""  # the instrument whose candles are counted; the first of the run unless given
    on_fill_do: Any = None

    def on_start(self) -> None:
        self.seen = -1
        self.counted = self.first or self.instruments[0].id

    def on_candle(self, candle: Any) -> Intents:
        if candle.instrument != self.counted:
            return None
        self.seen += 1
        act = self.script.get(self.seen)
        return act(self) if act is not None else None

    def on_fill(self, fill: Any) -> Intents:
        return type(self).on_fill_do(self, fill) if type(self).on_fill_do is not None else None


def scripted(script: Mapping[int, Any], *, on_fill: Any = None, first: str = "") -> type[Scripted]:
    """A strategy that acts after the candles named: {0: lambda s: [s.buy("BTCUSDT", 1)]}."""
    return type("Scripted", (Scripted,), {"script": script, "on_fill_do": on_fill, "first": first})
