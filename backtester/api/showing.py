"""What a notebook shows of a run: the screen of its end, as a table."""

from html import escape
from typing import TYPE_CHECKING

from backtester.engine.run_texts import run_screen
from backtester.report.screen import ASSUMPTION, PLACE, TITLE, WARNING, Line

if TYPE_CHECKING:
    from backtester.api.sealed_run import Run

_CELL = "text-align: left; vertical-align: top; padding: .15em .8em .15em 0"


def run_html(run: "Run") -> str:
    """Return a run's screen as HTML, its assumptions folded away; all text is escaped."""
    lines = run_screen(run.path)
    title = next(line.text for line in lines if line.kind == TITLE)
    shown = [line for line in lines if line.kind not in (TITLE, ASSUMPTION)]
    assumed = [line for line in lines if line.kind == ASSUMPTION]
    return (
        f"<div><strong>{escape(title)}</strong>"
        f'<table style="font-variant-numeric: tabular-nums"><tbody>{"".join(map(_row, shown))}</tbody></table>'
        f"<details><summary>{len(assumed)} assumptions</summary>"
        f"<ul>{''.join(f'<li>{escape(line.text)}</li>' for line in assumed)}</ul></details>"
        f'<div style="opacity: .75">{escape(run.id)}</div></div>'
    )


def _row(line: Line) -> str:
    mark = "⚠ " if line.kind == WARNING else ""
    label = "look-ahead" if line.kind == PLACE else line.label
    return (
        f'<tr><td style="{_CELL}"><em>{escape(mark + label)}</em></td><td style="{_CELL}">{escape(line.text)}</td></tr>'
    )
