"""Pages of an exchange's REST interface: JSON into the table that its archive would have held."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, Final

from backtester.core.errors import DataError
from backtester.data.downloader.archive_names import is_page
from backtester.data.downloader.unpacking import unpack
from backtester.data.schemas import FUNDING_RATE, KLINES

_OBJECTS: Final[dict[str, tuple[str, ...]]] = {
    KLINES.kind: (
        "openTime",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "closeTime",
        "amount",
        "tradeCount",
        "takerVolume",
        "takerAmount",
    ),
    FUNDING_RATE.kind: ("fundingTime", "fundingIntervalHours", "fundingRate"),
}
_MAY_LACK: Final = frozenset({"fundingIntervalHours"})


def json_rows(name: str, raw: bytes, kind: str) -> list[list[str]]:
    """Return the rows of a page, each value as the text that it was, in the archive's order of columns.

    Raises:
        DataError: it is no JSON, no list of rows, or holds rows of several symbols.
    """
    try:
        page = json.loads(raw, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        what = "a web page" if raw.lstrip().startswith(b"<") else f"no JSON ({error})"
        raise DataError(f"{name} is {what}", hint="check the address, or fetch the page again") from error
    if not isinstance(page, list):
        raise DataError(f"{name} is not a list of rows but {json.dumps(page)[:80]}", hint="it is no page of candles")
    if page and all(isinstance(row, dict) for row in page):
        return _rows_of_objects(name, page, kind)
    if not all(isinstance(row, list) for row in page):
        raise DataError(f"{name} is not a list of rows: each row must be a list", hint="it is no page of candles")
    return [[_text(value) for value in row] for row in page]


def csv_of_rows(rows: Sequence[Sequence[str]]) -> bytes:
    """Return rows as CSV without a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def table_of(name: str, data: bytes, kind: str) -> bytes:
    """Return the table in a file's bytes as it is parsed: Parquet as it is, a page of JSON as CSV, else the CSV.

    Raises:
        DataError: the file is damaged, or is no table.
    """
    if name.lower().endswith(".parquet"):
        return data
    table = unpack(name, data)
    return csv_of_rows(json_rows(name, table, kind)) if is_page(name) else table


def _rows_of_objects(name: str, page: list[dict[str, Any]], kind: str) -> list[list[str]]:
    fields = _OBJECTS.get(kind)
    if fields is None:
        raise DataError(f"{name} holds objects, and a page of {kind} holds lists", hint="say the right --kind")
    symbols = sorted({str(row["symbol"]) for row in page if "symbol" in row})
    if len(symbols) > 1:
        raise DataError(f"{name} holds {len(symbols)} symbols: {', '.join(symbols[:5])}", hint="split it")
    lacking = [field for field in fields if field not in _MAY_LACK and any(field not in row for row in page)]
    if lacking:
        raise DataError(f"{name}: rows of {kind} lack {', '.join(lacking)}", hint="say the right --kind")
    return [[_text(row.get(field)) for field in fields] for row in page]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
