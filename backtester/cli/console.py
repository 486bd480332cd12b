"""What the command line prints, and how errors become a message and an exit code."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from typing import Any

from backtester.core.errors import BacktesterError


def print_json(content: Any) -> None:
    """Print one object on standard output."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(content).decode() + "\n")


def prints_aside(as_json: bool) -> AbstractContextManager[Any]:
    """Return a context in which a strategy's own prints do not mix with the one object of `--json`."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()


def console(*, stderr: bool = False) -> Any:
    """Return a Rich console; plain when the stream is not a terminal."""
    from rich.console import Console

    class PipeConsole(Console):
        """Lets a broken pipe (`bt ... | head`) end the command quietly; Rich would exit with 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    stream = sys.stderr if stderr else sys.stdout
    return PipeConsole(stderr=stderr, soft_wrap=not stream.isatty(), highlight=False, emoji=False)


def print_error(message: str, hint: str = "") -> None:
    """Print what went wrong, and what to do, on standard error."""
    out = console(stderr=True)
    out.print("error:", message, style="bold red" if out.is_terminal else None, markup=False)
    if hint:
        out.print("  hint:", hint, markup=False)


def print_note(message: str, hint: str = "") -> None:
    """Print something worth knowing that is no error, on standard error."""
    out = console(stderr=True)
    out.print("note:", message, markup=False)
    if hint:
        out.print("  hint:", hint, markup=False)


def guarded(main: Callable[[], None]) -> int:
    """Run the command line; return its exit code. Only a bug shows more than a message, and only when asked to."""
    try:
        main()
    except BacktesterError as error:
        print_error(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        print_error("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("BT_TRACEBACK"):
            raise
        print_error(
            f"a bug in backtester: {type(error).__name__}: {error}",
            "BT_TRACEBACK=1 shows the traceback; please report it",
        )
        return 1
    return 0
