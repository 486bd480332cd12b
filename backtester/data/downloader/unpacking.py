"""From a file's bytes to the bytes of its table: zip with one CSV, gzip, plain CSV or Parquet; checksums compared."""

import gzip
import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from pathlib import Path, PurePath
from typing import IO, Final

from backtester.core.errors import DataError
from backtester.data.partition import Source

MOST_BYTES: Final = 4 * 1024**3  # a month of 1s candles is a third of a GiB; more is no candle file
MOST_RATIO: Final = 250  # tables of real markets shrink to a tenth, flat ones to a hundredth
_HARMLESS: Final = 64 << 20
_CHUNK: Final = 1 << 20
# What the standard library raises for damaged bytes: offsets that point nowhere are ValueError, other codecs have their
# own errors, a password or a codec that is missing is RuntimeError; a DataError of ours is none of these.
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError, struct.error,
)  # fmt: skip


def read_source(path: Path, address: str) -> tuple[bytes, Source]:
    """Return a file's bytes and where they came from; a `.CHECKSUM` beside the file is compared when there is one.

    Raises:
        DataError: the file cannot be read, or differs from its checksum.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    beside = path.with_name(path.name + ".CHECKSUM")
    try:
        published = beside.read_text(encoding="ascii", errors="replace") if beside.is_file() else None
    except OSError as error:
        raise DataError(f"{beside} cannot be read: {error.strerror}", hint="check its permissions") from error
    return data, checked_source(path.name, data, address, published)


def checked_source(name: str, data: bytes, address: str, published: str | None) -> Source:
    """Return the source record of a file's bytes, compared with the text of its published checksum if there is one.

    Raises:
        DataError: the text is no checksum, or not the one of these bytes.
    """
    sha256 = hashlib.sha256(data).hexdigest()
    if published is None:
        return Source(address, sha256)
    expected = published_sha256(name, published)
    if expected != sha256:
        raise DataError(
            f"{name} does not match its checksum: its SHA-256 is {sha256[:16]}…, {name}.CHECKSUM says {expected[:16]}…",
            hint="the file is damaged or was published anew: fetch both again",
        )
    return Source(address, sha256, expected)


def published_sha256(name: str, text: str) -> str:
    """Return the digest in the text of a `.CHECKSUM`, in lower case.

    Raises:
        DataError: there is none.
    """
    expected = (text.split() or [""])[0].lower()
    if len(expected) != 64 or any(character not in "0123456789abcdef" for character in expected):
        raise DataError(f"{name}.CHECKSUM does not hold a SHA-256", hint="fetch it again, or move it away")
    return expected


def unpack(name: str, data: bytes, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of the table in a file: its one CSV for a zip, the content for gzip, else the bytes themselves.

    Raises:
        DataError: the file is damaged, unpacks to more than `most` bytes, or a zip does not hold exactly the CSV that
        its name promises.
    """
    lower = name.lower()
    try:
        if lower.endswith(".zip"):
            return _unzip(name, data, most)
        if lower.endswith(".gz"):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                return _bounded(name, file, len(data), most)
    except _DAMAGED as error:
        raise DataError(f"{name} is damaged or cut short: {error}", hint="fetch the file again") from error
    return data


def _unzip(name: str, data: bytes, most: int) -> bytes:
    wanted = PurePath(name).stem + ".csv"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = archive.namelist()
        if held != [wanted]:
            listed = ", ".join(held[:5]) + (f", and {len(held) - 5} more" if len(held) > 5 else "")
            raise DataError(
                f"{name} must hold exactly one file, {wanted}; it holds {listed or 'nothing'}",
                hint="unpack it and import the CSV that you mean",
            )
        with archive.open(wanted) as file:
            return _bounded(name, file, len(data), most)


def _bounded(name: str, file: IO[bytes] | gzip.GzipFile, packed: int, most: int) -> bytes:
    parts, total = [], 0
    while chunk := file.read(_CHUNK):
        total += len(chunk)
        if total > most:
            raise DataError(f"{name} unpacks to more than {most} bytes", hint="split it into smaller files")
        if total > _HARMLESS and total > packed * MOST_RATIO:
            raise DataError(
                f"{name} unpacks to more than {MOST_RATIO} times its size: this is no table",
                hint="fetch it again, or leave it out",
            )
        parts.append(chunk)
    return b"".join(parts)
