"""What report.html says of a run: plain facts, and its tables packed as columns."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backtester.engine.reporting.candles import PriceSeries
from backtester.engine.reporting.indicators import Indicators
from backtester.engine.reporting.levels import stops_and_targets
from backtester.engine.reporting.prices import trade_prices
from backtester.engine.reporting.sources import RunSources
from backtester.engine.reporting.tables import RunTable
from backtester.report.page.packing import PackedTable, decimals_of
from backtester.report.page.page import PageContent
from backtester.report.page.thinning import kept_rows, stretches

_TRADE_MONEY: Final = ("gross_pnl", "fees", "funding", "slippage", "net_pnl", "mae", "mfe", "equity_at_entry")
_TRADE_RATIOS: Final = ("r", "mae_pct", "mfe_pct")
_TRADE_TEXTS: Final = ("instrument", "side", "strategy", "currency", "entry_tag", "exit_tag", "exit_reason")
_RATIO_DECIMALS: Final = 6
_MOST_PRICE_DECIMALS: Final = 10
_STRETCHES: Final = 120
_LOG_CHOICE: Final = 2**50


def page_content(run: RunSources) -> PageContent:
    """Return what the page holds; a section whose input the run has not got is left out of it."""
    tables: dict[str, PackedTable] = {}
    if run.equity is not None and run.equity.rows:
        tables["equity"] = _equity(run.equity)
        if run.equity.rows >= 2:
            tables["exposure"] = _exposure(run.equity)
    if run.benchmark is not None and run.benchmark.rows:
        tables["benchmark"] = _benchmark(run.benchmark)
    if run.trades is not None:
        tables["trades"] = _trades(run.trades, run.fills, run.orders)
    prices = []
    for number, series in enumerate(run.prices):
        about: dict[str, Any] = {"instrument": series.instrument, "timeframe": series.timeframe, "why": series.why}
        if series.candles is not None:
            about["table"] = f"candles-{number}"
            tables[about["table"]], about["decimals"] = _candles(series)
            if found := run.features.by_instrument.get(series.instrument):
                about["features"] = {"table": f"features-{number}", "every": found.every, "others": found.others}
                tables[f"features-{number}"] = _features(found, about["decimals"])
        prices.append(about)
    return PageContent(_facts(run, prices), tables)


def _facts(run: RunSources, prices: list[dict[str, Any]]) -> dict[str, Any]:
    details, config = run.details, run.config
    return {
        "run": {
            "id": details["context"]["run_id"],
            "status": details["status"],
            "error": details.get("error"),
            "strategy": details["strategy"]["name"],
            "class": details["strategy"].get("class", ""),
            "strategies": details.get("strategies"),
            "params": config.get("strategy", {}).get("params", {}),
            "symbols": config["run"]["symbols"],
            "timeframe": config["run"]["timeframe"],
            "range": details["range"],
            "currency": run.currency,
            "seed": details["context"]["seed"],
            "git": details["context"]["git_sha"],
            "platform": details["platform"],
            "versions": details["versions"],
            "engine_digest": details["engine_digest"],
            "config_digest": details["config"],
            "log": details["log"],
            "tables": details["tables"],
            "feeds": details["feeds"],
            "gaps": details["gaps"],
        },
        "metrics": run.metrics,
        "assumptions": details["assumptions"],
        "warnings": details["warnings"],
        "data": details["data"],
        "final": details["final"],
        "liquidation": details.get("liquidation"),
        "certificate": run.certificate,
        "certificate_fault": run.certificate_fault,
        "config": run.config_text,
        "risk": run.events.risk,
        "refusals": dict(run.events.refusals.most_common()),
        "notes": run.events.notes,
        "counts": {**details["counts"], **run.events.counts},
        "equity_rows": 0 if run.equity is None else run.equity.rows,
        "prices": prices,
        "features_missing": run.features.why,
    }


def _equity(table: RunTable) -> PackedTable:
    ts, equity, drawdown = table.times("ts"), table.numbers("equity"), table.numbers("drawdown")
    rows = kept_rows(ts, [equity, drawdown])
    packed = PackedTable(len(rows))
    packed.add("ts", ts[rows], delta=True)
    _add_money(packed, "equity", equity[rows])
    packed.add("drawdown", drawdown[rows], decimals=_RATIO_DECIMALS)
    return packed


def _exposure(table: RunTable) -> PackedTable:
    ts, equity = table.times("ts"), table.numbers("equity")
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(equity > 0, table.numbers("exposure") / equity, np.nan)
    starts, means, highest = stretches(ts, share, _STRETCHES)
    packed = PackedTable(len(starts))
    packed.add("ts", starts, delta=True)
    packed.add("mean", means, decimals=_RATIO_DECIMALS)
    packed.add("highest", highest, decimals=_RATIO_DECIMALS)
    return packed


def _benchmark(table: RunTable) -> PackedTable:
    ts, equity = table.times("ts"), table.numbers("equity")
    rows = kept_rows(ts, [equity])
    packed = PackedTable(len(rows))
    packed.add("ts", ts[rows], delta=True)
    _add_money(packed, "equity", equity[rows])
    return packed


def _trades(table: RunTable, fills: RunTable | None, orders: RunTable | None) -> PackedTable:
    packed = PackedTable(table.rows)
    for name in ("entry_time", "exit_time"):
        packed.add(name, table.times(name), delta=True)
    for name in _TRADE_TEXTS:
        if name in table:
            packed.add_texts(name, table.texts(name))
    _add_number(packed, "qty", table.numbers("qty"), 8)
    for name, values in zip(("entry_price", "exit_price"), trade_prices(table), strict=True):
        _add_number(packed, name, values, 8)
    for name in _TRADE_MONEY:
        if name in table:
            _add_money(packed, name, table.numbers(name))
    for name in _TRADE_RATIOS:
        if name in table:
            packed.add(name, table.numbers(name), decimals=_RATIO_DECIMALS)
    stops, targets = stops_and_targets(table, fills, orders)
    if "initial_stop" in table:
        declared = table.numbers("initial_stop")
        stops = np.where(declared > 0, declared, stops)
    _add_number(packed, "stop", stops, _MOST_PRICE_DECIMALS)
    _add_number(packed, "target", targets, _MOST_PRICE_DECIMALS)
    return packed


def _candles(series: PriceSeries) -> tuple[PackedTable, int]:
    candles = series.candles
    assert candles is not None
    decimals = max(decimals_of(c, _MOST_PRICE_DECIMALS) for c in (candles.open, candles.close))
    packed = PackedTable(len(candles))
    packed.add("ts", candles.open_time // 1_000_000, delta=True)
    packed.add("close", candles.close, decimals=decimals, delta=True)
    # The others as what they differ from the close: little numbers, of which a page holds many.
    for name in ("open", "high", "low"):
        packed.add(name, getattr(candles, name) - candles.close, decimals=decimals)
    return packed, decimals


def _features(found: Indicators, decimals: int) -> PackedTable:
    packed = PackedTable(len(found.times))
    packed.add("ts", found.times // 1_000_000, delta=True)
    for name, values in found.lines.items():
        packed.add(f"line {name}", values, decimals=decimals, delta=True)
    return packed


def _add_money(packed: PackedTable, name: str, values: NDArray[np.float64]) -> None:
    _add_number(packed, name, values, 4 if np.nanmax(np.abs(values), initial=0.0) >= 10.0 else 8)


def _add_number(packed: PackedTable, name: str, values: NDArray[np.float64], most: int) -> None:
    """Add a column with the decimals that it needs, or as many as there is room for."""
    largest = max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
    room = int(np.floor(np.log10(_LOG_CHOICE / largest)))
    packed.add(name, values, decimals=max(0, min(most, room, decimals_of(values, most))))
