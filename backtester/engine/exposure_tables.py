"""The tables of the portfolio: exposure.parquet per underlying, wallets.parquet per balance."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from backtester.account.exposure import ExposureColumns
from backtester.core.errors import EngineError
from backtester.core.instruments import Holding, split_holding
from backtester.engine.columns import MONEY_TYPE, TIME_TYPE, StreamedTable, int64_as_decimal, plain_column
from backtester.engine.row_table import RowTable

EXPOSURE = pa.schema(
    [
        ("ts", TIME_TYPE),
        ("underlying", pa.string()),
        ("net", MONEY_TYPE),
        ("gross", MONEY_TYPE),
        ("delta", pa.float64()),
        ("gamma", pa.float64()),
        ("vega", pa.float64()),
        ("theta", pa.float64()),
    ]
)


class ExposureTable:
    """exposure.parquet: a row per boundary and underlying while something of it is held."""

    def __init__(self, path: Path | None) -> None:
        self.seconds = 0.0  # spent on writing, which is not the run's own work
        self.last: ExposureColumns | None = None
        self._table = StreamedTable(path, EXPOSURE)

    def write(self, columns: ExposureColumns) -> None:
        """Take a chunk of rows."""
        began = time.perf_counter()
        try:
            net, gross = (column.astype(np.int64, copy=False) for column in (columns.net, columns.gross))
        except OverflowError:
            raise EngineError("an exposure is beyond 92 billion: the exposure table cannot hold it") from None
        self._table.append(
            [
                plain_column(columns.ts.astype(np.int64), TIME_TYPE),
                pa.array(columns.underlying, type=pa.string()),
                int64_as_decimal(net, MONEY_TYPE),
                int64_as_decimal(gross, MONEY_TYPE),
                *(plain_column(c, pa.float64()) for c in (columns.delta, columns.gamma, columns.vega, columns.theta)),
            ]
        )
        self.last = columns
        self.seconds += time.perf_counter() - began

    def close(self) -> str:
        """Finish the file; return the table's digest."""
        return self._table.close()


class WalletTable:
    """wallets.parquet: a row per boundary and balance that changed since the one before."""

    def __init__(self, path: Path | None) -> None:
        self._rows = RowTable(
            path, [("ts", TIME_TYPE), ("wallet", pa.string()), ("asset", pa.string()), ("balance", MONEY_TYPE)]
        )

    def write(self, ts: int, holding: Holding, units: int) -> None:
        """Take a row."""
        self._rows.add(ts, *split_holding(holding), (units, 8))

    def close(self) -> str:
        """Finish the file; return the table's digest."""
        return self._rows.close()
