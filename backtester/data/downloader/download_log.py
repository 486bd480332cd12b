"""What a download did, one JSON line per fact, with the time at which it happened."""

import json
from pathlib import Path
from typing import Any

from backtester.data.durable import make_folder, storing
from backtester.data.manifest_writer import now_us


class DownloadLog:
    """Facts in memory, by name counted, and in `<log_dir>/<run id>.jsonl` when there is a folder."""

    def __init__(self, log_dir: Path | None, run_id: str) -> None:
        self.counts: dict[str, int] = {}
        self._path = None if log_dir is None else log_dir / f"{run_id}.jsonl"

    def note(self, fact: str, **details: Any) -> None:
        """Record a fact.

        Raises:
            StorageError: the log cannot be written.
        """
        self.counts[fact] = self.counts.get(fact, 0) + 1
        if self._path is None:
            return
        with storing(self._path):
            make_folder(self._path.parent)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": now_us(), "fact": fact, **details}, ensure_ascii=False) + "\n")
