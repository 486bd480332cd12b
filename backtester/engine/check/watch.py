"""What a strategy touches while it runs, as Python's audit hooks and traced calls show it.

It is meant for a process of its own: an audit hook stays to its end.
"""

import _thread
import builtins
import datetime
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NamedTuple

from msgspec import structs

from backtester.engine.check.blame import Blame, Place
from backtester.engine.provenance import PACKAGE_ROOT

HINTS: Final = {
    "file": "a strategy reads and writes no files: market data comes by feeds, numbers by parameters",
    "network": "a strategy asks nobody while it runs: market data comes by feeds",
    "process": "a strategy starts no programs and sends no signals",
    "thread": "a strategy starts no threads: when they run, nobody can repeat",
    "clock": "the time of a run is self.now; a moment is asked for with self.call_at",
    "random": "randomness comes from self.rng, which the run seeds",
    "environment": "what a strategy is told comes by its parameters: the environment is no part of a run",
    "identity": "id() and os.getpid() are others in every process: use names, numbers or order ids",
    "engine": "a strategy sees what its hooks are given, and self.position, self.equity and the like: nothing below",
    "watch": "a strategy leaves profilers, traces and hooks alone",
}


class Sighting(NamedTuple):
    """Something that a strategy may not touch, and did. kind: one of HINTS. where: file and line. who: where known."""

    kind: str
    what: str
    where: str
    who: str = ""


_AUDITED: Final = (  # the first that fits
    *((f"os.{name}", "process") for name in ("system", "exec", "posix_spawn", "spawn", "fork", "kill", "startfile")),
    *((f"os.{name}", "environment") for name in ("putenv", "unsetenv")),
    *((name, "file") for name in ("open", "os.", "glob.", "shutil.", "tempfile.", "pathlib.", "mmap.", "sqlite3.")),
    *((name, "network") for name in ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "poplib.", "imaplib.")),
    *((name, "process") for name in ("subprocess.", "ctypes.", "signal.", "pty.", "builtins.input")),
    ("_thread.start", "thread"),
    *((name, "engine") for name in ("gc.get_", "sys._getframe", "sys._current_", "sys.unraisablehook")),
    *((name, "watch") for name in ("sys.setprofile", "sys.settrace", "sys.addaudithook", "sys.monitoring")),
)
_BY_LIBRARIES_TOO: Final = frozenset({"file", "network", "process", "thread"})
# Native readers open files without Python's knowledge; what can be seen is the Python around them.
_READERS: Final = (
    *("/polars/io/", "/pyarrow/parquet/", "/pyarrow/dataset.py", "/pyarrow/fs.py"),
    *("/pandas/io/parquet", "/pandas/io/parsers", "/pandas/io/pickle", "/pandas/io/common", "/pandas/io/sql"),
    *("/numpy/lib/_npyio", "/numpy/lib/npyio", "/duckdb/", "/fsspec/", "/h5py/"),
)
_BELOW: Final = tuple(
    f"{PACKAGE_ROOT}/{name}/" for name in ("account", "audit", "cli", "data", "engine", "execution", "report", "risk")
)
_PURE: Final = frozenset({"fspath", "waitstatus_to_exitcode", "WIFEXITED", "cpu_count"})


def _calls() -> dict[Any, tuple[str, str]]:
    """Return what of the built-in functions is watched: its kind and name."""
    clocks = ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    found: dict[Any, tuple[str, str]] = {
        getattr(time, name): ("clock", f"time.{name}")
        for name in (*clocks, *(f"{n}_ns" for n in clocks), "sleep", "localtime", "clock_gettime", "clock_gettime_ns")
        if hasattr(time, name)
    }
    for method in (datetime.datetime.now, datetime.datetime.utcnow, datetime.datetime.today, datetime.date.today):
        found[method] = ("clock", str(method.__qualname__))
    found[builtins.id] = ("identity", "id")
    found[structs.force_setattr] = ("engine", "msgspec.structs.force_setattr")
    for name in ("start_new_thread", "start_joinable_thread"):
        if hasattr(_thread, name):
            found[getattr(_thread, name)] = ("thread", f"_thread.{name}")
    shared: Any = getattr(random, "_inst")  # noqa: B009 - the generator behind random.random()
    for name in ("random", "getrandbits", "getstate", "setstate", "seed"):
        found[getattr(super(random.Random, shared), name)] = ("random", f"the process-wide random ({name})")
    system = sys.modules[os.open.__module__ or "posix"]
    for name, function in vars(system).items():
        if type(function) is type(os.open) and name not in _PURE:
            found[function] = ("random", f"os.{name}") if "random" in name else ("file", f"os.{name}")
    processes = dict.fromkeys(("fork", "forkpty", "kill", "system"), "process")
    for name, kind in {**processes, "getpid": "identity", "getppid": "identity"}.items():
        if hasattr(system, name):
            found[getattr(system, name)] = (kind, f"os.{name}")
    return found


