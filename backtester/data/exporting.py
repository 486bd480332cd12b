"""Out of the lake: the rows of one series as one CSV or Parquet file, from which an import makes the same lake."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from backtester.core.errors import DataError, UsageError
from backtester.data.durable import storing
from backtester.data.lake import Lake
from backtester.data.schemas import schema_of
from backtester.data.series_rows import rows_of


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    path: str
    rows: int
    bytes: int


def export_series(
    lake: Lake, series: tuple[str, str, str, str], target: Path, start: int | None = None, end: int | None = None
) -> ExportReport:
    """Write the rows with start <= time < end of a series to a file; its suffix says the format.

    Columns and names are the lake's; times are UTC µs; an unknown value is empty in CSV and null in Parquet. Memory
    holds one row group. A file that is there is replaced when the new one is whole.

    Raises:
        UsageError: the suffix is not .csv or .parquet.
        DataError: the lake does not have the series, a file is not the recorded one, or no row lies in the range.
        StorageError: the file cannot be written.
    """
    suffix = target.suffix.lower()
    if suffix not in {".csv", ".parquet"}:
        raise UsageError(f"{target} is neither .csv nor .parquet", hint="the suffix says the format")
    schema = schema_of(series[1])
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    rows = 0
    try:
        with storing(part):
            writer: Any = None
            for columns in rows_of(lake, lake.partitions(*series, start, end), start=start, end=end):
                table = schema.to_table(columns)
                if writer is None:
                    writer = (
                        pcsv.CSVWriter(part, schema.arrow)
                        if suffix == ".csv"
                        else pq.ParquetWriter(part, schema.arrow, compression="zstd")
                    )
                writer.write_table(table)
                rows += table.num_rows
            if writer is None:
                raise DataError(f"{series[0]}:{series[2]} has no rows in that range", hint="bt data ls shows ranges")
            writer.close()
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return ExportReport(str(target), rows, target.stat().st_size)
