"""A backtest from config to sealed folder."""

import asyncio
import signal
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog

from backtester.config.configs import RunContext
from backtester.core.errors import EngineError, Interrupted, StorageError
from backtester.core.instruments import split_id
from backtester.engine.attribution import attribution_breaks
from backtester.engine.config_snapshot import write_config
from backtester.engine.garbage import rarely_collected
from backtester.engine.prepare import PreparedRun
from backtester.engine.provenance import digest_of, git_sha
from backtester.engine.run_folder import RunFolder, new_run_id
from backtester.engine.run_metrics import equity_rows, metrics_from
from backtester.engine.run_record import run_record, warnings_after
from backtester.engine.trade_lookups import look_up
from backtester.engine.trials import Try, known_trials, remember, try_of
from backtester.engine.wiring import Wired, deposit, wire
from backtester.report.figures import Metric

Progress = Callable[[int, Wired], None]

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


class Stopping(Protocol):
    """Says whether a run is to end after the tick."""

    @property
    def asked(self) -> bool:
        """Whether somebody asked for it."""


class StopRequest:
    """Ctrl-C and SIGTERM: the first ends the run after the tick, a second one at once.

    The handlers are Python's own, not asyncio's, so that they also reach a strategy that never returns. May be entered
    again while it is: signals are caught until the main thread has left it.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        is_main = threading.current_thread() is threading.main_thread()  # elsewhere signals cannot be caught
        if is_main and not self._before:
            for name in (signal.SIGINT, signal.SIGTERM):
                self._before[name] = signal.signal(name, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():  # a run may be in a thread that this one waits for
            while self._before:
                signal.signal(*self._before.popitem())

    def _caught(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def run_backtest(
    run: PreparedRun, runs: Path, *, progress: Progress | None = None, stop: StopRequest | None = None
) -> RunResult:
    """Run a prepared backtest and seal it under `runs`; stop: where somebody asks to end it, besides by signals.

    A strategy that raises, or a signal, ends the run early: what was done is sealed all the same, with its status.

    Raises:
        StorageError: the folder cannot be written or sealed.
    """
    symbols = [split_id(name)[1] for name in run.config.run.symbols]
    folder = RunFolder(runs, new_run_id(run.name, symbols))
    log_file = (folder.partial / "log.jsonl").open("w", encoding="utf-8")
    try:
        return _run_in(run, folder, _diagnostics(log_file), progress, stop or StopRequest())
    except BaseException:
        folder.abandon()
        raise
    finally:
        log_file.close()


def _run_in(run: PreparedRun, folder: RunFolder, diary: Any, progress: Progress | None, stop: StopRequest) -> RunResult:
    context = RunContext(run_id=folder.final.name, seed=run.config.run.seed, git_sha=git_sha(), allow_net=False)
    write_config(run, folder)
    diary.info("start", run_id=context.run_id, strategy=run.name, instruments=list(run.config.run.symbols))
    began = time.perf_counter()
    wired = wire(run, folder.partial)
    status, error = FAILED, None
    try:
        with stop:
            status = asyncio.run(drive(run, wired, progress, stop))
        for one in wired.strategies:
            one.host.stop()
        breaks = wired.account.ledger.identity_breaks()
        if wired.parts is not None:
            breaks += attribution_breaks(wired.account.ledger, wired.parts, wired.strategies)
        if breaks:
            raise EngineError("money does not add up: " + "; ".join(breaks))
    except Interrupted as caught:
        status = INTERRUPTED
        diary.warning(caught.message)
    except Exception as caught:
        status, error = FAILED, caught
        diary.error("failed", error=str(caught), traceback=traceback.format_exc())
        wired.bus.abandon()
    wired.log.close()
    sealed = time.perf_counter()
    table_seconds = wired.equity.seconds + wired.exposure.seconds
    table_seconds += wired.part_table.seconds if wired.part_table is not None else 0.0
    run_seconds = sealed - began - table_seconds
    try:
        tables = _close_tables(run, wired, folder.partial)
    except EngineError as caught:  # the log is whole; what could not be derived from it is said
        status, error, tables = FAILED, error or caught, {}
        diary.error("tables", error=str(caught), traceback=traceback.format_exc())
    table_seconds += time.perf_counter() - sealed
    warnings = run.warnings + warnings_after(run, wired)
    details = run_record(run, wired, context, status, error, tables, warnings)
    measured = time.perf_counter()
    metrics, tried, unmeasured = _measured(run, details, folder, diary)
    if unmeasured is not None:
        status, error = FAILED, error or unmeasured
        details |= {"status": status, "error": str(error)}
    details["timings"] = {
        "run_s": round(run_seconds, 6),
        "tables_s": round(table_seconds, 6),
        "metrics_s": round(time.perf_counter() - measured, 6),
    }
    details["metrics"] = digest_of(folder.write_json("metrics.json", metrics))
    folder.write_json("run.json", details)
    for warning in warnings:
        diary.warning(warning)
    diary.info("end", status=status, digest=wired.log.digest, seconds=round(time.perf_counter() - began, 3))
    path = folder.seal()
    if tried is not None:
        warnings += _remembered(folder, context.run_id, tried)
    return RunResult(context.run_id, path, status, wired.log.digest, metrics, warnings, details, error)


def _measured(
    run: PreparedRun, details: dict[str, Any], folder: RunFolder, diary: Any
) -> tuple[dict[str, Any], Try | None, Exception | None]:
    """Return the metrics, what the ledger of trials shall remember, and why there is neither.

    The run itself is whole: that nobody can measure it makes it a failed one, not a lost one.
    """
    details["trials"] = tried = None
    if not details["tables"]:
        return {}, None, None
    try:
        if details["status"] == COMPLETE:
            tried = try_of(run, details, folder.partial)
            details["trials"] = known_trials(folder.ledger, tried)
        return metrics_from(details, folder.partial), tried, None
    except Exception as caught:
        diary.error("metrics", error=str(caught), traceback=traceback.format_exc())
        details["trials"] = None
        return {}, None, caught


def _remembered(folder: RunFolder, run_id: str, tried: Try) -> list[str]:
    """Append a trial to the ledger; return what people must know if that failed."""
    try:
        remember(folder.ledger, run_id, tried)
    except StorageError as caught:
        return [f"{caught.message}: later runs do not know of this one"]
    return []


def _close_tables(run: PreparedRun, wired: Wired, folder: Path) -> dict[str, str]:
    """Write what the tables still wait for; return their digests."""
    hand_on_rows(wired)
    equity = wired.equity.close()
    times, values = equity_rows(folder)
    return {
        "equity": equity,
        "exposure": wired.exposure.close(),
        "wallets": wired.wallets.close(),
        **_close_parts(wired),
        "benchmark": wired.history.write(int(values[0])),
        **wired.recorder.close(wired.board.now),
        "trades": wired.trades.write(look_up(run, wired.trades, wired.history, times, values)),
    }


def hand_on_rows(wired: Wired) -> None:
    """Let the rows come out that still wait, of equity and of balances."""
    wired.clock.hand_on_marks()  # of a window that was not finished
    wired.bus.drain()
    wired.account.curve.close()
    if wired.account.wallets is not None:
        wired.account.wallets.close(wired.board.now)


def _close_parts(wired: Wired) -> dict[str, str]:
    if wired.parts is None or wired.part_table is None:
        return {}
    wired.parts.close()
    return {"strategies": wired.part_table.close()}


async def drive(run: PreparedRun, wired: Wired, progress: Progress | None, stop: Stopping) -> str:
    """Run all ticks; return complete or interrupted."""

    def pulse(now: int) -> bool:
        if progress is not None:
            progress(now, wired)
        return not stop.asked

    deposit(wired, run)
    await wired.bus.settle()
    for one in wired.strategies:
        one.host.start()
    await wired.bus.settle()
    with rarely_collected():
        finished = await wired.clock.run(pulse)
    if progress is not None:
        progress(wired.board.now, wired)
    return COMPLETE if finished else INTERRUPTED


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
