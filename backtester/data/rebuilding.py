"""Recreating the manifest from the files of the lake."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from backtester.core.errors import DataError
from backtester.data.describing import describe
from backtester.data.durable import file_sha256, storing, sync_file, sync_folder
from backtester.data.manifest import (
    MANIFEST_NAME,
    Commit,
    Journal,
    Noted,
    Pending,
    decode_line,
    encode,
    read_manifest_bytes,
)
from backtester.data.manifest_writer import lake_lock
from backtester.data.ordering import rises
from backtester.data.parquet import read_facts, read_partition_file
from backtester.data.partition import Outage, Partition
from backtester.data.schemas import schema_of
from backtester.data.verifying import unlisted_files


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """kept: records whose file is unchanged. recreated: made anew from the file. left_out: path and reason."""

    kept: list[Partition]
    recreated: list[Partition]
    left_out: list[tuple[str, str]]


def rebuild_manifest(root: Path) -> RebuildReport:
    """Write a new manifest from the partition files below the lake, in one step, and return what came of each file.

    A record whose file has the recorded SHA-256 is kept; others are made from the file's rows and its own metadata.
    Files that are no partitions, or hold rows that break the promises of the lake, are left out and stay where they
    are.

    Raises:
        StorageError: the lake cannot be written, or another process is writing.
        DataError: the lake does not exist.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a lake", hint=f"bt data sample --data {root}, or bt data import FILES")
    with lake_lock(root):
        journal = _tolerant_fold(read_manifest_bytes(root))
        known = {**journal.partitions, **journal.pending}
        report = RebuildReport([], [], [])
        for path in unlisted_files(root, journal.removed):
            try:
                record = known.get(path)
                if record is not None and record.sha256 == file_sha256(root / path):
                    report.kept.append(record)
                else:
                    report.recreated.append(_recreated(root, path))
            except DataError as error:
                report.left_out.append((path, error.message))
        _write(root, sorted([*report.kept, *report.recreated], key=lambda p: p.path), journal.outages)
        with storing(root):
            for path in journal.removed:
                (root / path).unlink(missing_ok=True)
    return report


def _tolerant_fold(text: bytes) -> Journal:
    """Fold the lines that can be read; the damaged ones are why somebody rebuilds."""
    journal = Journal()
    for raw in text.split(b"\n"):
        try:
            journal.apply(decode_line(raw))
        except msgspec.DecodeError:
            continue
    return journal


def _recreated(root: Path, path: str) -> Partition:
    file = root / path
    facts = read_facts(file)
    schema = schema_of(facts.kind)
    columns = read_partition_file(file, schema)
    if not len(columns[schema.key]) or not rises([columns[name] for name in schema.keys]):
        raise DataError(f"{file} is empty, or its rows are not sorted and unique")
    partition = describe(file, columns, facts, file.stat().st_mtime_ns // 1000)
    if partition.path != path:
        raise DataError(f"{file} belongs at {partition.path}")
    return partition


def _write(root: Path, partitions: list[Partition], outages: list[Outage]) -> None:
    temporary = root / f"{MANIFEST_NAME}.new"
    lines = [encode(line) for p in partitions for line in (Pending(p), Commit(p.path, p.sha256))]
    lines += [encode(Noted(outage)) for outage in outages]
    with storing(temporary):
        temporary.write_bytes(b"".join(line + b"\n" for line in lines))
        sync_file(temporary)
        temporary.replace(root / MANIFEST_NAME)
        sync_folder(root)
