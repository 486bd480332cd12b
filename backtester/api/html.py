"""What a notebook shows of an object: small tables that take their colours from the page."""

from collections.abc import Iterable, Sequence
from html import escape


def table(rows: Iterable[Sequence[str]], *, title: str = "", notes: Sequence[str] = ()) -> str:
    """Return an HTML table: the first cell of a row names it, the others stand right; all text is escaped."""
    body = "".join(
        "<tr>" + "".join(_cell(cell, first=not place) for place, cell in enumerate(row)) + "</tr>" for row in rows
    )
    head = f"<div><strong>{escape(title)}</strong></div>" if title else ""
    foot = "".join(f'<div style="opacity: .75">{escape(note)}</div>' for note in notes)
    return f'<div>{head}<table style="font-variant-numeric: tabular-nums"><tbody>{body}</tbody></table>{foot}</div>'


def _cell(text: str, *, first: bool) -> str:
    align = "left" if first else "right"
    return f'<td style="text-align: {align}; white-space: nowrap">{escape(text)}</td>'
