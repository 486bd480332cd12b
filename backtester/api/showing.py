"""What a notebook shows of a run."""

from typing import TYPE_CHECKING

from backtester.api.html import table

if TYPE_CHECKING:
    from backtester.api.sealed_run import Run


def run_html(run: "Run") -> str:
    """Return the headline of a run as HTML."""
    return table([(name, str(value)) for name, value in run.metrics.figures.items()], title=run.id)
