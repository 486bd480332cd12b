"""The tables of a run as Polars frames."""

from pathlib import Path
from typing import Any, Final

import polars as pl

from backtester.audit.reader import read_log
from backtester.core.errors import StorageError, UsageError

TABLES: Final = ("trades", "fills", "orders", "equity", "exposure", "wallets", "benchmark")


def table(folder: Path, name: str, *, exact: bool = True) -> pl.DataFrame:
    """Return a table of a run; times are UTC. exact: money, prices and quantities as decimals, else as floats.

    Raises:
        UsageError: runs have no such table, or this one does not.
        StorageError: it cannot be read.
    """
    path = folder / f"{name}.parquet"
    there = sorted(file.stem for file in folder.glob("*.parquet"))
    if name not in there:
        raise UsageError(f"{folder.name} has no table {name!r}", hint=f"it has: {', '.join(there)}")
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None
    return frame if exact else frame.with_columns(pl.selectors.decimal().cast(pl.Float64))


def log_frame(path: Path, topics: tuple[str, ...]) -> pl.DataFrame:
    """Return the lines of a log, in order, as a frame; the chain is checked on the way.

    The columns are `seq`, `tick` and `topic`, and for one topic the fields of its events as they stand in the log:
    decimals are text, times UTC µs. For several, or all, `event` holds each event as JSON text.

    Raises:
        UsageError: there is no log, or no such topic.
        CheckFailed: the log is broken.
    """
    import msgspec

    from backtester.core.topics import ALL_TOPICS

    known = sorted(topic.name for topic in ALL_TOPICS if topic.logged)
    for topic in topics:
        if topic not in known:
            raise UsageError(f"the log has no topic {topic!r}", hint=f"topics: {', '.join(known)}")
    heads: dict[str, list[Any]] = {"seq": [], "tick": [], "topic": []}
    events: list[dict[str, Any]] = []
    for line in read_log(path, torn_end_allowed=not path.with_name("run.json").exists()):
        if topics and line.topic not in topics:
            continue
        for column, value in zip(heads.values(), (line.seq, line.tick, line.topic), strict=True):
            column.append(value)
        events.append(line.event)
    types: dict[str, Any] = {"seq": pl.Int64, "tick": pl.Datetime("us", "UTC"), "topic": pl.String}
    head = pl.DataFrame(heads, schema=types)
    if len(topics) != 1:
        texts = [msgspec.json.encode(event).decode() for event in events]
        return head.with_columns(pl.Series("event", texts, dtype=pl.String))
    if not events:
        return head
    fields = pl.DataFrame(events, infer_schema_length=None, strict=False)
    return head.hstack(fields.rename({name: f"event_{name}" for name in head.columns if name in fields.columns}))
