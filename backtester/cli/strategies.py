"""`bt strategies`: what can be run by name."""

import inspect
from typing import Annotated, Any

import typer

from backtester.cli.console import console, print_json


def strategies_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """List the strategies that can be run by name, with their parameters. Example: bt strategies"""
    from rich.table import Table

    from backtester.strategy.registry import find_strategy, strategy_names

    rows: list[dict[str, Any]] = []
    for name, target in strategy_names().items():
        cls = find_strategy(name).cls
        params = {key: field.get_default() for key, field in cls.Params.model_fields.items()}
        rows.append(
            {"name": name, "class": target, "params": params, "about": (inspect.getdoc(cls) or "").split("\n")[0]}
        )
    if as_json:
        print_json({"strategies": rows})
        return
    table = Table("name", "parameters (default)", "what it does", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], "\n".join(f"{k}={v}" for k, v in row["params"].items()), row["about"])
    console().print(table)
