"""Write what people look at into a sealed run's folder. Derived files: no digest of the run depends on them."""

from pathlib import Path
from typing import Final

from backtester.core.errors import StorageError
from backtester.engine.reporting.content import page_content
from backtester.engine.reporting.sources import read_sources
from backtester.report.page.page import page

REPORT: Final = "report.html"
PLOTS: Final = "plots"


def write_reports(folder: Path, *, html: bool = True, plots: bool = True, data: Path | None = None) -> list[Path]:
    """Write report.html and plots/*.png of a sealed run, in place of those that are there; return their paths.

    Args:
        folder: of the run.
        html: write report.html.
        plots: write plots/*.png.
        data: where the lake is now, when it has moved.

    Raises:
        UsageError: the run was never sealed, or its files cannot be read.
        StorageError: a file cannot be read or written.
    """
    run = read_sources(folder, data=data)
    written = []
    if html:
        title = f"{run.details['strategy']['name']}, {' '.join(run.config['run']['symbols'])}"
        written.append(_write(folder / REPORT, page(page_content(run), title)))
    if plots:
        from backtester.engine.reporting.plotting import plotted

        written += [_write(folder / PLOTS / name, content) for name, content in plotted(run)]
    return written


def _write(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(exist_ok=True)
        fresh.write_bytes(content)
        fresh.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", hint="bt report RUN writes it once there is room"
        ) from None
    return path
