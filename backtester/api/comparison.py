"""`bt.compare`: runs side by side, where two of them part, and what the difference in money is made of."""

from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from backtester.api.explanation import Explanation
from backtester.api.hints import hinted
from backtester.api.html import table
from backtester.api.sealed_run import Run
from backtester.engine.compare.comparing import compare as compared
from backtester.engine.run_folder import find_run


class Comparison:
    """How runs differ. The first is what the others are measured by; definitions in docs/compare.md.

    content: all of it as plain values, as `bt compare --json` prints it.
    """

    def __init__(self, folders: list[Path]) -> None:
        found = compared(folders)
        self.content: dict[str, Any] = found.content
        self._event, self._decision = found.event, found.decision

    @cached_property
    def metrics(self) -> pl.DataFrame:
        """Figures side by side: a row each, a column per run, `difference` and `better` (first, second) of two."""
        rows = self.content["metrics"]
        numbers = {name: [_number(row["values"][at]) for row in rows] for at, name in enumerate(self._names)}
        numbers["difference"] = [_number(row.get("difference")) for row in rows]
        return pl.DataFrame(
            {
                "name": pl.Series([row["name"] for row in rows], dtype=pl.String),
                **{name: pl.Series(values, dtype=pl.Float64) for name, values in numbers.items()},
                "better": pl.Series([row.get("better") for row in rows], dtype=pl.String),
            }
        )

    @cached_property
    def config(self) -> pl.DataFrame:
        """The keys of the config that differ, as text."""
        rows = self.content["config"]
        texts = {name: [row["values"][at] for row in rows] for at, name in enumerate(self._names)}
        shown = {name: [None if value is None else str(value) for value in values] for name, values in texts.items()}
        return pl.DataFrame({"key": [row["key"] for row in rows], **shown})

    @cached_property
    def bridge(self) -> pl.DataFrame | None:
        """What the difference of two runs' final equity is made of, line by line; adds up exactly. None for more runs.

        Columns name, amount (a decimal, in the first run's currency), trades.
        """
        lines = self.content.get("bridge", {}).get("lines")
        if lines is None:
            return None
        return pl.DataFrame(lines).with_columns(pl.col("amount").cast(pl.Decimal(38, 8)))

    @property
    def remarks(self) -> list[str]:
        """What to know before the figures are compared."""
        return list(self.content["remarks"])

    def first_difference(self, run: int = 0, *, decision: bool = False) -> Explanation | None:
        """Return the first event of two logs that differs as this run (0 or 1) has it; None when it has none.

        decision: the first of what the strategy decided instead.
        """
        parting = self._decision if decision else self._event
        told = None if parting is None else (parting.first, parting.second)[run]
        return None if told is None else Explanation(told)

    @property
    def _names(self) -> list[str]:
        return [str(run["run_id"]) for run in self.content["runs"]]

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self._names)}>"

    def _repr_html_(self) -> str:
        rows = [
            [str(row["name"]), *("" if value is None else _shown(value) for value in row["values"])]
            for row in self.content["metrics"]
        ]
        text = table([["", *self._names], *rows], notes=self.remarks)
        if self.bridge is not None:
            lines = [(str(name), f"{amount:,}") for name, amount in self.bridge.select("name", "amount").iter_rows()]
            text += table(lines, title=f"final equity: where {self.content['bridge']['difference']} come from")
        return text


@hinted
def compare(first: Run | str | Path, second: Run | str | Path, *more: Run | str | Path) -> Comparison:
    """Compare sealed runs: figures, config, data and code; of two also where they part, and a bridge of their profit.

    Args:
        first: a run, or its name as for `bt.load_run`: what the others are measured by.

    Raises:
        UsageError: there is no such run, or one is named twice.
        CheckFailed: the tables of a run do not add up to its account.
    """
    return Comparison([run.path if isinstance(run, Run) else find_run(run) for run in (first, second, *more)])


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _shown(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
