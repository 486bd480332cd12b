"""Plain files for others in a sealed run's folder: report.txt, trades.csv, equity.csv. No digest depends on them."""

import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from backtester.core.errors import CheckFailed, StorageError, UsageError
from backtester.engine.check.certificate import UNPROVEN, read_certificate
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.replay import read_run_json
from backtester.report.screen import Line, screen, screen_text

TEXT: Final = "report.txt"
CSV_TABLES: Final = ("trades", "equity")
_STEERING: Final = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"
_FORMULA: Final = r"^([=+\-@])"


class RunFiles(NamedTuple):
    """What a sealed run says of itself: run.json, metrics.json, config.toml, and the verdict of its certificate."""

    details: dict[str, Any]
    metrics: dict[str, Any]
    config: dict[str, Any]
    verdict: str


def read_run_files(folder: Path) -> RunFiles:
    """Return what a sealed run says of itself.

    Raises:
        UsageError: it was never sealed, or a file cannot be read.
    """
    details = read_run_json(folder)
    if details is None:
        raise UsageError(f"{folder} was never sealed: it is not a result", hint=f"bt replay {folder} reads its log")
    try:
        metrics = msgspec.json.decode((folder / "metrics.json").read_bytes())
        config = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise UsageError(f"{folder} cannot be read: {error}", hint=f"bt replay {folder} says what is wrong") from None
    try:
        certificate = read_certificate(folder, details)
    except CheckFailed as error:
        return RunFiles(details, metrics, config, f"its certificate does not count: {error.message}")
    return RunFiles(details, metrics, config, UNPROVEN if certificate is None else str(certificate["verdict"]))


def run_screen(folder: Path) -> list[Line]:
    """Return the screen of a sealed run; raises as `read_run_files`."""
    return screen(*read_run_files(folder))


def write_text(folder: Path) -> Path:
    """Write report.txt: the screen, and where the run is.

    Raises:
        UsageError: as `read_run_files`.
        StorageError: it cannot be written.
    """
    files = read_run_files(folder)
    digest = f"log {files.details['log']['digest']}, {files.details['log']['lines']} lines\n"
    return _written(folder / TEXT, f"{screen_text(screen(*files))}run {folder.name}\n{digest}".encode())


def write_csv(folder: Path) -> list[Path]:
    """Write trades.csv and equity.csv: the tables with their columns, times in ISO 8601 (UTC), money exact.

    In texts control characters are U+FFFD, and what a spreadsheet would take for a formula begins with an apostrophe.

    Raises:
        UsageError, StorageError: a table cannot be read, or a file cannot be written.
    """
    import polars as pl

    found = []
    for name in CSV_TABLES:
        try:
            table = pl.read_parquet(folder / f"{name}.parquet")
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UsageError(f"{folder / name}.parquet cannot be read: {error}") from None
        texts = pl.col(pl.String, pl.Categorical).cast(pl.String).str.replace_all(_STEERING, "\ufffd")
        table = table.with_columns(texts.str.replace(_FORMULA, "'$1"))
        text = table.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")
        found.append(_written(folder / f"{name}.csv", text.encode()))
    return found


def _written(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None
    return path
