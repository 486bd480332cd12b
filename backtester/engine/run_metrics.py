"""The metrics of a run from its folder: the same function at the end of a run and for a sealed one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from backtester.core.errors import StorageError, UsageError
from backtester.core.instruments import InstrumentId, listed_id
from backtester.engine.accounting import Worth, units_of
from backtester.engine.columns import int64_column, int64_values
from backtester.report.costs import Accounts
from backtester.report.figures import total
from backtester.report.metrics import RunFigures, Section, all_metrics
from backtester.report.selection import Trials
from backtester.report.series import EquitySeries
from backtester.report.trades import Labels, TradeColumns

_BATCH_ROWS = 65_536
_MONEY = ("gross_pnl", "slippage", "fees", "funding", "insurance", "net_pnl", "entry_notional")
_LABELS = {
    "strategy": "strategy",
    "instrument": "symbol",
    "side": "side",
    "entry_tag": "tag",
    "exit_reason": "exit_reason",
    "trend": "trend",
    "volatility_regime": "volatility_regime",
}


def metrics_of(folder: Path) -> dict[str, Section]:
    """Return the metrics of a sealed run, made anew from its run.json and its tables.

    Raises:
        UsageError: it has no books: it was made by an older version, or its tables could not be written.
        StorageError: a table is missing or cannot be read.
    """
    from backtester.engine.replay import read_run_json

    recorded = read_run_json(folder)
    if recorded is None or "accounting" not in recorded:
        raise UsageError(f"{folder}: there is nothing to make metrics of", hint="make the run again: bt run --config")
    return metrics_from(recorded, folder)


def metrics_from(details: Mapping[str, Any], folder: Path) -> dict[str, Section]:
    """Return the metrics of a run whose tables are in a folder. details: run.json."""
    books = details["accounting"]
    worth = Worth(books)
    series = EquitySeries(*_integers(folder, "equity", ["ts", "equity", "exposure"]))
    held_ts, held_equity = _integers(folder, "benchmark", ["ts", "equity"])
    net_times, net = _integers(folder, "exposure", ["ts", "net"])
    fills = _read(folder, "fills", ["instrument", "notional"])
    trades = trade_columns(folder, worth, str(details["strategy"]["name"]))
    open_trades = books["open_trades"]
    sums = {name: worth.total(amounts) for name, amounts in books["sums"].items()}
    return all_metrics(
        RunFigures(
            currency=worth.currency,
            seed=int(details["context"]["seed"]),
            series=series,
            held=EquitySeries(held_ts, held_equity, np.zeros_like(held_equity)) if len(held_ts) else None,
            net_times=net_times,
            net_exposure=net.astype(np.float64),
            traded=_traded(fills, books["settles"], worth),
            fills=len(fills),
            trades=trades,
            open_entries=np.array([trade["entry_us"] for trade in open_trades], dtype=np.int64),
            open_trades=[{k: v for k, v in trade.items() if k != "entry_us"} for trade in open_trades],
            books=Accounts(
                initial=int(series.equity[0]),
                final=int(series.equity[-1]),
                unrealised=_last(folder, "equity", "unrealised"),
                closed=total(trades.net),
                open_=sum(worth.units(trade["currency"], units_of(trade["net_pnl"])) for trade in open_trades),
                **sums,
            ),
            by_asset={
                _METRIC_OF.get(name, name): {a: text for a, text in amounts.items() if units_of(text)}
                for name, amounts in books["sums"].items()
                if any(units_of(text) for asset, text in amounts.items() if asset != worth.currency)
            },
            has_funding=books["has_funding"],
            trials=_trials(details.get("trials")),
        )
    )


def equity_rows(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the times (µs) and values (1e-8) of a run's equity."""
    times, equity = _integers(folder, "equity", ["ts", "equity"])
    return times, equity


_METRIC_OF = {"realised": "realised_pnl"}


def _trials(known: Mapping[str, Any] | None) -> Trials | None:
    return None if known is None else Trials(*(known[name] for name in Trials._fields))


def _integers(folder: Path, name: str, columns: list[str]) -> list[NDArray[np.int64]]:
    """Return columns of a table of times and money as integers; beside them memory holds one batch.

    Raises:
        StorageError: it is missing or no Parquet file.
    """
    path = folder / f"{name}.parquet"
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
        found = [np.empty(file.metadata.num_rows, dtype=np.int64) for _ in columns]
        at = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            for column, values in zip(columns, found, strict=True):
                values[at : at + len(batch)] = int64_values(batch.column(column))
            at += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None
    return found


def _last(folder: Path, name: str, column: str) -> int:
    """Return the units of a column's last row."""
    file = pq.ParquetFile(folder / f"{name}.parquet")
    return int(int64_column(file.read_row_group(file.num_row_groups - 1, [column]).column(0))[-1])


def _read(folder: Path, name: str, columns: list[str]) -> pa.Table:
    """Read columns of a table, texts as codes.

    Raises:
        StorageError: it is missing or no Parquet file.
    """
    path = folder / f"{name}.parquet"
    try:
        file = pq.ParquetFile(path)
        there = {field.name: field.type for field in file.schema_arrow}
        wanted = [column for column in columns if column in there]
        texts = [column for column in wanted if pa.types.is_string(there[column])]
        return pq.ParquetFile(path, read_dictionary=texts).read(wanted, use_threads=False).unify_dictionaries()
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None


