"""A trade of trades.parquet, and the fills that made it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from backtester.core.errors import UsageError
from backtester.core.time import format_time, parse_time
from backtester.engine.explain.run_files import Row, RunFiles, plain_rows
from backtester.engine.explain.words import plain

_MOST: Final = 10
_COLUMNS: Final = ("fill_id", "ts", "order_id", "instrument", "side", "qty", "fee", "fee_asset")


def trade_words(number: int, trade: Row) -> str:
    """Return a trade in one sentence; number: its row, counted from 1."""
    span = f"{format_time(trade['entry_time'])} to {format_time(trade['exit_time'])}"
    tags = " → ".join(tag for tag in (trade["entry_tag"], trade["exit_tag"]) if tag)
    money = [f"{name.replace('_', ' ')} {_shown(trade[name])}" for name in _money_columns(trade)]
    money += [f"left by {trade['exit_reason']}"] if trade.get("exit_reason") else []
    return (
        f"trade {number}: {trade['side']} {plain(str(trade['qty']))} {trade['instrument']}, {span}"
        + (f" [{tags}]" if tags else "")
        + ": "
        + ", ".join(money)
    )


def _money_columns(trade: Row) -> list[str]:
    known = ("gross_pnl", "fees", "funding", "slippage", "net_pnl", "mae", "mfe", "r")
    return [name for name in known if trade.get(name) is not None]


def _shown(value: Decimal | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else plain(str(value))


def numbered_trades(files: RunFiles) -> Iterator[tuple[int, Row]]:
    """Yield every trade with its row number, counted from 1."""
    number = 0
    for batch in files.batches("trades"):
        for row in plain_rows(batch):
            number += 1
            yield number, row


def trades_of(files: RunFiles, instrument: str, order_id: int, last: int) -> tuple[list[tuple[int, Row]], bool]:
    """Return the closed trades that an order's fills made, and whether they made one, too, that never closed.

    last: when it filled last, UTC µs.
    """
    found: dict[int, Row] = {}
    is_open = False
    for number, trade, fill in _counted_off(files, instrument):
        if fill["ts"] > last:
            break
        if fill["order_id"] == order_id:
            is_open = is_open or trade is None
            if trade is not None and len(found) < _MOST:
                found[number] = trade
    return list(found.items()), is_open


def trade_named(files: RunFiles, name: str) -> tuple[int, Row]:
    """Return the trade that `trade:` names: a row number counted from 1, or an instrument and its entry time.

    Raises:
        UsageError: there is none such; says what there is.
    """
    count = files.count("trades")
    if not count:
        said = "it has no closed trades" if files.sealed else "it was never sealed, and has no table of trades"
        raise UsageError(f"there is no trade {name} in {files.folder}: {said}", hint="order:ID and time:T still work")
    if name.isdigit():
        row = files.row("trades", int(name) - 1) if int(name) else None
        if row is None:
            raise UsageError(
                f"there is no trade {name} in {files.folder}: it has trades 1 to {count}",
                hint="the number is the row of trades.parquet, counted from 1",
            )
        return int(name), row
    return _by_entry(files, name, count)


def _by_entry(files: RunFiles, name: str, count: int) -> tuple[int, Row]:
    instrument, _, entered = name.rpartition("@")
    if not instrument or not entered:
        raise UsageError(
            f"{name!r} names no trade", hint="write trade:N, a row of trades.parquet from 1, or trade:spot:BTCUSDT@TIME"
        )
    time = parse_time(entered)
    there = [(number, row) for number, row in numbered_trades(files) if row["instrument"] == instrument]
    for number, row in there:
        if row["entry_time"] == time:
            return number, row
    near = min((row["entry_time"] for _, row in there), key=lambda at: abs(at - time), default=None)
    said = f"the nearest was entered at {format_time(near)}" if near is not None else f"none of its {count} is"
    raise UsageError(f"no trade in {instrument} was entered at {format_time(time)}: {said}")


def fills_of(files: RunFiles, trade: Row, number: int) -> list[Row]:
    """Return the fills that made a trade, in order."""
    found: list[Row] = []
    for other, _, fill in _counted_off(files, trade["instrument"]):
        if other == number:
            found.append(fill)
            if len(found) == trade["fills"]:
                break
    return found


def _counted_off(files: RunFiles, instrument: str) -> Iterator[tuple[int, Row | None, Row]]:
    """Yield the fills of an instrument, each with the number and row of its trade; 0 and None: it never closed.

    They are counted off trade by trade: each trade says how many it took, and a fill that went through zero counts for
    the trade that it closed and for the one that it opened.
    """
    trades = ((number, row) for number, row in numbered_trades(files) if row["instrument"] == instrument)
    number, trade = next(trades, (0, None))
    left = trade["fills"] if trade is not None else 0
    held = Decimal(0)
    for fill in _fills_of_instrument(files, instrument):
        signed = fill["qty"] if fill["side"] == "buy" else -fill["qty"]
        takes = 2 if held * signed < 0 and abs(signed) > abs(held) else 1
        held += signed
        if fill["instrument"].startswith("spot:") and fill["fee_asset"] and _charged_in_coin(fill):
            held -= fill["fee"]
        for _ in range(takes):
            yield number, trade, fill
            left -= 1
            if trade is not None and not left:
                number, trade = next(trades, (0, None))
                left = trade["fills"] if trade is not None else 0


def _charged_in_coin(fill: dict[str, Any]) -> bool:
    return bool(fill["side"] == "buy" and fill["instrument"].partition(":")[2].startswith(fill["fee_asset"]))


def _fills_of_instrument(files: RunFiles, instrument: str) -> Iterator[Row]:
    for batch in files.batches("fills", _COLUMNS):
        for fill in plain_rows(batch):
            if fill["instrument"] == instrument:
                yield fill
