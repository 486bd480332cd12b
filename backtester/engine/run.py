"""A backtest from config to sealed folder."""

import asyncio
import gc
import os
import signal
import time
import traceback
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import tomli_w

from backtester.config.configs import RunContext
from backtester.core.clock import merged_topics
from backtester.core.errors import EngineError
from backtester.core.numbers import MONEY_EXPONENT, fixed
from backtester.core.time import format_time
from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import (
    digest_of,
    engine_digest,
    git_sha,
    modules_below,
    platform_text,
    versions,
)
from backtester.engine.run_folder import RunFolder, new_run_id
from backtester.engine.wiring import Wired, deposit, wire
from backtester.report.metrics import Metric, headline

Progress = Callable[[int, Wired], None]

_OBJECTS_PER_COLLECTION = 200_000

COMPLETE, INTERRUPTED, FAILED = "complete", "interrupted", "failed"


class RunResult(NamedTuple):
    """A sealed run. error: why it failed; None unless status is failed."""

    run_id: str
    path: Path
    status: str
    digest: str
    metrics: dict[str, Metric]
    warnings: list[str]
    details: dict[str, Any]
    error: BaseException | None


class StopRequest:
    """Set by Ctrl-C and SIGTERM; looked at between ticks."""

    def __init__(self) -> None:
        self.by: str | None = None

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Catch the signals for as long as the loop runs."""
        for name in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(name, self._set, name.name)
            except (NotImplementedError, RuntimeError):  # no signals here: another thread, or Windows
                return

    def _set(self, name: str) -> None:
        self.by = name


def run_backtest(run: PreparedRun, runs: Path, *, progress: Progress | None = None) -> RunResult:
    """Run a prepared backtest and seal it under `runs`.

    A strategy that raises, or a signal, ends the run early: what was done is sealed all the same, with its status.

    Raises:
        StorageError: the folder cannot be written or sealed.
    """
    symbols = [spec.symbol for spec in run.instruments.values()]
    folder = RunFolder(runs, new_run_id(run.found.name, symbols))
    log_file = (folder.partial / "log.jsonl").open("w", encoding="utf-8")
    try:
        return _run_in(run, folder, _diagnostics(log_file), progress)
    except BaseException:
        folder.abandon()
        raise
    finally:
        log_file.close()


def _run_in(run: PreparedRun, folder: RunFolder, diary: Any, progress: Progress | None) -> RunResult:
    context = RunContext(
        run_id=folder.final.name, seed=run.config.run.seed, git_sha=git_sha(Path(__file__).parent), allow_net=False
    )
    _write_config(run, folder)
    diary.info("start", run_id=context.run_id, strategy=run.found.name, instruments=list(run.instruments))
    began = time.perf_counter()
    wired = wire(run, folder.partial)
    status, error = FAILED, None
    try:
        status = asyncio.run(_drive(run, wired, progress))
        wired.host.stop()
        breaks = wired.account.ledger.identity_breaks()
        if breaks:
            raise EngineError("money does not add up: " + "; ".join(breaks))
    except Exception as caught:
        status, error = FAILED, caught
        diary.error("failed", error=str(caught), traceback=traceback.format_exc())
        wired.bus.abandon()
    wired.log.close()
    sealed = time.perf_counter()
    table_seconds = wired.equity.seconds
    run_seconds = sealed - began - table_seconds
    wired.clock.hand_on_marks()  # of a window that was not finished
    wired.bus.drain()
    wired.account.curve.close()
    tables = {"equity": wired.equity.close(), **wired.recorder.close(wired.board.now)}
    metrics = _metrics(run, wired)
    table_seconds += time.perf_counter() - sealed
    warnings = run.warnings + _warnings_after(run, wired)
    details = {
        "status": status,
        "context": context.model_dump(),
        "error": None if error is None else str(error),
        "strategy": _strategy_origin(run),
        "engine_digest": engine_digest(),
        "versions": versions(),
        "platform": platform_text(),
        "range": {
            "start": format_time(run.start),
            "end": format_time(run.end),
            "last_tick": format_time(wired.board.now),
        },
        "data": [
            {"path": p.path, "content": p.content, "rows": p.rows, "sources": [s.address for s in p.sources]}
            for p in run.lake.partitions_read()
        ],
        "log": {"digest": wired.log.digest, "lines": wired.log.lines},
        "tables": tables,
        "final": _final_state(run, wired),
        "counts": {
            "fills": wired.recorder.fills,
            "ambiguous_candles": wired.exchange.ambiguous_candles,
            "intents_dropped_in_warmup": wired.host.dropped_in_warmup,
            "incomplete_candles_dropped": sum(feed.incomplete_dropped for feed in wired.feeds),
        },
        "assumptions": assumptions(run),
        "warnings": warnings,
        "timings": {"run_s": round(run_seconds, 6), "tables_s": round(table_seconds, 6)},
    }
    folder.write_json("metrics.json", metrics)
    folder.write_json("run.json", details)
    for warning in warnings:
        diary.warning(warning)
    diary.info("end", status=status, digest=wired.log.digest, seconds=round(time.perf_counter() - began, 3))
    path = folder.seal()
    return RunResult(context.run_id, path, status, wired.log.digest, metrics, warnings, details, error)


async def _drive(run: PreparedRun, wired: Wired, progress: Progress | None) -> str:
    """Run all ticks; return complete or interrupted."""
    stop = StopRequest()
    stop.install(asyncio.get_running_loop())

    def pulse(now: int) -> bool:
        if progress is not None:
            progress(now, wired)
        return stop.by is None

    deposit(wired, run)
    wired.host.start()
    await _drain(wired)
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what is alive now lives to the end: the collector need not look at it again
    gc.set_threshold(_OBJECTS_PER_COLLECTION, *thresholds[1:])
    try:
        finished = await wired.clock.run(pulse)
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    if progress is not None:
        progress(wired.board.now, wired)
    return COMPLETE if finished else INTERRUPTED


async def _drain(wired: Wired) -> None:
    if wired.bus.has_async_handlers:
        await wired.bus.drain_async()
    else:
        wired.bus.drain()


def assumptions(run: PreparedRun) -> dict[str, str]:
    """Return what the simulated exchange assumes, in words."""
    config = run.config
    stored = sorted({item.stored_timeframe for item in run.series})
    words = {
        "fills": f"candles of {', '.join(stored)}, market orders at the next open, stops before limits inside a candle",
        "limit": "filled when touched" if config.execution.touch_fills else "filled only when traded through",
        "stop_through": f"a stop that is already through the market is "
        f"{'rejected' if config.execution.stop_through == 'reject' else 'executed at the market'}",
        "fees": f"maker {config.fees.maker_bps} bps, taker {config.fees.taker_bps} bps"
        + (f", {len(config.fees.tiers)} volume tiers" if config.fees.tiers else "")
        + (", taken from what is bought" if config.fees.spot_asset == "received" else ""),
        "slippage": f"{config.slippage.bps} bps against the trader on every taker fill",
        "latency": "none: an order decided at a close reaches the exchange at that instant",
    }
    if config.run.market == "um":
        words["leverage"] = "none: futures are fully collateralised, without funding or liquidation"
    return words


def _warnings_after(run: PreparedRun, wired: Wired) -> list[str]:
    found = [
        f"the strategy has {hook} but this run has no such data: it is never called"
        for hook in wired.host.unfed_hooks(merged_topics(wired.feeds))
    ]
    ambiguous = wired.exchange.ambiguous_candles
    if ambiguous:
        found.append(f"{ambiguous} candles touched both a stop and a limit: the stop was filled first")
    dropped = sum(feed.incomplete_dropped for feed in wired.feeds)
    if dropped:
        found.append(f"{dropped} derived candles lacked parts and were not shown to the strategy")
    if run.config.run.market == "um":
        found.append("futures are simulated without funding, margin and liquidation")
    if wired.equity.stats.lowest_units <= 0:
        found.append("ruined: equity fell to zero or below")
    return found


def _metrics(run: PreparedRun, wired: Wired) -> dict[str, Metric]:
    currency = run.config.account.currency
    assets = wired.account.ledger.assets
    return headline(
        wired.equity.stats,
        wired.recorder.trade_stats,
        n_open=wired.recorder.n_open_trades,
        realised_units=sum(account.realised_units for account in assets.values()),
        fees={str(asset): account.fees_units for asset, account in assets.items()},
        currency=currency,
    )


def _final_state(run: PreparedRun, wired: Wired) -> dict[str, Any]:
    """Return balances, positions and open orders at the last tick, as exact text."""
    ledger = wired.account.ledger
    return {
        "cash": {asset: fixed(a.cash_units, MONEY_EXPONENT) for asset, a in sorted(ledger.assets.items())},
        "positions": {
            instrument: {
                "qty": fixed(position.qty_units, run.instruments[instrument].scale.qty),
                "basis": fixed(position.basis_units, MONEY_EXPONENT),
            }
            for instrument, position in sorted(ledger.positions.items())
        },
        "open_orders": [order.order_id for order in wired.exchange.open_orders()],
    }


def _write_config(run: PreparedRun, folder: RunFolder) -> None:
    content = plain_toml(run.config.model_dump())
    if run.found.file is not None:
        for relative, path in modules_below(run.found.file.parent).items():
            folder.write(f"source/{relative}", path.read_bytes())
        content["strategy"]["name"] = f"source/{run.found.file.name}:{run.found.cls.__name__}"
    folder.write("config.toml", tomli_w.dumps(content).encode())


def plain_toml(value: Any) -> Any:
    """Return a dumped model as TOML can hold it: exact decimals as text, without what is None."""
    if isinstance(value, dict):
        return {key: plain_toml(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain_toml(item) for item in value]
    return f"{value:f}" if isinstance(value, Decimal) else value


def _strategy_origin(run: PreparedRun) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "name": run.found.name,
        "class": f"{run.found.cls.__module__}:{run.found.cls.__qualname__}",
    }
    if run.found.file is None:
        return origin
    root = run.found.file.parent
    return origin | {
        "file": os.path.relpath(run.found.file),
        "modules": {name: digest_of(path.read_bytes()) for name, path in modules_below(root).items()},
    }


def _diagnostics(file: Any) -> Any:
    """Return a logger that writes JSON lines with wall times to the run's own log.jsonl."""
    return structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
    )