def _labels(column: pa.ChunkedArray) -> Labels:
    """Return a column of texts as codes and names; names in the order of their first row."""
    if not column.num_chunks:
        return Labels(np.empty(0, dtype=np.int64), [])
    codes = [
        np.frombuffer(c.indices.buffers()[1], dtype=np.int32)[c.indices.offset : c.indices.offset + len(c)]
        for c in column.chunks
    ]
    return Labels(np.concatenate(codes).astype(np.int64), column.chunk(0).dictionary.to_pylist())


def _traded(fills: pa.Table, settles: Mapping[str, str], worth: Worth) -> int:
    """Return the notional of all fills in the account's currency."""
    labels, notional = _labels(fills["instrument"]), _units(fills["notional"])
    by_asset: dict[str, int] = {}
    for code, name in enumerate(labels.names):
        asset = settles[name]
        by_asset[asset] = by_asset.get(asset, 0) + total(np.abs(notional[labels.codes == code]))
    return sum(worth.units(asset, units) for asset, units in sorted(by_asset.items()))


def _units(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return decimals as units; Python's own integers where one is beyond int64."""
    try:
        return int64_column(column)
    except OverflowError:
        scale = column.type.scale
        return np.array([int(value.scaleb(scale)) for value in column.to_pylist()], dtype=object)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return floats, or decimals as floats of their units; nulls are NaN."""
    if pa.types.is_decimal(column.type):
        values = _units(column).astype(np.float64)
    else:
        parts = [np.frombuffer(c.buffers()[1], dtype=np.float64)[c.offset : c.offset + len(c)] for c in column.chunks]
        values = np.concatenate(parts) if parts else np.empty(0)
    if column.null_count:
        known = np.concatenate(
            [
                np.ones(len(c), dtype=bool)
                if not c.null_count
                else np.unpackbits(
                    np.frombuffer(c.buffers()[0], dtype=np.uint8), bitorder="little", count=c.offset + len(c)
                )[c.offset :]
                == 1
                for c in column.chunks
            ]
        )
        values = np.where(known, values, np.nan)
    return values


def trade_columns(folder: Path, worth: Worth, strategy: str) -> TradeColumns:
    """Return the closed trades of a run, their money in the account's currency. strategy: whose they are, where the
    table does not say it.
    """
    wanted = ["entry_time", "exit_time", *_MONEY, "equity_at_entry", "mae", "mfe", "r", "currency", *_LABELS]
    table = _read(folder, "trades", wanted)
    currencies = _labels(table["currency"])
    money = {name: _worth(_units(table[name]), currencies, worth) for name in _MONEY[:-2]}
    gross, fees, funding, insurance = (money[name] for name in ("gross_pnl", "fees", "funding", "insurance"))
    labels = {shown: _labels(table[name]) for name, shown in _LABELS.items() if name in table.column_names}
    labels["symbol"] = _listed(labels["symbol"])
    if "strategy" not in labels:
        labels["strategy"] = Labels(np.zeros(len(table), dtype=np.int64), [strategy] if len(table) else [])
    return TradeColumns(
        entry_time=int64_column(table["entry_time"]),
        exit_time=int64_column(table["exit_time"]),
        gross=gross,
        slippage=money["slippage"],
        fees=fees,
        funding=funding,
        insurance=insurance,
        net=gross - fees + funding + insurance,
        entry_notional=_worth(_units(table["entry_notional"]), currencies, worth),
        equity_at_entry=_units(table["equity_at_entry"]),
        r=_floats(table["r"]),
        mae=_converted(_floats(table["mae"]), currencies, worth),
        mfe=_converted(_floats(table["mfe"]), currencies, worth),
        labels=labels,
    )


def _worth(units: NDArray[Any], currencies: Labels, worth: Worth) -> NDArray[Any]:
    """Return amounts, each in its own asset, in the account's currency."""
    for code, asset in enumerate(currencies.names):
        if asset != worth.currency:
            rows = np.flatnonzero(currencies.codes == code)
            found = [worth.units(asset, int(amount)) for amount in units[rows].tolist()]
            if any(abs(amount) >= 2**62 for amount in found):
                units = units.astype(object)
            units[rows] = found
    return units


def _converted(values: NDArray[np.float64], currencies: Labels, worth: Worth) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    for code, asset in enumerate(currencies.names):
        if asset != worth.currency:
            rows = np.flatnonzero((currencies.codes == code) & known)
            values[rows] = [worth.units(asset, int(amount)) for amount in values[rows].tolist()]
    return values


def _listed(labels: Labels) -> Labels:
    """Return instruments as the venue lists them: without the side or the strategy whose position it is."""
    listed = [str(listed_id(InstrumentId(name))) for name in labels.names]
    names = list(dict.fromkeys(listed))
    at = np.array([names.index(name) for name in listed], dtype=np.int64)
    return Labels(at[labels.codes] if len(labels.codes) else labels.codes, names)
