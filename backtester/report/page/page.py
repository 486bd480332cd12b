"""report.html: assets, facts and packed tables in one file that needs no network and runs no script but its own."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec

from backtester.report.page.packing import PackedTable

_SCRIPTS: Final = (
    "uPlot.iife.min.js",
    "unpack.js",
    "format.js",
    "dom.js",
    "theme.js",
    "charts.js",
    "curves.js",
    "distributions.js",
    "heatmap.js",
    "candles.js",
    "price_chart.js",
    "trade_table.js",
    "sections.js",
    "main.js",
)
_STYLES: Final = ("uPlot.min.css", "style.css")


class PageContent(NamedTuple):
    """facts: what the page says, as plain values. tables: what it draws, by name."""

    facts: Mapping[str, Any]
    tables: Mapping[str, PackedTable]


class Template(NamedTuple):
    """An HTML file among the assets, and the scripts that fill it, in order."""

    html: str
    scripts: Sequence[str]


RUN: Final = Template("report.html", _SCRIPTS)
COMPARISON: Final = Template(
    "compare.html", ("uPlot.iife.min.js", "format.js", "dom.js", "theme.js", "charts.js", "compare.js")
)


def page(content: PageContent, title: str, template: Template = RUN) -> bytes:
    """Return the page. Equal content gives equal bytes.

    Nothing of a user is ever HTML here: facts are JSON in which no tag can be, tables are base64, and the scripts put
    both on the page as text. A policy in its head forbids the browser every other script and every address.
    """
    facts = dict(content.facts) | {"packed": {name: table.described() for name, table in content.tables.items()}}
    blobs = "\n".join(
        f'<script type="text/plain" id="table-{name}">{table.text()}</script>' for name, table in content.tables.items()
    )
    licence = f"/*\n{_asset('uPlot-LICENSE.txt')}*/\n"
    script = '"use strict";\n' + licence + "\n".join(_asset(name) for name in template.scripts)
    parts = {
        "TITLE": _as_text(title),
        "POLICY": _policy(script),
        "STYLE": "\n".join(_asset(name) for name in _STYLES),
        "FACTS": _as_json(facts),
        "TABLES": blobs,
        "SCRIPT": script,
    }
    before, *pieces = _asset(template.html).split("{{")
    found = [before]
    for piece in pieces:  # one pass: what is put in is never looked through again
        name, _, rest = piece.partition("}}")
        found += [parts[name], rest]
    return "".join(found).encode()


def _asset(name: str) -> str:
    return (files("backtester.report") / "assets" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def _as_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("{{", "{ {")


def _as_json(value: Any) -> str:
    """Return JSON that ends no script element and begins no comment in one."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
