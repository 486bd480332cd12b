"""The trades of a run with what they are made of, counted off its table of fills: for the bridge between two runs."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from backtester.core.folds import FLAT, Position, position_after
from backtester.core.instruments import SPOT, InstrumentId, listed_id
from backtester.core.numbers import FLOOR, HALF_EVEN, MONEY_EXPONENT, MONEY_SCALE, mul_div
from backtester.engine.explain.run_files import Row, RunFiles, plain_rows
from backtester.report.bridge import BridgeTrade

_FILLS: Final = (
    "instrument", "side", "qty", "price", "reference_price", "notional", "fee", "fee_asset",
)  # fmt: skip

Worth = Callable[[str, int], int]


class _Part(NamedTuple):
    """A fill, or the part of it that closed or opened; 1e-8. back: a fee in coin, which its profit does not bear."""

    signed_qty: int
    notional: int
    slippage: int
    in_coin: int
    back: int


@dataclass(slots=True)
class _Sums:
    """What the parts of one trade add up to, 1e-8 of what its instrument settles in."""

    gross: int = 0
    slippage: int = 0
    parts: int = 0


class ClosedTrades:
    """Counts fills off to the trades that they made.

    trades: closed round trips in the account's currency, in the order in which they closed. open_units: price profit
    realised so far of what has not closed. fees: by asset; a fee taken in the coin that was bought counts in what was
    paid with, at the price of its fill, and its trade's price profit does not bear it.
    """

    def __init__(self, files: RunFiles, worth: Worth) -> None:
        """worth: what an amount (1e-8) of an asset is in the account's currency."""
        self.trades: list[BridgeTrade] = []
        self.fees: dict[str, int] = {}
        self._worth = worth
        self._specs = files.config.get("instruments", {})
        self._positions: dict[str, Position] = {}
        self._sums: dict[str, _Sums] = {}
        self._settles: dict[str, str] = {}
        self._rows: dict[str, deque[Row]] = {}
        for batch in files.batches("trades"):
            for row in plain_rows(batch):
                self._rows.setdefault(row["instrument"], deque()).append(row)
        for batch in files.batches("fills", _FILLS):
            for fill in plain_rows(batch):
                self._on_fill(fill)
        self.open_units = sum(worth(self._settles[name], sums.gross) for name, sums in self._sums.items())

    def _on_fill(self, fill: Row) -> None:
        instrument, sign = fill["instrument"], 1 if fill["side"] == "buy" else -1
        spec = self._specs.get(listed_id(InstrumentId(instrument)), {})
        is_spot, gain = instrument.startswith(f"{SPOT}:"), -1 if instrument.startswith("cm:") else 1
        settles = self._settles[instrument] = str(spec["quote"]) if is_spot and "quote" in spec else fill["fee_asset"]
        qty, notional, fee = (_units(fill[key]) for key in ("qty", "notional", "fee"))
        slippage = -sign * gain * (notional - _at_reference(fill, notional, inverse=gain < 0))
        in_coin = back = 0
        if is_spot and fill["fee_asset"] != settles and fill["fee_asset"] == spec.get("base"):
            step = 10 ** (MONEY_EXPONENT - int(spec.get("qty_decimals", MONEY_EXPONENT)))
            in_coin = fee // step * step
            fee = back = mul_div(in_coin, notional, qty, HALF_EVEN)
            asset = settles
        else:
            asset = fill["fee_asset"]
        self.fees[asset] = self.fees.get(asset, 0) + fee
        held = self._positions.get(instrument, FLAT).qty_units
        closing = min(abs(held), qty) if held * sign < 0 else 0
        if 0 < closing < qty:
            part, slip = (mul_div(units, closing, qty, FLOOR) for units in (notional, slippage))
            self._take(instrument, gain, _Part(sign * closing, part, slip, 0, 0))
            qty, notional, slippage = qty - closing, notional - part, slippage - slip
        self._take(instrument, gain, _Part(sign * qty, notional, slippage, in_coin, back))

    def _take(self, instrument: str, gain: int, part: _Part) -> None:
        before = self._positions.get(instrument, FLAT)
        after, realised = position_after(before, part.signed_qty, part.notional, gain)
        self._positions[instrument] = Position(after.qty_units - part.in_coin, after.basis_units)
        sums = self._sums.setdefault(instrument, _Sums())
        sums.gross += realised + part.back
        sums.slippage += part.slippage
        sums.parts += 1
        rows = self._rows.get(instrument)
        if rows and sums.parts == rows[0]["fills"]:
            self._close(instrument, rows.popleft(), self._sums.pop(instrument))

    def _close(self, instrument: str, row: Row, sums: _Sums) -> None:
        self.trades.append(
            BridgeTrade(
                instrument,
                row["side"],
                row["entry_time"],
                row["exit_time"],
                _units(row["qty"]),
                self._worth(self._settles[instrument], sums.gross),
                self._worth(self._settles[instrument], sums.slippage),
            )
        )


def _units(value: Decimal) -> int:
    return int(value * MONEY_SCALE)


def _at_reference(fill: dict[str, Any], notional: int, *, inverse: bool) -> int:
    """Return what a fill would have been worth at its reference price."""
    price, reference = fill["price"], fill["reference_price"]
    if price == reference or not price or not reference:
        return notional
    num, den = (price, reference) if inverse else (reference, price)
    return mul_div(notional, int(num.scaleb(12)), int(den.scaleb(12)), HALF_EVEN)
