"""A public archive of made files, and a real HTTP server for it that can be told to misbehave."""

import hashlib
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from backtester.core.time import DAY, MINUTE, day_of, month_of, parse_time

PAGE = 1000


def minutes(start: int, count: int, price: float = 100.0) -> str:
    """Candle rows of the spot archive, one a minute."""
    rows = []
    for at in range(count):
        open_time = (start + at * MINUTE) // 1000
        last = price + (start // MINUTE + at) % 7
        rows.append(f"{open_time},{last},{last + 2},{last - 2},{last + 1},3.5,{open_time + 59_999},350,9,1.5,150,0")
    return "\n".join(rows) + "\n"


def put_zip(root: Path, key: str, text: str, *, inner: str | None = None, checksum: str | None = "") -> Path:
    """Write an archive with its checksum; a checksum given is written instead of the right one, None writes none."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inner or f"{path.stem}.csv", text)
    if checksum is not None:
        digest = checksum or hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".CHECKSUM").write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    return path


def day_key(symbol: str, day: int) -> str:
    return f"data/spot/daily/klines/{symbol}/1m/{symbol}-1m-{day_of(day)}.zip"


def month_key(symbol: str, start: int) -> str:
    return f"data/spot/monthly/klines/{symbol}/1m/{symbol}-1m-{month_of(start)}.zip"


def put_days(root: Path, symbol: str, first: str, days: int, rows: int = 60) -> None:
    """Write daily archives of spot 1m candles, each the first `rows` minutes of its day."""
    start = parse_time(first)
    for day in range(start, start + days * DAY, DAY):
        put_zip(root, day_key(symbol, day), minutes(day, rows))


@dataclass
class Behaviour:
    """What the server does before it serves a file: faults by key, each used up once, and delays for all.

    etags: it sends an ETag (the MD5) and the time of the last change. heads: it answers HEAD, else with 405.
    """

    faults: dict[str, list[str]] = field(default_factory=dict)
    delay: float = 0.0
    etags: bool = True
    heads: bool = True
    requests: Counter[str] = field(default_factory=Counter)
    times: list[tuple[float, str]] = field(default_factory=list)
    asked_heads: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    root: Path
    behaviour: Behaviour

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        if not self.behaviour.heads:
            self._answer(405)
            return
        path = self.root / unquote(urlsplit(self.path).path).lstrip("/")
        self.behaviour.asked_heads.append(path.name)
        if not path.is_file():
            self._answer(404)
            return
        self.send_response(200)
        self._describe(path)
        self.end_headers()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        key = unquote(parts.path).lstrip("/")
        told = self.behaviour
        with told.lock:
            told.requests[key] += 1
            told.times.append((time.monotonic(), key))
            told.at_once += 1
            told.most_at_once = max(told.most_at_once, told.at_once)
            waiting = told.faults.get(key, [])
            fault = waiting.pop(0) if waiting else ""
        try:
            time.sleep(told.delay)
            if not key:
                self._listing({name: values[0] for name, values in parse_qs(parts.query).items()})
            elif fault:
                self._fault(fault, key)
            else:
                self._file(self.root / key)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with told.lock:
                told.at_once -= 1

    def _file(self, path: Path, *, cut: int = 0) -> None:
        if not path.is_file():
            self._answer(404, b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>")
            return
        data = path.read_bytes()
        self.send_response(200)
        self._describe(path)
        self.end_headers()
        self.wfile.write(data[: len(data) - cut])
        if cut:
            self.close_connection = True

    def _describe(self, path: Path) -> None:
        self.send_header("content-length", str(path.stat().st_size))
        if self.behaviour.etags:
            self.send_header("etag", f'"{hashlib.md5(path.read_bytes()).hexdigest()}"')
            self.send_header("last-modified", formatdate(path.stat().st_mtime, usegmt=True))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _fault(self, fault: str, key: str) -> None:
        kind, _, value = fault.partition(" ")
        match kind:
            case "status":
                self._answer(int(value), b"trouble")
            case "slow":
                self._answer(int(value.split()[0]), b"", retry_after=value.split()[1])
            case "truncated":
                self._file(self.root / key, cut=40)
            case "reset":
                self.close_connection = True
                self.connection.setsockopt(1, 13, b"\x01\x00\x00\x00\x00\x00\x00\x00")  # SO_LINGER 0: RST
                self.connection.close()
            case "hang":
                time.sleep(float(value))
            case "redirect":
                self._answer(302, b"", location="/" + key)
            case "html":
                self._answer(200, b"<!doctype html><html><body>hello</body></html>")

    def _listing(self, query: dict[str, str]) -> None:
        """Answer as S3 does: one level below the prefix, in byte order, page by page."""
        prefix, marker = query.get("prefix", ""), query.get("marker", "")
        folder = self.root / prefix
        names = (
            sorted(prefix + p.name + ("/" if p.is_dir() else "") for p in folder.iterdir()) if folder.is_dir() else []
        )
        names = [name for name in names if name > marker]
        page, more = names[:PAGE], len(names) > PAGE
        parts = [f"<IsTruncated>{str(more).lower()}</IsTruncated>"]
        if more:
            parts.append(f"<NextMarker>{page[-1]}</NextMarker>")
        for name in page:
            if name.endswith("/"):
                parts.append(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
            else:
                size = (self.root / name).stat().st_size
                parts.append(f"<Contents><Key>{name}</Key><Size>{size}</Size></Contents>")
        body = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{"".join(parts)}</ListBucketResult>'
        self._answer(200, body.encode())


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def serving(root: Path) -> Iterator[tuple[str, Behaviour]]:
    """Serve a folder; yields the base address and what can be told to the server."""
    behaviour = Behaviour()
    handler = type("Handler", (_Handler,), {"root": root, "behaviour": behaviour})
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", behaviour
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
