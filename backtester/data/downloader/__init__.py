"""Into the lake: fetch and parse files, refuse or repair what is wrong, write partitions.

Scripts use `DownloaderFiles`, `ParsingSanitizing` and `WritingParquet`; each has an async form of its method, whose
name begins with an a. They are imported when asked for, so that the lake alone needs none of the network.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtester.data.downloader.batches import ParseReport, SanitizedBatch, WriteReport
    from backtester.data.downloader.fetching import RawBytes
    from backtester.data.downloader.scripting import DownloaderFiles, ParsingSanitizing, WritingParquet

__all__ = [
    "DownloaderFiles",
    "ParseReport",
    "ParsingSanitizing",
    "RawBytes",
    "SanitizedBatch",
    "WriteReport",
    "WritingParquet",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from backtester.data.downloader import scripting

    return getattr(scripting, name)
