"""A venue's answer as bytes, and its fields: each is what it should be, or the message says where it is not."""

import gzip
import io
import zlib
from decimal import Decimal
from typing import Any, Final

import msgspec

from backtester.core.errors import DataError
from backtester.core.numbers import EXACT, decimal_of

_MOST_BYTES: Final = 512 << 20
_LARGEST: Final = 10**14  # an epoch in ms of the year 5138
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)


def read_json(content: bytes, name: str) -> Any:
    """Return the JSON of an answer, plain or gzipped; numbers with a fraction are exact decimals.

    Raises:
        DataError: it is empty, no JSON, an HTML page, or too large.
    """
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(_MOST_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{name} is a damaged gzip file: {error}") from None
    if len(content) > _MOST_BYTES:
        raise DataError(f"{name} has more than {_MOST_BYTES >> 20} MB: no answer of the venue is so large")
    if not content.strip():
        raise DataError(f"{name} is empty", hint="fetch the answer again")
    if content.lstrip().startswith(b"<"):
        raise DataError(
            f"{name} is an HTML or XML page, not JSON", hint="check the address that it was saved from, and fetch again"
        )
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{name} is not JSON: {error}", hint="fetch the answer again") from None


class Fields:
    """A JSON object of an answer. Every method raises DataError when the field is not what it should be."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise DataError(f"{where} is {_shown(content)}, not an object")
        self._content = content
        self.where = where

    def has(self, name: str) -> bool:
        """Say whether a field is there and not null."""
        return self._content.get(name) is not None

    def text(self, name: str) -> str:
        """Return a text that is not empty."""
        value = self._content.get(name)
        if not isinstance(value, str) or not value:
            raise self._wrong(name, "a text")
        return value

    def text_if_there(self, name: str) -> str:
        """Return a text, empty when the field is absent or empty."""
        return self.text(name) if self._content.get(name) not in (None, "") else ""

    def number(self, name: str, *, signed: bool = False) -> Decimal:
        """Return an exact number, >= 0 unless `signed`, without padding zeros."""
        value = self._content.get(name)
        try:
            if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
                raise ValueError
            found = decimal_of(value)
            if found < 0 and not signed:
                raise ValueError
        except ValueError:
            raise self._wrong(name, "a number" if signed else "a number >= 0") from None
        return Decimal(f"{found.normalize(EXACT):f}") if found else Decimal(0)

    def number_if_there(self, name: str) -> Decimal | None:
        """Return an exact number >= 0, or None when the field is absent."""
        return self.number(name) if self.has(name) else None

    def integer(self, name: str, *, least: int = 0) -> int:
        """Return a whole number >= least, and small enough to be one of the venue's."""
        value = self._content.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
            raise self._wrong(name, f"a whole number >= {least}")
        return value

    def time(self, name: str) -> int:
        """Return an epoch in ms as UTC µs."""
        return self.integer(name) * 1000

    def flag(self, name: str) -> bool:
        """Return a boolean."""
        value = self._content.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def items(self, name: str) -> list[object]:
        """Return a list that is not empty."""
        value = self._content.get(name)
        if not isinstance(value, list) or not value:
            raise self._wrong(name, "a list with something in it")
        return value

    def _wrong(self, name: str, allowed: str) -> DataError:
        if name not in self._content:
            return DataError(f"{self.where}: {name} is missing", hint=_WITHOUT)
        return DataError(f"{self.where}: {name} is {_shown(self._content[name])}, not {allowed}", hint=_WITHOUT)


_WITHOUT: Final = "--symbols imports only the symbols named, and reads no others"


def _shown(value: object) -> str:
    text = repr(str(value) if isinstance(value, Decimal) else value)
    return text if len(text) <= 60 else text[:57] + "..."
