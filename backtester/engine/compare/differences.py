"""What was different about runs before they began: config, data, code."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from backtester.engine.compare.sides import ComparedRun

_ABSENT = "-"


def config_differences(runs: list[ComparedRun]) -> list[dict[str, Any]]:
    """Return the config keys that are not the same in all runs, each with the values, in order of the keys."""
    flat = [_flat(run.files.config) for run in runs]
    keys = sorted(set().union(*flat))
    rows = [{"key": key, "values": [one.get(key, _ABSENT) for one in flat]} for key in keys]
    return [row for row in rows if len({str(value) for value in row["values"]}) > 1]


def data_differences(runs: list[ComparedRun]) -> list[dict[str, Any]]:
    """Return the series of which the runs did not read the same: how many files, and how many differ in content from
    those of the first run.
    """
    read: list[dict[str, dict[str, str]]] = []
    for run in runs:
        series: dict[str, dict[str, str]] = {}
        for one in run.record.get("data", []):
            series.setdefault(_series(one["path"]), {})[one["path"]] = one["content"]
        read.append(series)
    rows = []
    for name in sorted(set().union(*read)):
        files = [one.get(name, {}) for one in read]
        if any(other != files[0] for other in files[1:]):
            changed = [sum(files[0].get(path, content) != content for path, content in one.items()) for one in files]
            rows.append({"series": name, "files": [len(one) for one in files], "changed": changed})
    return rows


def code_differences(runs: list[ComparedRun]) -> list[dict[str, Any]]:
    """Return which digests of engine and strategy, and which versions, are not the same in all runs."""
    flat = []
    for run in runs:
        record = run.record
        own = {"engine": record.get("engine_digest", _ABSENT), "strategy": run.strategy}
        own |= {f"strategy {name}": digest for name, digest in record["strategy"].get("modules", {}).items()}
        own |= {f"version of {name}": version for name, version in record.get("versions", {}).items()}
        own["git"] = record.get("context", {}).get("git_sha") or _ABSENT
        flat.append(own)
    rows = [{"what": key, "values": [one.get(key, _ABSENT) for one in flat]} for key in sorted(set().union(*flat))]
    return [row for row in rows if len(set(row["values"])) > 1]


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found |= _flat(value, f"{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for place, item in enumerate(value):
                found |= _flat(item, f"{name}[{place}].")
        else:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """Return a number that the config has as text in its shortest form: 1.0 is 1."""
    try:
        return f"{Decimal(value).normalize():f}" if isinstance(value, str) else value
    except ArithmeticError:
        return value


def _series(path: str) -> str:
    """Return the folder of a series: all before the year."""
    parts = Path(path).parts
    return "/".join(part for part in parts[:-1] if not part.startswith("year="))
