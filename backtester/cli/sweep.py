"""`bt sweep`: one strategy under many parameters, from the command line."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtester.cli import run_options as option
from backtester.cli.console import console, print_error, print_json, print_note, prints_aside
from backtester.cli.progress import progress

if TYPE_CHECKING:
    from backtester.search.confirming import Confirmed
    from backtester.search.outcome import Outcome
    from backtester.search.sweeping import Asked, Swept


def sweep_command(
    strategy: option.Strategy = "",
    symbols: option.Symbols = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUES", help="What varies: fast=5:40:5 (both ends included) or mode=a,b,c."),
    ] = None,
    market: option.Market = "",
    timeframe: option.Timeframe = "",
    start: option.Start = "",
    end: option.End = "",
    config: option.Config = None,
    risk: option.Risk = None,
    params: option.Params = None,
    param: option.Param = None,
    set_: option.Set = None,
    wallet: option.Wallet = None,
    data: option.Data = "",
    runs: Annotated[Path, typer.Option(help="Folder for results.")] = Path("runs"),
    seed: option.Seed = None,
    feeds: option.Feeds = None,
    gap_policy: option.GapPolicy = "",
    sort: Annotated[str, typer.Option(help="By which figure combinations are ranked.")] = "sharpe",
    top: Annotated[int, typer.Option(min=1, max=1000, help="How many are shown.")] = 10,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes or threads; 0: one for each core.")] = 0,
    engine: Annotated[
        str, typer.Option(help="auto: signals by the compiled loop where it can; event: the event engine for all.")
    ] = "auto",
    confirm: Annotated[
        int, typer.Option(min=0, max=100, help="How many of the best are run again as whole runs, and compared.")
    ] = 3,
    resume: Annotated[Path | None, typer.Option(help="Finish an interrupted sweep: runs/sweep-ID.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run a strategy under every combination of some parameters, and rank what they come to.

    Example: bt sweep --strategy sma_cross --symbols BTCUSDT --grid fast=5:40:5 --grid slow=50:190:20
    """
    from backtester.core.errors import UsageError
    from backtester.search.folder import HEATMAP, new_sweep_id
    from backtester.search.heatmap import draw_heatmap
    from backtester.search.ranking import checked_metric
    from backtester.search.sweeping import asked_again, sweep

    if resume is not None:
        if grid or strategy or symbols:
            raise UsageError("--resume goes on with what was asked for then", hint="leave --strategy and --grid out")
        asked, path = asked_again(resume), resume
    else:
        ask = option.asked_run(
            strategy=strategy, symbols=symbols, market=market, timeframe=timeframe, start=start, end=end,
            config=config, risk=risk, params=params, param=param, set_=set_, wallet=wallet, data=data, seed=seed,
            feeds=feeds, gap_policy=gap_policy,
        )  # fmt: skip
        asked = _asked(ask, grid or [], checked_metric(sort), engine)
        path = runs / new_sweep_id(
            Path(asked.config.strategy.name.rpartition(":")[0] or asked.config.strategy.name).stem
        )
    with prints_aside(as_json), progress("combinations", show=not as_json) as shown:
        swept = sweep(asked, path, workers=workers or os.cpu_count() or 1, progress=shown)
        confirmed = _confirmed(asked, swept, confirm) if swept.status == "complete" else []
    no_picture = draw_heatmap(swept.axes, swept.outcomes, asked.sort, swept.path / HEATMAP)
    if as_json:
        print_json(sweep_object(swept, asked, top) | {"confirmed": [str(one.path) for one in confirmed]})
    else:
        print_sweep(swept, asked, top, no_picture)
        for one in confirmed:
            console().print(f"confirmed: combination {one.number} has the same fills in {one.path}", markup=False)
    if swept.status == "interrupted":
        print_error("interrupted; what was done is kept", f"bt sweep --resume {swept.path} does the rest")
        raise typer.Exit(130)


def _confirmed(asked: "Asked", swept: "Swept", count: int) -> "list[Confirmed]":
    """Run the best again in the event engine, beside the sweep's results."""
    from backtester.search.confirming import confirm
    from backtester.search.subject import Subject

    subject = Subject(asked.config, asked.relative_to)
    return [confirm(subject, one, swept.path / "runs") for one in swept.best[:count]]


