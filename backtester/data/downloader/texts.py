"""Small texts of a server or folder, by key."""

import asyncio
from collections.abc import Sequence

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.data.downloader.patience import Patience
from backtester.data.downloader.transport import open_transport


def fetch_texts(base: str, keys: Sequence[str], cfg: DownloaderConfig, context: RunContext) -> list[str | None]:
    """Return the text of each key below a base address, None for one that is not there.

    Raises:
        DataError: the server cannot be reached or refuses. UsageError: the address cannot be used.
    """
    return asyncio.run(_texts(base, keys, cfg, context))


async def _texts(base: str, keys: Sequence[str], cfg: DownloaderConfig, context: RunContext) -> list[str | None]:
    patience = Patience(cfg, context.seed)
    async with open_transport(base, cfg, patience, allow_net=context.allow_net) as transport:
        return [await transport.text(key) for key in keys]
