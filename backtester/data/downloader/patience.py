"""One retry policy for all requests: back off with jitter, and when the server says stop, all stop."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from backtester.config.configs import DownloaderConfig
from backtester.core.errors import DataError

T = TypeVar("T")


class Again(Exception):
    """An attempt failed in a way that another may not. after: seconds that the server asks to wait, for everyone."""

    def __init__(self, reason: str, *, after: float | None = None, everyone: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.after, self.everyone = reason, after, everyone


class GaveUpError(DataError):
    """Every attempt failed: who asks for something else there will most likely fare no better."""


class Patience:
    """Attempts with waits between them; shared by all requests of a download."""

    def __init__(self, cfg: DownloaderConfig, seed: int) -> None:
        self._cfg = cfg
        self._random = random.Random(seed)
        self._closed_until = 0.0

    async def attempt(self, what: str, once: Callable[[], Awaitable[T]]) -> T:
        """Return what `once` returns, trying again as often as the config allows.

        Raises:
            GaveUpError: every attempt failed.
            DataError: the server asks for a longer wait than the config allows.
        """
        number = 0
        while True:
            await self._gate()
            try:
                return await once()
            except Again as failed:
                wait = self._wait_after(what, failed, number)
                if number == self._cfg.retries:
                    raise GaveUpError(
                        f"{what}: {failed.reason}, {number + 1} times",
                        hint="run the command again later: what was fetched is kept",
                    ) from failed
                number += 1
                if not failed.everyone:
                    await asyncio.sleep(wait)

    def pause(self, seconds: float) -> None:
        """Let every request wait so long before it starts."""
        self._closed_until = max(self._closed_until, asyncio.get_running_loop().time() + seconds)

    def _wait_after(self, what: str, failed: Again, number: int) -> float:
        cfg = self._cfg
        wait = min(cfg.backoff_seconds * 2.0**number, cfg.backoff_most_seconds) * self._random.uniform(0.5, 1.0)
        wait = max(wait, failed.after or 0.0)
        if wait > max(cfg.rate_limit_seconds, cfg.backoff_most_seconds):
            raise DataError(
                f"{what}: {failed.reason}, and is to be asked again in {wait:.0f} s",
                hint="run the command again then: what was fetched is kept",
            )
        if failed.everyone:
            self.pause(wait)
        return wait

    async def _gate(self) -> None:
        """Wait until no server has asked all requests to wait."""
        while (left := self._closed_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)
