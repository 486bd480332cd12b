"""Which column of a source is which column of ours: by the user's mapping, by known names, or a question with an
example.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from backtester.core.errors import DataError, UsageError
from backtester.data.downloader.archive_columns import other_names, source_columns
from backtester.data.schemas import Schema

SYMBOL_NAMES: Final = frozenset({"symbol", "ticker", "pair", "instrument"})


def plain_name(name: str) -> str:
    """Return a column name in lower case with underscores for all that is not a letter or digit."""
    return re.sub(r"\W+", "_", name.strip().lower()).strip("_")


def parse_mapping(text: str, schema: Schema) -> dict[str, str]:
    """Return the mapping that a user writes as `open_time=date,open=o`: our column to the source's name or number.

    Raises:
        UsageError: a part is not of that form, or names a column that the kind does not have.
    """
    mapping: dict[str, str] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        ours, equals, theirs = part.partition("=")
        ours = ours.strip()
        if not equals or not theirs.strip() or ours not in schema.names:
            raise UsageError(
                f"--columns: {part!r} is not COLUMN=NAME with one of our columns",
                hint=f"our columns: {' '.join(schema.names)}; for example --columns open_time=date,volume=Volume",
            )
        mapping[ours] = theirs.strip()
    return mapping


def match_columns(name: str, header: Sequence[str], mapping: Mapping[str, str], schema: Schema) -> dict[str, int]:
    """Return, for each of our columns that the source has, its position in the header.

    Raises:
        DataError: a required column is missing or could be several; the message lists the columns and gives an example.
    """
    plain = [plain_name(column) for column in header]
    ours = all(column.nullable or column.name in (*plain, *mapping) for column in schema.columns)
    found: dict[str, int] = {}
    unclear: dict[str, list[str]] = {}
    for column in schema.columns if ours else source_columns(schema):
        if column.name in mapping:
            found[column.name] = _mapped(name, header, column.name, mapping[column.name])
            continue
        exact = [at for at, text in enumerate(plain) if text == column.name]
        matching = exact or [at for at, text in enumerate(plain) if text in other_names(schema.kind, column.name)]
        if len(matching) == 1:
            found[column.name] = matching[0]
        elif not column.nullable:
            unclear[column.name] = [header[at] for at in matching]
    if unclear:
        parts = [f"{ours} ({' or '.join(them) + '?' if them else 'not found'})" for ours, them in unclear.items()]
        example = ",".join(f"{ours}={them[0] if them else 'NAME'}" for ours, them in unclear.items())
        raise DataError(
            f"{name}: cannot tell which column is {', '.join(parts)}; it has: {', '.join(header)}",
            hint=f"say it: --columns '{example}'",
        )
    return found


def _mapped(name: str, header: Sequence[str], ours: str, theirs: str) -> int:
    exact = [at for at, text in enumerate(header) if text.strip() == theirs]
    matching = exact or [at for at, text in enumerate(header) if plain_name(text) == plain_name(theirs)]
    if len(matching) == 1:
        return matching[0]
    if not matching and theirs.isdecimal() and 1 <= int(theirs) <= len(header):
        return int(theirs) - 1
    trouble = "is there more than once" if matching else "is not there"
    raise DataError(
        f"{name}: --columns {ours}={theirs}: that column {trouble}; it has: {', '.join(header)}",
        hint="give a name from the list, or a column's number from 1",
    )