class Watch:
    """Collects sightings, each once, while its context is open. Outside of it nothing is looked at."""

    def __init__(self, own_files: frozenset[str]) -> None:
        self.sightings: dict[Sighting, None] = {}
        self._blame = Blame(own_files)
        self._calls = _calls()
        self._depth = 0
        self._who = ""
        self._busy = False
        self._readers: dict[str, str] = {}
        sys.addaudithook(self._audit)

    @contextmanager
    def watching(self, who: str = "") -> Iterator[None]:
        """Look at what is done. who: what the strategy is called that does it."""
        outer, self._who = self._who, who or self._who
        self._depth += 1
        before = sys.getprofile()
        self._busy = True
        sys.setprofile(self._profile)
        self._busy = False
        try:
            yield
        finally:
            self._busy = True
            sys.setprofile(before)
            self._busy = False
            self._depth -= 1
            self._who = outer

    def saw(self, kind: str, what: str, where: str | None) -> None:
        """Note something, when somebody is to blame for it."""
        if where is not None:
            self.sightings.setdefault(Sighting(kind, what, where, self._who))

    def is_own(self, frame: FrameType) -> bool:
        """Say whether a frame runs the strategy's code rather than the engine's."""
        return self._blame.place(frame.f_code.co_filename) is not Place.ENGINE

    def where(self, frame: FrameType) -> str | None:
        """Return where the strategy's own code is, at or around a frame."""
        return self._blame.direct(frame)

    def _blamed(self, kind: str, frame: FrameType) -> str | None:
        """Return where the strategy did it; of id(), only its own call counts: copying and printing need it, too."""
        if kind == "identity":
            return self._blame.itself(frame)
        return self._blame.anyhow(frame) if kind in _BY_LIBRARIES_TOO else self._blame.direct(frame)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._depth or self._busy:
            return
        kind = next((kind for start, kind in _AUDITED if event.startswith(start)), None)
        if kind is None:
            return
        self._busy = True  # looking at frames is an event, too
        try:
            frame = sys._getframe(1)
            where = self._blamed(kind, frame)
            detail = f" {args[0]}" if kind == "file" and args and isinstance(args[0], str) else ""
            self.saw(kind, f"{event}{detail}", where)
        finally:
            self._busy = False

    def _profile(self, frame: FrameType, event: str, arg: Any) -> None:
        if self._busy:
            return
        if event == "c_call":
            found = self._calls.get(arg)
            if found is not None:
                self.saw(*found, self._blamed(found[0], frame))
        elif event == "call":
            file = frame.f_code.co_filename
            kind = self._readers.get(file)
            if kind is None:
                kind = self._readers[file] = _reader(file)
            if kind:
                self._entered(kind, frame)

    def _entered(self, kind: str, frame: FrameType) -> None:
        name = frame.f_code.co_name
        if kind == "environment":
            if name in ("__getitem__", "__iter__", "__len__") and frame.f_locals.get("self") is os.environ:
                self.saw(kind, "os.environ", self._blame.direct(frame))
        elif not name.startswith("<"):
            module = frame.f_globals.get("__name__", "?")
            self.saw(kind, f"{module}.{name}", self._blame.anyhow(frame))


def _reader(file: str) -> str:
    if any(part in file for part in _READERS):
        return "file"
    if file in (os.__file__, "<frozen os>"):
        return "environment"
    return "engine" if file.startswith(_BELOW) and not file.startswith(f"{PACKAGE_ROOT}/engine/check/") else ""
