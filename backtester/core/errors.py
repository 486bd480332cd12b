"""The tree of errors, drawn once, with the exit code of each branch.

    BacktesterError                 1  a bug, or a strategy that failed
    ├── EngineError                 1  the engine broke one of its own promises
    ├── StrategyError               1  a strategy raised
    ├── UsageError                  2  the command or the config is wrong
    │   └── StorageError            2  a folder cannot be written, a disk is full
    ├── DataError                   3  data is missing, gapped or corrupt
    │   └── GapError                3  a candle that must exist does not
    ├── CheckFailed                 4  replay diverged, verification failed
    └── Interrupted               130  stopped by the user; what was done is kept

A user never sees a traceback for something the user can mend: the command line prints `message`, then `hint`.
"""

from typing import ClassVar


class BacktesterError(Exception):
    """Something went wrong that we can name.

    message: one sentence, with the names and numbers that matter. hint: what to do about it, may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class EngineError(BacktesterError):
    """The engine broke one of its own promises; never the user's fault."""


class StrategyError(BacktesterError):
    """A strategy raised; the message names strategy, event and line."""


class UsageError(BacktesterError):
    """The command or the config is wrong; the message names the key, what it was and what is allowed."""

    exit_code = 2


class StorageError(UsageError):
    """A file or folder cannot be written: permissions, or a full disk."""


class DataError(BacktesterError):
    """Data is missing, gapped or corrupt; names symbol, range, and the command that mends it."""

    exit_code = 3


class GapError(DataError):
    """Candles that must exist do not."""


class CheckFailed(BacktesterError):
    """A check that was asked for did not hold: a replay diverged, a verification failed."""

    exit_code = 4


class Interrupted(BacktesterError):
    """The user stopped the work; what was done is kept."""

    exit_code = 130
