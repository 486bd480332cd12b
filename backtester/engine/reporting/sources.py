"""A sealed run as a report needs it: what its folder says, its tables as arrays, and candles of its lake."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backtester.core.errors import BacktesterError, UsageError
from backtester.core.time import parse_time
from backtester.data.lake import Lake
from backtester.engine.check.certificate import read_certificate
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.replay import LOG, read_run_json
from backtester.engine.reporting.candles import PriceSeries, price_series
from backtester.engine.reporting.events import RunEvents, read_events
from backtester.engine.reporting.indicators import SignalFeatures, signal_indicators
from backtester.engine.reporting.tables import RunTable, read_table

_TABLES = ("trades", "fills", "orders")
_CURVE = ("ts", "equity", "exposure", "drawdown")


@dataclass(frozen=True)
class RunSources:
    """What a run left behind.

    details: run.json. metrics: metrics.json. config: config.toml, parsed; config_text: as it is. certificate: what a
    check found, None without one; certificate_fault: why there is one that cannot be trusted. equity, benchmark,
    trades, fills, orders: None where the run has no such table. prices: candles per instrument. features:
    of a signal.
    """

    details: dict[str, Any]
    metrics: dict[str, Any]
    config: dict[str, Any]
    config_text: str
    certificate: dict[str, Any] | None
    certificate_fault: str
    equity: RunTable | None
    benchmark: RunTable | None
    trades: RunTable | None
    fills: RunTable | None
    orders: RunTable | None
    prices: list[PriceSeries]
    events: RunEvents
    features: SignalFeatures

    @property
    def currency(self) -> str:
        """The account's currency."""
        return str(self.config.get("account", {}).get("currency", ""))


def read_sources(folder: Path, *, data: Path | None = None) -> RunSources:
    """Read all of a run that its report shows.

    Args:
        folder: of a sealed run.
        data: where the lake is now, when it has moved.

    Raises:
        UsageError: the run was never sealed, or its files cannot be read.
        StorageError: a table cannot be read.
    """
    details = read_run_json(folder)
    if details is None:
        raise UsageError(f"{folder} was never sealed: there is nothing to report", hint=f"bt replay {folder}")
    try:
        config_text = (folder / CONFIG).read_text(encoding="utf-8")
        config = tomllib.loads(config_text)
        metrics = msgspec.json.decode((folder / "metrics.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot be read as a run: {error}", hint=f"bt replay {folder}") from None
    certificate, fault = _certificate(folder, details)
    trades, fills, orders = (read_table(folder / f"{name}.parquet") for name in _TABLES)
    prices = _prices(details, config, fills, data)
    drawn = [series.instrument for series in prices if series.candles is not None]
    return RunSources(
        details=details,
        metrics=metrics,
        config=config,
        config_text=config_text,
        certificate=certificate,
        certificate_fault=fault,
        equity=read_table(folder / "equity.parquet", _CURVE),
        benchmark=read_table(folder / "benchmark.parquet", ("ts", "equity")),
        trades=trades,
        fills=fills,
        orders=orders,
        prices=prices,
        events=read_events(folder / LOG),
        features=signal_indicators(folder, details, config, drawn, data),
    )


def _certificate(folder: Path, details: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    try:
        return read_certificate(folder, details), ""
    except BacktesterError as error:
        return None, error.message


def _prices(
    details: dict[str, Any], config: dict[str, Any], fills: RunTable | None, data: Path | None
) -> list[PriceSeries]:
    """Return the candles of what was traded, then of what the run was only asked to trade; options have none."""
    traded = [] if fills is None else sorted(set(fills.texts("instrument")))
    names = [name for name in (*traded, *config["run"]["symbols"]) if not name.startswith("option:")]
    start, end = (parse_time(details["range"][key]) for key in ("start", "end"))
    root = Path(config["data"]["dir"]) if data is None else data
    lake = Lake(root) if (root / "manifest.jsonl").is_file() else None
    return price_series(lake, names, config["run"]["timeframe"], start, end)
