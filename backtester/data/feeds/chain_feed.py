"""An option chain: what marks all its contracts, meets their orders, and is shown to strategies, hour by hour."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtester.core.instruments import InstrumentId
from backtester.data.feeds.record_feed import RecordFeed
from backtester.data.schemas import EOH_SUMMARY


class ChainFeed(RecordFeed):
    """The end-of-hour rows of a chain, one event an hour. The exchange gets the same events as strategies do."""

    is_chain = True

    def __init__(
        self, instrument: InstrumentId, batches: Iterator[dict[str, NDArray[np.generic]]], *, decides: bool
    ) -> None:
        """Wrap batches in time order; decides: strategies see the chain."""
        rows: Iterator[dict[str, NDArray[Any]]] = batches
        super().__init__(instrument, EOH_SUMMARY.kind, "", rows)
        if not decides:
            self.topic = None
