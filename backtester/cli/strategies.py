"""`bt strategies`: what can be run by name, and all that can be said of one."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli.console import console, print_json

if TYPE_CHECKING:
    from backtester.strategy.describing import Described


def strategies_command(
    name: Annotated[str, typer.Argument(help="One strategy: a name, file.py:Class or file.toml.")] = "",
    timeframe: Annotated[str, typer.Option(help="Candles on which feeds and warm-up are counted.")] = "1m",
    parts: Annotated[bool, typer.Option("--parts", help="The parts that a composed strategy may name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """List the strategies that can be run by name, or show one with its parameters, feeds, warm-up and exits.

    Example: bt strategies trend_following
    """
    from backtester.core.errors import UsageError
    from backtester.core.time import TIMEFRAMES

    if parts:
        _show_parts(as_json)
        return
    if timeframe not in TIMEFRAMES:
        raise UsageError(f"timeframe {timeframe!r} is not known", hint=f"there are: {' '.join(TIMEFRAMES)}")
    if name:
        from backtester.strategy.describing import described
        from backtester.strategy.registry import find_strategy

        one = described(find_strategy(name), timeframe)
        if one.kind == "composed" and one.error:  # its parameters all have defaults: it would not run
            raise UsageError(f"{name}, on candles of {timeframe}: {one.error}", hint="docs/composed.md")
        if as_json:
            print_json(_object(one, timeframe))
        else:
            _show(one, timeframe)
        return
    _list(as_json)


def _list(as_json: bool) -> None:
    from rich.table import Table

    from backtester.strategy.describing import listed

    rows = listed()
    if as_json:
        print_json({"strategies": [row._asdict() for row in rows]})
        return
    out = console()
    table = Table("name", "what it does", "from", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, _plain(f"broken: {row.error}" if row.error else row.about), row.origin)
    out.print(table)
    out.print("bt strategies NAME shows parameters; bt new strategy NAME writes one of your own", markup=False)


def _show(one: "Described", timeframe: str) -> None:
    from rich.table import Table

    out = console()
    out.print(f"{one.name} ({one.kind}), {one.target}", markup=False)
    out.print(one.text or "It has no docstring.", markup=False)
    out.print()
    if one.params:
        table = Table("parameter", "type", "default", "unit", "allowed", "what it is", box=None, pad_edge=False)
        for p in one.params:
            cells = (p.name, p.type, _shown(p.default), p.unit, p.allowed, p.description)
            table.add_row(*(_plain(cell) for cell in cells))
        out.print(table)
    else:
        out.print("no parameters")
    out.print()
    if one.error:
        out.print(f"feeds, warm-up: not known with the defaults: {one.error}", markup=False)
        return
    out.print(f"feeds: its candles{''.join(f', {feed}' for feed in one.feeds)}", markup=False)
    out.print(f"warm-up: {one.warmup_candles:,} candles of {timeframe}, with the defaults", markup=False)
    if one.exits is not None:
        shown = ", ".join(f"{key} = {value}" for key, value in one.exits.items())
        out.print(f"exits: {shown or 'none but its target'}", markup=False)
    else:
        out.print(f"hooks: {', '.join(one.hooks) or 'none'}", markup=False)


def _object(one: "Described", timeframe: str) -> dict[str, Any]:
    params = [
        p._asdict() | {"default": _value(p.default), "bounds": {k: _value(v) for k, v in p.bounds.items()}}
        for p in one.params
    ]
    return one._asdict() | {"params": params, "timeframe": timeframe}


def _show_parts(as_json: bool) -> None:
    from rich.table import Table

    from backtester.strategy.composed.listing import part_rows

    rows = part_rows()
    if as_json:
        print_json({"parts": [row._asdict() for row in rows]})
        return
    table = Table("kind", "name", "takes", "is", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.kind, row.name, _plain(row.takes), _plain(row.about))
    console().print(table)


def _value(default: Any) -> Any:
    """Return a default as JSON has it: exact decimals as text."""
    return f"{default:f}" if isinstance(default, Decimal) else default


def _shown(default: Any) -> str:
    return "" if default is None else str(default)


def _plain(text: str) -> Any:
    """Return text in which brackets are brackets."""
    from rich.text import Text

    return Text(text)