def _asked(ask: option.Asked, grid: list[str], sort: str, engine: str) -> "Asked":
    """Return the sweep of a run's options: the layers of parameters as one."""
    from backtester.config.configs import StrategySection
    from backtester.config.loading import merged
    from backtester.core.errors import UsageError
    from backtester.engine.strategy_plans import params_layer
    from backtester.search.sweeping import Asked
    from backtester.strategy.registry import find_strategy

    if engine not in ("auto", "event"):
        raise UsageError(f"--engine {engine!r} is none", hint="allowed: auto, event")
    found = find_strategy(ask.config.strategy.name, relative_to=ask.relative_to)
    layer, _ = params_layer(found, ask.config.strategy.params, ask.params_file)
    section = StrategySection(name=ask.config.strategy.name, params=merged(layer, ask.params_options))
    return Asked(
        ask.config.model_copy(update={"strategy": section}),
        ask.relative_to,
        tuple(grid),
        sort,
        "auto" if engine == "auto" else "event",
    )


def sweep_object(swept: "Swept", asked: "Asked", top: int) -> dict[str, Any]:
    """Return what `--json` prints of a sweep."""
    import msgspec

    keys = ("status", "counts", "engines", "bails", "trials_distinct", "deflated_sharpe", "seconds")
    return {
        "path": str(swept.path),
        "sort": asked.sort,
        **{key: swept.record[key] for key in keys},
        "best": [msgspec.to_builtins(one) for one in swept.best[:top]],
    }


def print_sweep(swept: "Swept", asked: "Asked", top: int, no_picture: str) -> None:
    """Print the best combinations and what to think of them."""
    from rich.table import Table

    out, record = console(), swept.record
    counts = record["counts"]
    out.print(
        f"{record['strategy']}, {record['range']['start']} to {record['range']['end']}: {counts['done']} of "
        f"{counts['combinations']} combinations in {record['seconds']:.1f} s, by {asked.sort.replace('_', ' ')}",
        style="bold", markup=False,
    )  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for title in (*(axis.name for axis in swept.axes), "return", "sharpe", "max dd", "trades", "win", "pf", "engine"):
        table.add_column(title, justify="right")
    for one in swept.best[:top]:
        table.add_row(*(str(one.values[axis.name]) for axis in swept.axes), *_figures(one))
    out.print(table)
    out.print(f"engine: {engines_in_words(record)}", markup=False)
    for outcome in ("refused", "failed"):
        whys = [o.why for o in swept.outcomes if o.status == outcome]
        if whys:
            out.print(f"{outcome}: {len(whys)}, for example {whys[0]}", style="yellow", markup=False)
    out.print(luck_in_words(swept), markup=False)
    if no_picture:
        print_note(f"no heatmap: {no_picture}")
    out.print(f"sweep {swept.path}", markup=False)


def engines_in_words(record: dict[str, Any]) -> str:
    """Return which engine ran how many combinations, and why not the fast one."""
    names = {"event": "event engine", "kernel": "compiled kernel"}
    said = ", ".join(f"{names[name]} {count}" for name, count in record["engines"].items()) or "none"
    bails = "; ".join(f"{count} because {why}" for why, count in record["bails"].items())
    return f"{said} ({bails})" if bails else said


def luck_in_words(swept: "Swept") -> str:
    """Return how far the best result can be trusted."""
    deflated = swept.deflated
    if deflated is None:
        return "no combination ran"
    chosen = f"the best of {deflated.trials} distinct trials is selected for luck as well as for merit"
    if deflated.probability is None:
        return f"{chosen}; not deflated ({deflated.reason})"
    return (
        f"{chosen}: by luck alone the best would show a Sharpe of about {deflated.expected:.2f}; "
        f"deflated Sharpe {deflated.probability:.1%} (the chance that it is more than that)"
    )


def _figures(one: "Outcome") -> list[str]:
    def shown(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return [
        shown(one.total_return, "+.2%"),
        shown(one.sharpe, ".2f"),
        shown(one.max_drawdown, ".2%"),
        str(one.n_trades),
        shown(one.win_rate, ".0%"),
        shown(one.profit_factor, ".2f"),
        one.engine,
    ]
