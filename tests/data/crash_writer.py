"""Kill a writer at every step, and at many bytes of the manifest, and look at the lake each time.

Run as a script: prints one JSON object, {"points": n, "before": n, "after": n, "part": n, "wrong": [...]}; `part` is
when some of several partitions are before and others after, each as a whole. Each kill happens in a forked child, by
os._exit inside the system call, so nothing is flushed, unlocked or cleaned up.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from backtester.core.time import MINUTE, parse_time
from backtester.data.downloader.rows import CleanRows, Series, rows_of
from backtester.data.downloader.writing import SeriesWriter
from backtester.data.lake import Lake
from backtester.data.manifest_writer import ManifestWriter
from backtester.data.partition import Source
from backtester.data.schemas import KLINES

SERIES = Series("spot", "klines", "BTCUSDT", "1m")
STEPS = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "ftruncate")


def write(root: Path, rows: int, price: float) -> None:
    prices = np.full(rows, price)
    columns: dict[str, Any] = {column.name: column.unknown(rows) for column in KLINES.columns}
    columns.update(open_time=parse_time("2024-01-01") + np.arange(rows, dtype=np.int64) * MINUTE, volume=prices)
    columns.update(open=prices, high=prices, low=prices, close=prices)
    with ManifestWriter(root) as writer:
        one = SeriesWriter(writer, SERIES, replace=True)
        one.add(CleanRows(rows_of(KLINES, columns), {}, Source(f"{price}.csv")))
        one.stage()
        one.commit()


def remove(root: Path) -> None:
    with ManifestWriter(root) as writer:
        writer.remove(list(writer.partitions))


def write_months(root: Path) -> None:
    """Put several partitions in place together, of which one replaces another."""
    rows = 3
    with ManifestWriter(root) as writer:
        one = SeriesWriter(writer, SERIES, replace=True)
        for month in ("2024-01", "2024-02", "2024-03"):
            columns: dict[str, Any] = {column.name: column.unknown(rows) for column in KLINES.columns}
            columns.update({name: np.full(rows, 3.0) for name in ("open", "high", "low", "close", "volume")})
            columns["open_time"] = parse_time(f"{month}-01") + np.arange(rows, dtype=np.int64) * MINUTE
            one.add(CleanRows(rows_of(KLINES, columns), {}, Source("months.csv")))
        one.stage()
        one.commit()


ACTIONS = {
    "several together": (lambda root: write(root, 10, 1.0), write_months),
    "first write": (lambda root: root.mkdir(), lambda root: write(root, 10, 1.0)),
    "replacement": (lambda root: write(root, 10, 1.0), lambda root: write(root, 12, 2.0)),
    "removal": (lambda root: write(root, 10, 1.0), remove),
}


def state(root: Path) -> dict[str, str]:
    return {partition.path: partition.content for partition in Lake(root).all_partitions()}


def arm(events: list[tuple[str, int]] | None, kill_at: tuple[int, int] | None) -> None:
    """Count steps and writes; at step (n, bytes) write that many bytes and die."""
    step = -1
    real_write = os.write

    def counted(name: str, call: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal step
            step += 1
            if events is not None:
                events.append((name, 0))
            if kill_at is not None and step == kill_at[0]:
                os._exit(9)
            return call(*args, **kwargs)

        return run

    def write_some(fd: int, data: Any) -> int:
        nonlocal step
        step += 1
        if events is not None:
            events.append(("write", len(data)))
        if kill_at is not None and step == kill_at[0]:
            real_write(fd, bytes(data)[: kill_at[1]])
            os._exit(9)
        return real_write(fd, data)

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))
    os.write = write_some  # type: ignore[assignment]


def in_child(action: Any, root: Path, kill_at: tuple[int, int] | None) -> tuple[int, list[tuple[str, int]]]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        events: list[tuple[str, int]] = []
        say = os.write
        arm(events, kill_at)
        action(root)
        say(writer, json.dumps(events).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), json.loads(told) if told else []


def points(events: list[tuple[str, int]], stride: int) -> list[tuple[int, int]]:
    found = []
    for step, (name, length) in enumerate(events):
        found.append((step, 0))
        if name == "write":
            found += [(step, cut) for cut in sorted({1, *range(stride, length, stride), length - 1, length})]
    return found


def check(root: Path, before: dict[str, str], after: dict[str, str]) -> tuple[str, str]:
    """Return which state the lake is in, and what is wrong with it, if anything."""
    seen = state(root)
    for path in {*seen, *before, *after}:
        if seen.get(path) not in (before.get(path), after.get(path)):
            return "between", f"saw {seen}"
    if seen not in (before, after) and len({*before, *after}) == 1:
        return "between", f"saw {seen}"
    if problems := Lake(root).verify(full=True):
        return "between", problems[0].text
    with ManifestWriter(root) as writer:
        if {p.path: p.content for p in writer.partitions.values()} != seen:
            return "between", "the next writer sees another lake than the reader before it"
    if state(root) != seen or Lake(root).verify(full=True) or Lake(root).unlisted():
        return "between", "settling changed the lake, or left files behind"
    if (root / ".tmp").exists():
        return "between", "temporary files are left"
    return "after" if seen == after else "before" if seen == before else "part", ""


def main(folder: Path, stride: int) -> None:
    result: dict[str, Any] = {"points": 0, "before": 0, "after": 0, "part": 0, "wrong": []}
    for title, (prepare, action) in ACTIONS.items():
        fresh, root = folder / "fresh", folder / "lake"
        shutil.rmtree(fresh, ignore_errors=True)
        prepare(fresh)
        before = state(fresh)
        shutil.copytree(fresh, root)
        code, events = in_child(action, root, None)
        assert code == 0, title
        after = state(root)
        assert before != after, title
        for point in points(events, stride):
            shutil.rmtree(root)
            shutil.copytree(fresh, root)
            code, _ = in_child(action, root, point)
            where, why = check(root, before, after)
            if code != 9 or why:
                result["wrong"].append(f"{title}, {events[point[0]][0]} {point}: {where} {why} (exit {code})")
            else:
                result[where] += 1
                action(root)
                if state(root) != after:
                    result["wrong"].append(f"{title}, {point}: doing it again does not help")
            result["points"] += 1
        shutil.rmtree(root)
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
