"""A sweep's folder: what is done is on disk at once, so that neither Ctrl-C nor a crash loses it."""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from backtester.core.errors import StorageError, UsageError
from backtester.core.numbers import MONEY_EXPONENT, MONEY_SCALE
from backtester.engine.columns import MONEY_TYPE, decimal_column
from backtester.search.grid import Axis
from backtester.search.outcome import Outcome

SWEEP, RESULTS, HEATMAP = "sweep.json", "results.parquet", "heatmap.png"
_DONE, _LOCK = "done.jsonl", "sweep.lock"
_MONEY: Final = ("final_equity", "fees", "funding")
_TEXTS: Final = ("status", "why", "engine", "bail")
_SHARES: Final = (
    "total_return", "max_drawdown", "sharpe", "sharpe_day", "skew", "kurtosis", "win_rate", "profit_factor",
)  # fmt: skip
_COUNTS: Final = ("n_days", "n_trades", "n_open", "n_fills")


def new_sweep_id(strategy: str) -> str:
    """Return sweep-<UTC time>-<strategy>-<6 hex>. No result depends on it."""
    return f"sweep-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{strategy}-{secrets.token_hex(3)}"


class SweepFolder:
    """The folder of a sweep that goes on; one process at a time writes it."""

    def __init__(self, path: Path) -> None:
        """Open a folder, or make it.

        Raises:
            StorageError: it cannot be written.
            UsageError: another process writes it.
        """
        self.path = path.absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.path / _LOCK)
            self._lock.acquire(timeout=0)
            self._forget_torn_line()
            self._file: IO[bytes] = (self.path / _DONE).open("ab")
        except Timeout:
            raise UsageError(f"the sweep {path} is going on in another process") from None
        except OSError as error:
            raise _cannot_write(path, error) from None

    def _forget_torn_line(self) -> None:
        """Cut off what a killed process had not finished to write."""
        path = self.path / _DONE
        if path.exists():
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                path.write_bytes(whole)

    def add(self, outcome: Outcome) -> None:
        """Note what a combination came to."""
        try:
            self._file.write(msgspec.json.encode(outcome) + b"\n")
            self._file.flush()
        except OSError as error:
            raise _cannot_write(self.path, error) from None

    def done(self) -> list[Outcome]:
        """Return what was noted, by number."""
        decode = msgspec.json.Decoder(Outcome).decode
        found = {one.number: one for one in map(decode, (self.path / _DONE).read_bytes().splitlines())}
        return [found[number] for number in sorted(found)]

    def write_record(self, record: dict[str, Any]) -> None:
        """Write sweep.json, whole or not at all."""
        try:
            fresh = self.path / f"{SWEEP}.new"
            fresh.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
            fresh.rename(self.path / SWEEP)
        except OSError as error:
            raise _cannot_write(self.path, error) from None

    def write_results(self, axes: Sequence[Axis], outcomes: Sequence[Outcome]) -> None:
        """Write results.parquet: a row for each combination that is done, by number; a column for each axis."""
        try:
            pq.write_table(results_table(axes, outcomes), self.path / RESULTS, compression="zstd")
        except OSError as error:
            raise _cannot_write(self.path, error) from None

    def close(self) -> None:
        """Let others open the folder."""
        self._file.close()
        self._lock.release()
        (self.path / _LOCK).unlink(missing_ok=True)


def read_record(path: Path) -> dict[str, Any]:
    """Return a sweep's sweep.json.

    Raises:
        UsageError: there is no such sweep.
    """
    try:
        record: dict[str, Any] = msgspec.json.decode((path / SWEEP).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path} is not a sweep's folder: it has no {SWEEP}", hint="bt sweep prints it") from None
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(f"{path / SWEEP} cannot be read: {error}") from None
    return record


def results_table(axes: Sequence[Axis], outcomes: Sequence[Outcome]) -> pa.Table:
    """Return outcomes as a table; parameters are named `param.NAME`."""
    columns: dict[str, pa.Array] = {"number": pa.array([o.number for o in outcomes], pa.int64())}
    for axis in axes:
        columns[f"param.{axis.name}"] = _values([o.values[axis.name] for o in outcomes])
    columns |= {name: pa.array([getattr(o, name) for o in outcomes], pa.string()) for name in _TEXTS}
    for name in _MONEY:
        units = [getattr(o, f"{name}_units") for o in outcomes]
        columns[name] = decimal_column(units, MONEY_EXPONENT, MONEY_TYPE)
    columns |= {name: pa.array([getattr(o, name) for o in outcomes], pa.float64()) for name in _SHARES}
    columns |= {name: pa.array([getattr(o, name) for o in outcomes], pa.int64()) for name in _COUNTS}
    columns["fills_digest"] = pa.array([o.fills_digest for o in outcomes], pa.string())
    return pa.table(columns)


def _values(values: list[Any]) -> pa.Array:
    """Return an axis as a column: numbers where all are, else text."""
    if values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        kind = pa.int64() if all(isinstance(v, int) for v in values) else pa.float64()
        return pa.array(values, kind)
    return pa.array([str(v).lower() if isinstance(v, bool) else str(v) for v in values], pa.string())


def money_of(units: int) -> float:
    """Return money for display."""
    return units / MONEY_SCALE


def _cannot_write(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path} cannot be written: {error.strerror}", hint="choose another folder with --runs DIR")
