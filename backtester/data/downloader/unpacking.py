"""From a file's bytes to the bytes of its table: zip with one CSV, gzip, plain CSV or Parquet; checksums compared."""

import gzip
import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path, PurePath
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from backtester.core.errors import DataError
from backtester.data.downloader.broken_lines import plain_line_ends
from backtester.data.downloader.hashed_file import unreadable
from backtester.data.downloader.inflating import InflateError, inflated
from backtester.data.partition import Source

MOST_BYTES: Final = 4 * 1024**3  # a month of 1s candles is a third of a GiB; more is no candle file
MOST_RATIO: Final = 250  # tables of real markets shrink to a tenth, flat ones to a hundredth
_HARMLESS: Final = 64 << 20
_CHUNK: Final = 1 << 20
# What the standard library raises for damaged bytes: offsets that point nowhere are ValueError in memory and OSError in
# a file, names that are no text are ValueError.
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, InflateError, NotImplementedError, ValueError, struct.error,
)  # fmt: skip


def read_source(path: Path, address: str) -> tuple[bytes, Source]:
    """Return a file's bytes and where they came from; a `.CHECKSUM` beside the file is compared when there is one.

    Raises:
        DataError: the file cannot be read, or differs from its checksum.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    return data, source_of(path, hashlib.sha256(data).hexdigest(), address)


def source_of(path: Path, sha256: str, address: str) -> Source:
    """Return what `read_source` says about a file with this digest.

    Raises:
        DataError: as `read_source`.
    """
    beside = path.with_name(path.name + ".CHECKSUM")
    try:
        published = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else None
    except OSError as error:
        raise unreadable(beside, error) from error
    if published is None:
        return Source(address, sha256)
    name, expected = path.name, published_sha256(path.name, published)
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
    """Return the bytes of the table in a file; see `unpacked`.

    Raises:
        DataError: as `unpacked`.
    """
    return b"".join(unpacked(name, io.BytesIO(data), len(data), most))


def unpacked(name: str, file: IO[bytes], size: int, most: int = MOST_BYTES) -> Iterator[bytes]:
    """Yield the bytes of the table in an open file: its one CSV for a zip, the content for gzip, else the bytes as they
    are.

    Args:
        size: of the file, in bytes.

    Raises:
        DataError: the file is damaged, unpacks to more than `most` bytes, or a zip does not hold exactly the CSV that
        its name promises.
    """
    lower = name.lower()
    try:
        if lower.endswith(".zip"):
            yield from _unzipped(name, file, size, most)
        elif lower.endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as table:
                yield from _bounded(name, iter(lambda: table.read(_CHUNK), b""), size, most)
        else:
            while chunk := file.read(_CHUNK):
                yield chunk
    except _DAMAGED as error:
        raise DataError(f"{name} is damaged or cut short: {error}", hint="fetch the file again") from error


def lines_of(chunks: Iterable[bytes], wanted: NDArray[np.int64]) -> list[bytes]:
    """Return the lines with these numbers, sorted and from 1, of a text in chunks; empty where it has no such line."""
    found, number, rest = dict.fromkeys(wanted.tolist(), b""), 1, b""
    for chunk in chain(plain_line_ends(chunks), [b"\n"]):
        text = rest + chunk
        count = text.count(b"\n")
        here = wanted[np.searchsorted(wanted, number) : np.searchsorted(wanted, number + count)]
        if len(here):
            lines = text.split(b"\n")
            found.update({line: lines[line - number] for line in here.tolist()})
        number += count
        rest = text[text.rfind(b"\n") + 1 :]
    return list(found.values())


def unpacked_size(name: str, file: IO[bytes], size: int) -> int:
    """Return how many bytes the table in an open file has, as the file itself says; 0 when it says nothing sensible."""
    lower = name.lower()
    try:
        if lower.endswith(".zip"):
            with zipfile.ZipFile(file) as archive:
                return max((entry.file_size for entry in archive.infolist()), default=0)
        if lower.endswith(".gz"):
            file.seek(-min(4, size), io.SEEK_END)
            return int.from_bytes(file.read(4), "little")
    except _DAMAGED:
        return 0
    return size


def _unzipped(name: str, file: IO[bytes], size: int, most: int) -> Iterator[bytes]:
    wanted = PurePath(name).stem + ".csv"
    with zipfile.ZipFile(file) as archive:
        held = archive.namelist()
        if held != [wanted]:
            listed = ", ".join(held[:5]) + (f", and {len(held) - 5} more" if len(held) > 5 else "")
            raise DataError(
                f"{name} must hold exactly one file, {wanted}; it holds {listed or 'nothing'}",
                hint="unpack it and import the CSV that you mean",
            )
        yield from _bounded(name, inflated(file, archive.getinfo(wanted)), size, most)


def _bounded(name: str, chunks: Iterable[bytes], packed: int, most: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > most:
            raise DataError(f"{name} unpacks to more than {most} bytes", hint="split it into smaller files")
        if total > _HARMLESS and total > packed * MOST_RATIO:
            raise DataError(
                f"{name} unpacks to more than {MOST_RATIO} times its size: this is no table",
                hint="fetch it again, or leave it out",
            )
        yield chunk
