"""A backtest from config to sealed folder."""

import asyncio
import gc
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from backtester.config.configs import RunContext
from backtester.core.errors import EngineError
from backtester.engine.config_snapshot import write_config
from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import git_sha
from backtester.engine.run_folder import RunFolder, new_run_id
from backtester.engine.run_record import run_metrics, run_record, warnings_after
from backtester.engine.wiring import Wired, deposit, wire
from backtester.report.metrics import Metric

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
    write_config(run, folder)
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
    metrics = run_metrics(run, wired)
    table_seconds += time.perf_counter() - sealed
    warnings = run.warnings + warnings_after(run, wired)
    details = run_record(run, wired, context, status, error, tables, warnings)
    details["timings"] = {"run_s": round(run_seconds, 6), "tables_s": round(table_seconds, 6)}
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
    await _drain(wired)
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
