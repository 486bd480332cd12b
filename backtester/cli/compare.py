"""`bt compare`: runs side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli.console import console, print_json
from backtester.cli.tables import count_text, print_table, sparkline

if TYPE_CHECKING:
    from backtester.engine.compare.comparing import Comparison, PartingTold

_MOST_ROWS = 40


def compare_command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Folders of runs: runs/...")],
    png: Annotated[Path | None, typer.Option(help="Write the equity curves as a picture, too.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write all of it as one self-contained page, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Compare runs: figures, equity, config, data and code; of two also where they part, and a bridge between them.

    Example: bt compare runs/20240401T120000Z-sma_cross-BTCUSDT-0a1b2c runs/20240401T130000Z-sma_cross-BTCUSDT-3d4e5f
    """
    from backtester.engine.compare.comparing import compare
    from backtester.engine.run_folder import find_run

    found = compare([find_run(run) for run in runs])
    if png is not None:
        from backtester.engine.compare.picture import write_picture

        write_picture(found.runs, png)
    if html is not None:
        from backtester.engine.compare.page import write_page

        write_page(found, html)
    written = {name: str(path) for name, path in (("png", png), ("html", html)) if path is not None}
    if as_json:
        print_json(found.content | written)
        return
    _print(found)
    for name, path in written.items():
        console().print(f"{name} {path}", markup=False)


def _print(found: "Comparison") -> None:
    content = found.content
    names = _names(len(found.runs))
    for name, run in zip(names, content["runs"], strict=True):
        print(f"{name}  {run['path']}")
        print(f"   {run['strategy']}, {run['start']} to {run['end']}, {run['currency']}: {run['status']}")
    for remark in content["remarks"]:
        print(f"note: {remark}")
    _print_metrics(content["metrics"], names)
    _print_curves(content["equity"], names)
    if len(found.runs) == 2:
        _print_bridge(content["bridge"])
    _print_rows("config", [[row["key"], *map(str, row["values"])] for row in content["config"]], names)
    data = [
        [row["series"], *(count_text(n, "file") + (f", {c} not as in A" if c else "") for n, c in _counts(row))]
        for row in content["data"]
    ]
    _print_rows("data", data, names)
    _print_rows("code", [[row["what"], *(value[:12] for value in row["values"])] for row in content["code"]], names)
    if len(found.runs) > 2:
        return
    _print_parting("the first event that differs", found.event)
    same = found.event is not None and found.event == found.decision
    if not same:
        _print_parting("the first decision that differs", found.decision)


def _names(count: int) -> list[str]:
    from backtester.engine.compare.picture import run_letter

    return [run_letter(place) for place in range(count)]


def _counts(row: dict[str, Any]) -> list[tuple[int, int]]:
    return list(zip(row["files"], row["changed"], strict=True))


def _print_metrics(rows: list[dict[str, Any]], names: list[str]) -> None:
    from backtester.report.figure_texts import difference_text, value_text, verdict_text

    two = len(names) == 2
    header = ["", *names, *(["B - A", ""] if two else [])]
    shown = []
    for row in rows:
        cells = [value_text(row, place) for place in range(len(names))]
        if two:
            cells += [difference_text(row), verdict_text(row)]
        else:
            cells = [f"{cell} *" if place in row.get("best", ()) else cell for place, cell in enumerate(cells)]
        shown.append([row["name"].replace("_", " "), *cells])
    print()
    print_table(header, shown, right=[*names, "B - A"])
    if not two:
        print("* best, where more or less of it is better")


def _print_curves(equity: dict[str, Any], names: list[str]) -> None:
    scale = "as multiples of the start" if equity["relative"] else "all on one scale"
    print(f"\nequity, {equity['start']} to {equity['end']}, {scale}")
    known = [value for curve in equity["points"] for value in curve if value is not None]
    if not known:
        return
    both = (min(known), max(known))
    for name, curve in zip(names, equity["points"], strict=True):
        print(f"{name}  {sparkline([*curve, *both])[: len(curve)]}")


def _print_rows(title: str, rows: list[list[str]], names: list[str]) -> None:
    if not rows:
        print(f"\n{title}: the same")
        return
    print(f"\n{title}")
    print_table(["", *names], rows[:_MOST_ROWS], fold=["", *names])
    if len(rows) > _MOST_ROWS:
        print(f"and {len(rows) - _MOST_ROWS} more: --json has all")


def _print_parting(title: str, found: "PartingTold | None") -> None:
    from backtester.engine.explain.told import plain_lines

    if found is None:
        print(f"\n{title}: there is none within the time that both cover")
        return
    print(f"\n{title}")
    for field, (one, other) in found.fields.items():
        print(f"   {field}: A {one}, B {other}")
    for name, told in (("A", found.first), ("B", found.second)):
        print(f"{name}: " + ("nothing at that time" if told is None else ""))
        for line in [] if told is None else plain_lines(told, 1):
            print(line)


def _print_bridge(content: dict[str, Any]) -> None:
    if content["lines"] is None:
        print(f"\nno bridge: {content['reason']}")
        return
    currency = content["currency"]
    rows = [["final equity of A", content["from"], ""]]
    rows += [[line["name"], _signed(line["amount"]), _trades(line)] for line in content["lines"]]
    rows.append(["final equity of B", content["to"], ""])
    print(f"\nfrom A to B, in {currency} (docs/compare.md says what each line is)")
    print_table(["", currency, ""], rows, right=[currency])


def _signed(amount: str) -> str:
    return amount if amount.startswith("-") else f"+{amount}" if float(amount) else "0"


def _trades(line: dict[str, Any]) -> str:
    count = line["trades"]
    return f"{count} trade{'' if count == 1 else 's'}" if count else ""
