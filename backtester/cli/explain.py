"""`bt explain`: why something happened in a run, or did not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli.console import console, print_json

if TYPE_CHECKING:
    from backtester.engine.explain.told import Told


def explain_command(
    run: Annotated[str, typer.Argument(help="Folder of a run: runs/...")],
    what: Annotated[
        str, typer.Argument(metavar="order:ID|trade:N|time:T|event:N", help="N counts from 1; T in UTC, ISO 8601.")
    ],
    data: Annotated[Path | None, typer.Option(help="Where the lake is now, if it moved.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Tell why an order, a trade or a tick came out as it did: from the candle to the fill, and why there was none.

    Example: bt explain runs/20240401T120000Z-sma_extended-BTCUSDT-0a1b2c order:1
    """
    from backtester.engine.explain.explaining import explain
    from backtester.engine.explain.run_files import RunFiles
    from backtester.engine.explain.told import plain_lines
    from backtester.engine.run_folder import find_run

    folder = find_run(run)
    told = explain(RunFiles(folder, data), what)
    if as_json:
        print_json({"run": str(folder), "asked": what, **told.as_object()})
        return
    out = console()
    if out.is_terminal:
        out.print(_tree(told))
        return
    for line in plain_lines(told):
        out.print(line, markup=False, soft_wrap=True)


def _tree(told: "Told") -> Any:
    from rich.text import Text
    from rich.tree import Tree

    from backtester.core.printable import printable
    from backtester.engine.explain.told import title_text

    def label(one: "Told") -> Text:
        text = Text(title_text(one), style="bold" if one is told else "")
        for detail in one.details:
            text.append(f"\n{printable(detail)}", style="dim")
        return text

    def grown(tree: Tree, parts: "list[Told]") -> Tree:
        for part in parts:
            grown(tree.add(label(part)), part.parts)
        return tree

    return grown(Tree(label(told), guide_style="dim"), told.parts)
