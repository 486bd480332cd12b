"""One file that needs no network, in which nothing that a user wrote is HTML."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

from backtester.report.page.packing import PackedTable
from backtester.report.page.page import PageContent, page

EVIL = ["<script>alert(1)</script>", "</script><b>", "<!--", "-->", "]]>", "{{SCRIPT}}", "\u2028", "&lt;", "\"'\\"]


class Elements(HTMLParser):
    """Every element of a page, and the text of its scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self._script = (dict(attrs).get("id") or "own") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def made(text: str) -> str:
    table = PackedTable(2)
    table.add_texts("tag", [text, "plain"])
    table.add("x", np.array([1.0, 2.0]))
    return page(PageContent({"note": text}, {"trades": table}), f"a run {text}").decode()


def test_it_names_no_address_to_fetch_anything_from() -> None:
    for tag, attributes in Elements(made("plain")).seen:
        assert not {"src", "srcset", "action", "data", "poster"} & attributes.keys(), (tag, attributes)
        assert tag not in ("link", "iframe", "object", "embed", "img", "base")
    assert not re.search(r"@import|url\(", made("plain"))


@pytest.mark.parametrize("text", EVIL)
def test_what_a_user_wrote_makes_no_element(text: str) -> None:
    plain, evil = Elements(made("plain")), Elements(made(text))
    assert [tag for tag, _ in evil.seen] == [tag for tag, _ in plain.seen]
    facts = json.loads(evil.scripts["facts"])
    assert facts["note"] == text
    assert text in facts["packed"]["trades"]["columns"][0]["texts"]
    assert evil.scripts["own"] == plain.scripts["own"]


def test_its_policy_allows_its_own_script_and_no_other() -> None:
    elements = Elements(made("plain"))
    policy = next(a["content"] for tag, a in elements.seen if tag == "meta" and "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(elements.scripts["own"].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"


def test_equal_content_gives_equal_bytes() -> None:
    assert made("plain") == made("plain")


def test_it_carries_the_licence_of_the_charts() -> None:
    licence = (files("backtester.report") / "assets" / "uPlot-LICENSE.txt").read_text()
    assert "Permission is hereby granted" in licence
    assert licence in made("plain")
