"""The tables of the documentation that are made from the code: `python -m tests.docs.tables` writes them anew."""

import re

from backtester.strategy.composed.listing import part_rows
from backtester.strategy.params import parameters_of
from backtester.strategy.registry import BUILT_IN, find_strategy
from tests.docs.pages import ROOT, page

PARAMETERS = "| parameter | default | unit | allowed | what it is |\n|---|---|---|---|---|\n"
PARTS = "| {} | takes | is |\n|---|---|---|\n"


def parameters_table(name: str) -> str:
    """The parameters of a shipped strategy."""
    rows = [
        f"| `{p.name}` | {'' if p.default is None else p.default} | {p.unit} | {p.allowed} | {p.description} |\n"
        for p in parameters_of(find_strategy(name).cls.Params)
    ]
    return PARAMETERS + "".join(rows)


def parts_table(kind: str) -> str:
    """The parts of a kind that ship."""
    rows = [f"| `{row.name}` | {row.takes} | {row.about} |\n" for row in part_rows() if row.kind == kind]
    return PARTS.format(kind) + "".join(rows)


def with_table(text: str, heading: str, table: str) -> str:
    """A page with the table that begins alike, in the section of a heading, written anew."""
    before, section, after = text.partition(f"{heading}\n")
    own, end, rest = after.partition("\n## ")
    found = re.compile(re.escape(table.split("\n", maxsplit=1)[0]) + r"\n(\|.*\n)*")
    assert section, heading
    assert found.search(own), heading
    return before + section + found.sub(lambda _: table, own, count=1) + end + rest


def main() -> None:
    text = page("docs/strategies.md")
    for name in BUILT_IN:
        text = with_table(text, f"## Shipped: {name}", parameters_table(name))
    (ROOT / "docs" / "strategies.md").write_text(text, encoding="utf-8")
    text = page("docs/composed.md")
    for kind, heading in (("rule", "## Rules"), ("formula", "## Formulas"), ("indicator", "## Indicators")):
        text = with_table(text, heading, parts_table(kind))
    (ROOT / "docs" / "composed.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
