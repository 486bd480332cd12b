"""Lakes of real exchange files, made with the importer once per session."""

from pathlib import Path

from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths


def import_real(files: list[Path], lake: Path, *, market: str | None = None, symbol: str | None = None) -> Path:
    """Import files into a lake; archive names say market and symbol themselves."""
    import_paths(files, lake, ImportOptions(market, None, symbol, None))
    return lake
