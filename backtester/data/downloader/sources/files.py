"""Candles from CSV and Parquet files below a folder, as the importer reads them."""

from collections.abc import AsyncIterator
from pathlib import Path

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import UsageError
from backtester.data.downloader.finding import ImportOptions, SourceFile, find_files
from backtester.data.downloader.rows import Series
from backtester.data.downloader.sources.json_tables import table_of
from backtester.data.downloader.sources.page import Page, UnknownSymbolError
from backtester.data.downloader.transport import local_folder
from backtester.data.downloader.unpacking import read_source
from backtester.data.schemas import SCHEMAS


class Files:
    """Candles from files whose names say symbol and timeframe, below the folder `cfg.base_url`; see `CandleSource`."""

    name = "files"
    offers = "any market; a folder with files such as BTCUSDT_1h.csv, given with --base-url"

    def __init__(self, cfg: DownloaderConfig, context: RunContext) -> None:  # noqa: ARG002
        self._address = cfg.base_url

    def serves(self, market: str, kind: str) -> bool:  # noqa: ARG002
        """See `CandleSource`."""
        return kind in SCHEMAS

    async def pages(self, series: Series, start: int, end: int) -> AsyncIterator[Page]:
        """Yield the tables of the files of a series that may hold rows of a range; see `CandleSource`."""
        folder = local_folder(self._address)
        if folder is None or not folder.is_dir():
            raise UsageError(f"{self._address} is not a folder", hint="--source files --base-url FOLDER")
        found = [file for file in _files(folder, series) if _may_hold(file, start, end)]
        if not found:
            raise UnknownSymbolError(
                f"no file below {folder} is named as one of {series}",
                hint=f"such names: {series.symbol}_{series.timeframe or series.kind}.csv, also .csv.gz and .parquet",
            )
        for file in found:
            data, source = read_source(file.path, file.address)
            name = file.path.name
            yield Page(name, table_of(name, data, series.kind), source, file.dates, official=file.official)


def _files(folder: Path, series: Series) -> list[SourceFile]:
    """Return the files of a series; the market and kind are the user's word where a name does not say them."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or series.symbol.lower() not in path.name.lower():
            continue
        try:
            files, _ = find_files([path], ImportOptions(series.market, series.kind, None, None))
        except UsageError:
            continue  # a name that says no symbol, or another market
        (file,) = files
        if (file.market, file.kind, file.symbol) == (series.market, series.kind, series.symbol) and (
            not series.timeframe or file.timeframe == series.timeframe
        ):
            found.append(file)
    return found


def _may_hold(file: SourceFile, start: int, end: int) -> bool:
    return file.dates is None or (file.dates[0] < end and file.dates[1] > start)
