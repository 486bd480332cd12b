"""Who did it: from a frame outwards to the first code that is the strategy's own."""

import sysconfig
from enum import Enum, auto
from pathlib import Path
from types import FrameType
from typing import Final

from backtester.engine.provenance import PACKAGE_ROOT


class Place(Enum):
    """Whose code a file holds."""

    OWN = auto()  # the strategy and what lies beside it
    ENGINE = auto()
    INSTALLED = auto()
    STANDARD = auto()  # the standard library, and code without a file
    IMPORTING = auto()


_LIBRARY: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_INSTALLED: Final = ("site-packages", "dist-packages")
_IMPORTING: Final = ("<frozen importlib", "importlib/", "linecache.py", "traceback.py", "tokenize.py")
# What these look up decides nothing: the time of a log line, the module of a class.
_HARMLESS: Final = tuple(
    f"{name}{end}"
    for name in ("logging", "warnings", "typing", "collections", "enum", "dataclasses", "abc", "functools", "re")
    for end in (".py", "/__init__.py")
)


class Blame:
    """Tells whose code a frame runs; own_files: those of the package that count as the strategy's."""

    def __init__(self, own_files: frozenset[str]) -> None:
        self._own_files = own_files
        self._known: dict[str, Place] = {}

    def place(self, file: str) -> Place:
        """Return whose code a file holds."""
        found = self._known.get(file)
        if found is None:
            found = self._known[file] = self._place(file)
        return found

    def _place(self, file: str) -> Place:
        if file in self._own_files:
            return Place.OWN
        if file.startswith(_IMPORTING[0]):
            return Place.IMPORTING
        if file.startswith("<"):
            return Place.STANDARD
        if any(part in Path(file).parts for part in _INSTALLED):
            return Place.INSTALLED
        for root in _LIBRARY:
            if file.startswith(f"{root}/"):
                inner = file.removeprefix(f"{root}/")
                return Place.IMPORTING if inner.startswith(_IMPORTING) else Place.STANDARD
        return Place.ENGINE if file.startswith(f"{PACKAGE_ROOT}/") else Place.OWN

    def itself(self, frame: FrameType) -> str | None:
        """Return where a frame of the strategy's own code is; None for any other."""
        return self._found(frame, set())

    def direct(self, frame: FrameType | None) -> str | None:
        """Return where the strategy's own code did it, itself or through the standard library; None: it did not."""
        return self._found(frame, {Place.STANDARD})

    def anyhow(self, frame: FrameType | None) -> str | None:
        """Return where the strategy's own code had something done by whatever library; imports are not counted."""
        return self._found(frame, {Place.STANDARD, Place.INSTALLED, Place.ENGINE}, harmless=False)

    def _found(self, frame: FrameType | None, through: set[Place], *, harmless: bool = True) -> str | None:
        while frame is not None:
            file = frame.f_code.co_filename
            place = self.place(file)
            if place is Place.OWN:
                return f"{Path(file).name}, line {frame.f_lineno}"
            if place not in through or (harmless and place is Place.STANDARD and file.endswith(_HARMLESS)):
                return None
            frame = frame.f_back
        return None
