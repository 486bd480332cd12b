"""A real HTTP server that answers as the exchange's REST interfaces do, each market by its own rules."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.archive import Server, minutes

MOST = {"api": 1000, "fapi": 1500, "dapi": 1500, "eapi": 1500}
DAY_MS = 86_400_000


@dataclass
class Exchange:
    """What the exchange holds and how it behaves.

    rows: by (path, symbol or pair, interval), klines as lists or funding as objects, in order of time, in ms.
    faults: for the next requests, each used up once: "" answers. weights: the used weight that replies state, one each.
    cap: rows that it sends at a time whatever is asked for, as mirrors do; 0 for the limit of the request.
    micros: times are answered in µs. clock: what the Date header says, seconds; None is now.
    delay: seconds before each answer.
    """

    rows: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    cap: int = 0
    micros: bool = False
    delay: float = 0.0
    clock: float | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def put(self, path: str, symbol: str, interval: str, rows: list[Any]) -> None:
        self.rows[path, symbol, interval] = rows

    def put_minutes(
        self, symbol: str, start: int, count: int, path: str = "api/v3/klines", price: float = 100.0
    ) -> None:
        """The rows that `archive.minutes` writes."""
        self.put(path, symbol, "1m", kline_rows(minutes(start, count, price)))


def kline_rows(csv: str) -> list[Any]:
    """Archive rows as the interface writes them: prices and volumes as strings, times and counts as numbers."""
    rows = []
    for line in csv.splitlines():
        values: list[Any] = line.split(",")
        for at in (0, 6, 8):
            values[at] = int(values[at])
        rows.append(values)
    return rows


class _Handler(BaseHTTPRequestHandler):
    exchange: Exchange

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.exchange.clock, usegmt=True)

    def do_GET(self) -> None:
        told = self.exchange
        parts = urlsplit(self.path)
        path, query = parts.path.lstrip("/"), {name: values[0] for name, values in parse_qs(parts.query).items()}
        told.asked.append((path, query))
        told.times.append(time.monotonic())
        time.sleep(told.delay)
        fault = told.faults.pop(0) if told.faults else ""
        kind, _, value = fault.partition(" ")
        if kind == "slow":
            status, after = value.split()
            self._answer(int(status), {"code": -1003, "msg": "Too many requests."}, **{"Retry-After": after})
        elif kind == "status":
            self._answer(int(value), {"code": -1008, "msg": "overloaded"})
        elif kind == "raw":
            self._send(200, value.encode())
        elif kind == "reset":
            self.connection.close()
        else:
            self._answer(*self._rows(path, query))

    def _rows(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        market = path.partition("/")[0]
        symbol = query.get("pair" if path.endswith("indexPriceKlines") else "symbol")
        held = self.exchange.rows.get((path, symbol or "", query.get("interval", "")))
        if held is None:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        limit, low, high = int(query["limit"]), int(query["startTime"]), int(query["endTime"])
        if not 0 < limit <= MOST[market]:
            return 400, {"code": -1130, "msg": "Data sent for parameter 'limit' is not valid."}
        if market == "dapi" and high - low > 200 * DAY_MS:
            return 400, {"code": -4088, "msg": "Maximum time interval is 200 days."}
        limit = min(limit, self.exchange.cap or limit)
        inside = [row for row in held if low <= _time(row) <= high]
        found = inside[-limit:] if market in {"dapi", "eapi"} and "interval" in query else inside[:limit]
        if self.exchange.micros:
            found = [[row[0] * 1000, *row[1:6], row[6] * 1000 + 999, *row[7:]] for row in found]
        return 200, found

    def _answer(self, status: int, content: Any, **headers: str) -> None:
        self._send(status, json.dumps(content).encode(), **headers)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        weights = self.exchange.weights
        self.send_response(status)
        if weights:
            self.send_header("x-mbx-used-weight-1m", str(weights.pop(0)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _time(row: Any) -> int:
    if isinstance(row, dict):
        return int(row.get("openTime", row.get("fundingTime")))
    return int(row[0])


@contextmanager
def answering(exchange: Exchange) -> Iterator[str]:
    """Serve an exchange; yields its base address."""
    handler = type("Handler", (_Handler,), {"exchange": exchange})
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
