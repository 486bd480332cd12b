"""The weight of requests: what a server says was used this minute, and the pause before it is too much."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from backtester.data.downloader.download_log import DownloadLog
from backtester.data.downloader.patience import Patience

_HEADER: Final = re.compile(r"x-mbx-used-weight-1m", re.IGNORECASE)
_MINUTE: Final = 60.0
NEAR: Final = 0.9  # of the limit: other programs of the same address count too


class WeightWatch:
    """Pauses all requests when the weight that a server counts comes near its limit, until its minute turns."""

    def __init__(self, limit: int, patience: Patience, log: DownloadLog) -> None:
        self._limit, self._patience, self._log = limit, patience, log

    def note(self, headers: Mapping[str, str], coming: int) -> None:
        """Look at the headers of a reply before a request of the weight `coming` follows."""
        used = next((text for name, text in headers.items() if _HEADER.fullmatch(name)), "")
        if not used.isdecimal() or int(used) + coming <= self._limit * NEAR:
            return
        served = server_time(headers)
        seconds = time.time() if served is None else served / 1e6
        wait = _MINUTE - seconds % _MINUTE
        self._log.note("paused", used_weight=int(used), limit=self._limit, seconds=round(wait, 1))
        self._patience.pause(wait)


def server_time(headers: Mapping[str, str]) -> int | None:
    """Return the time at which a server says that it answered, UTC µs, whole seconds; None when it does not say."""
    text = next((text for name, text in headers.items() if name.lower() == "date"), "")
    try:
        return int((parsedate_to_datetime(text) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000
    except (ValueError, TypeError):
        return None
