"""One row per run of a folder of runs, with its headline figures: kept as summary.csv, so that others can read it.

A sealed run does not change any more, so a row that is there is not made again; apart from `check`, which is what a
certificate says that may come later. A row goes when its run does. Nothing is lost with the file.
"""

import csv
import os
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from backtester.engine.check.certificate import CERTIFICATE, UNPROVEN
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.run_folder import sealed_runs

SUMMARY: Final = "summary.csv"
COLUMNS: Final = (
    "run_id", "started", "status", "check", "strategy", "symbols", "timeframe", "start", "end", "seed", "params",
    "currency", "warnings", "digest",
)  # fmt: skip
"""What a row says of every run; behind that stand its figures, by the names in docs/metrics.md."""
_COUNTS: Final = ("seed", "warnings")

Row = dict[str, str]
"""A run by column; a figure that has no value, and one that its run does not know, is an empty text."""


class Summaries(NamedTuple):
    """The rows of a folder of runs, oldest first; unreadable: folders that look like runs and cannot be read."""

    rows: list[Row]
    unreadable: list[Path]

    @property
    def figures(self) -> list[str]:
        """The names of the figures that any of the runs has."""
        return list(dict.fromkeys(name for row in self.rows for name in row if name not in COLUMNS))


def summaries(runs: Path) -> Summaries:
    """Return a row per sealed run of a folder, and bring its summary.csv up to date.

    A folder that cannot be written keeps the summary that it has.
    """
    known = _known(runs / SUMMARY)
    rows, unreadable = [], []
    for folder in sealed_runs(runs):
        row = known.get(folder.name)
        try:
            row = row or summary_of(folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            unreadable.append(folder)
            continue
        rows.append(row | {"check": _verdict(folder)})
    found = Summaries(rows, unreadable)
    if rows or known:
        _write(runs / SUMMARY, csv_text(rows, [*COLUMNS, *found.figures]))
    return found


def note_run(folder: Path) -> None:
    """Put the row of a run that has just been sealed below the others, however many there are.

    Where there is no summary yet, or the run has figures that it does not know, it is made anew. A summary that cannot
    be written costs no run: the next list makes up for it.
    """
    path = folder.parent / SUMMARY
    try:
        with path.open(newline="", encoding="utf-8") as file:
            columns = next(csv.reader(file), [])
        row = summary_of(folder)
        if tuple(columns[: len(COLUMNS)]) == COLUMNS and row.keys() <= set(columns):
            with path.open("a", newline="", encoding="utf-8") as file:
                file.write(csv_text([row], columns).partition("\n")[2])
            return
    except (OSError, ValueError, csv.Error):
        pass
    with suppress(OSError):
        summaries(folder.parent)


def summary_of(folder: Path) -> Row:
    """Return the row of one run.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: its files are not those of a run.
    """
    details = msgspec.json.decode((folder / "run.json").read_bytes())
    metrics = msgspec.json.decode((folder / "metrics.json").read_bytes())
    config = tomllib.loads((folder / CONFIG).read_text(encoding="utf-8"))
    row = {
        "run_id": folder.name,
        "started": _time_of(folder.name),
        "status": details["status"],
        "check": _verdict(folder),
        "strategy": details["strategy"]["name"],
        "symbols": " ".join(config["run"]["symbols"]),
        "timeframe": config["run"]["timeframe"],
        "start": details["range"]["start"],
        "end": details["range"]["end"],
        "seed": str(details["context"]["seed"]),
        "params": msgspec.json.encode(params_of(config)).decode(),
        "currency": config["account"]["currency"],
        "warnings": str(len(details["warnings"])),
        "digest": details["log"]["digest"],
    }
    return row | {name: _text(figure["value"]) for name, figure in figures_of(metrics).items()}


def params_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run's strategy from its config; of several strategies under their ids."""
    if "strategies" in config:
        return {part["id"]: part.get("params", {}) for part in config["strategies"]}
    return dict(config["strategy"].get("params", {}))


def figures_of(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the single figures of a metrics.json, by name, without its tables."""
    return {
        name: entry
        for name, entry in metrics.items()
        if isinstance(entry, dict) and "definition_id" in entry and not isinstance(entry.get("value"), dict | list)
    }


def csv_text(rows: list[Row], columns: list[str]) -> str:
    """Return rows as CSV with a header; what a row lacks is empty."""
    text = StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def number(text: str) -> float | None:
    """Return a figure as a number, None when it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def typed(row: Row) -> dict[str, Any]:
    """Return a row for machines: figures as numbers, parameters as an object; None for a figure without a value.

    Money is exact in metrics.json and in the row, not here.
    """
    found: dict[str, Any] = {name: row[name] for name in COLUMNS}
    found |= {name: int(row[name]) for name in _COUNTS} | {"params": msgspec.json.decode(row["params"])}
    return found | {name: _number_or_text(text) for name, text in row.items() if name not in COLUMNS}


def _number_or_text(text: str) -> float | int | str | None:
    try:
        return int(text)
    except ValueError:
        value = number(text)
    return (text or None) if value is None else value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _time_of(run_id: str) -> str:
    stamp = run_id.partition("-")[0]
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:11]}:{stamp[11:13]}:{stamp[13:]}"


def _verdict(folder: Path) -> str:
    try:
        return str(msgspec.json.decode((folder / CERTIFICATE).read_bytes())["verdict"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return UNPROVEN


def _known(path: Path) -> dict[str, Row]:
    """Return the rows that were kept; none when the file is of another form, so that they are made again."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ())[: len(COLUMNS)] != COLUMNS:
                return {}
            return {row["run_id"]: row for row in reader if None not in row and None not in row.values()}
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}


def _write(path: Path, text: str) -> None:
    """Replace the file when it says something else; two who do so at a time write the same."""
    content = text.encode()
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
