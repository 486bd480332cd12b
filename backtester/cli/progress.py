"""How far a command is, on a terminal's standard error; nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(what: str, *, show: bool) -> Iterator[Callable[[int, int, str], None] | None]:
    """Yield what takes (done, in all, name of the last one), or None where nobody looks."""
    if not show or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, name: bar.update(task, completed=done, total=total, description=name or what)


class RunProgress:
    """A live line for a run: its name where it has one, simulated date, fills, time left; nothing off a terminal."""

    def __init__(self, start: int, end: int, *, quiet: bool, name: str = "") -> None:
        self._start, self._end = start, end
        self._name = f"{name} " if name else ""
        from backtester.cli.console import console

        out = console(stderr=True)
        self._bar: Any = None
        if not quiet and out.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%  fills {task.fields[fills]}"),
                TimeRemainingColumn(),
                console=out,
                transient=True,
            )

    def __enter__(self) -> Any:
        if self._bar is None:
            return None
        self._bar.start()
        self._task = self._bar.add_task("starting", total=self._end - self._start, fills=0)
        return self._update

    def _update(self, now: int, wired: Any) -> None:
        from backtester.core.time import utc

        self._bar.update(
            self._task,
            completed=max(0, now - self._start),
            description=f"{self._name}{utc(now):%Y-%m-%d %H:%M}",
            fills=wired.recorder.fills,
        )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
