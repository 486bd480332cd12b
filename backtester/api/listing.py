"""`bt.runs`: what runs there are, as a frame."""

from pathlib import Path

import polars as pl

from backtester.api.hints import hinted
from backtester.core.errors import UsageError
from backtester.core.time import parse_time
from backtester.engine.run_folder import RUNS
from backtester.engine.run_summaries import COLUMNS, summaries, typed

_TIMES = ("started", "start", "end")


@hinted
def runs(folder: str | Path = RUNS) -> pl.DataFrame:
    """Return a row per sealed run of a folder, oldest first: what it was, and its figures by name.

    Money is a float here; the exact text is in each run's metrics. Parameters are JSON text.

    Raises:
        UsageError: there is no such folder.
    """
    path = Path(folder)
    if not path.is_dir():
        raise UsageError(
            f"there is no folder {path}", hint="bt.run makes runs in the folder runs, unless told otherwise"
        )
    found = summaries(path)
    rows = [typed(row) | {"params": row["params"]} for row in found.rows]
    frame = pl.DataFrame(rows, schema=[*COLUMNS, *found.figures], infer_schema_length=None, strict=False)
    times = [pl.Series(name, [parse_time(row[name]) for row in rows], pl.Datetime("us", "UTC")) for name in _TIMES]
    return frame.with_columns(times)
