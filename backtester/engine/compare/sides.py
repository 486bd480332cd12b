"""One of the runs that are compared: its record, its figures, and what its final equity is made of."""

from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from backtester.core.errors import CheckFailed, UsageError
from backtester.core.events import DEPOSIT, TRANSFER
from backtester.core.numbers import HALF_EVEN, MONEY_SCALE, mul_div
from backtester.core.time import parse_time
from backtester.engine.compare.closed_trades import ClosedTrades
from backtester.engine.explain.run_files import RunFiles
from backtester.report.bridge import BridgeSide
from backtester.report.figures import Metric

_NO_TRADE: Final = (DEPOSIT, TRANSFER)


class NoBridge(UsageError):
    """What a run comes to cannot be told in its currency."""


class ComparedRun:
    """A sealed run.

    Raises:
        UsageError: it was never sealed, or its metrics cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.files = RunFiles(folder)
        if not self.files.sealed:
            raise UsageError(
                f"{folder} was never sealed: it has no figures to compare", hint=f"bt replay {folder} reads its log"
            )
        self.record = self.files.record
        try:
            self.metrics: dict[str, Metric] = msgspec.json.decode((folder / "metrics.json").read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"{folder / 'metrics.json'} cannot be read: {error}") from None

    @property
    def currency(self) -> str:
        """In what its account is summed up."""
        return str(self.metrics["final_equity"]["currency"])

    @property
    def initial(self) -> float:
        """Equity at the start, to draw curves by; NaN when it is not above zero."""
        value = float(self.metrics["initial_equity"]["value"])
        return value if value > 0 else float("nan")

    @property
    def range(self) -> tuple[int, int]:
        """First and last time of the run, µs UTC."""
        return parse_time(self.record["range"]["start"]), parse_time(self.record["range"]["end"])

    @property
    def strategy(self) -> str:
        """Which class decided; of several strategies, each with its name."""
        origin = self.record["strategy"]
        parts = [f"{name} {part['class']}" for name, part in sorted(origin.get("parts", {}).items())]
        return ", ".join(parts) or str(origin.get("class", origin.get("name")))

    def equity(self, start: int, end: int, points: int) -> NDArray[np.float64]:
        """Return the last equity known at the end of each of `points` equal parts of [start, end]; NaN where the run
        was not.

        The table is read batch by batch: memory does not grow with the run.
        """
        found = np.full(points, np.nan)
        for batch in self.files.batches("equity", ["ts", "equity"]):
            ts = batch.column(0).cast("int64").to_numpy()
            values = pc.cast(batch.column(1), "float64").to_numpy()
            places = np.clip((ts - start) * points // max(1, end - start), 0, points - 1)
            inside = (ts >= start) & (ts <= end)
            found[places[inside]] = values[inside]  # of equal places the last one stays
        known = np.where(np.isnan(found), 0, np.arange(points))
        np.maximum.accumulate(known, out=known)
        curve = found[known]
        over = (self.range[1] - start) * points // max(1, end - start) + 1
        curve[max(0, over) :] = np.nan
        return curve

    def side(self) -> BridgeSide:
        """Return what the final equity is made of.

        Raises:
            NoBridge: what another asset was worth at the end is not known.
            CheckFailed: the tables do not add up to the account.
        """
        flows = self._flows()
        counted = ClosedTrades(self.files, self._worth)
        unrealised, last = 0, None
        for last in self.files.batches("equity", ["unrealised"]):  # noqa: B007 - the last one counts
            pass
        if last is not None and last.num_rows:
            unrealised = int(last.column(0)[-1].as_py() * MONEY_SCALE)
        side = BridgeSide(
            initial_units=_money(self.metrics["initial_equity"]),
            final_units=_money(self.metrics["final_equity"]),
            trades=counted.trades,
            open_units=counted.open_units + unrealised,
            fees_units=sum(self._worth(asset, units) for asset, units in sorted(counted.fees.items())),
            funding_units=sum(self._worth(a, units) for (kind, a), units in flows.items() if kind == "funding"),
            other_units=sum(
                self._worth(a, units) for (kind, a), units in flows.items() if kind not in (*_NO_TRADE, "funding")
            ),
            data=self._data(),
        )
        others = {asset for _, asset in flows} | set(counted.fees)
        if side.conversions_units and others == {self.currency}:
            raise CheckFailed(
                f"{self.folder}: its tables do not add up to its final equity: {side.conversions_units} of 1e-8 "
                f"{self.currency} are missing",
                hint=f"bt replay {self.folder} says which file was changed",
            )
        return side

    def _flows(self) -> dict[tuple[str, str], int]:
        """Return by kind and asset what came without a trade."""
        found: dict[tuple[str, str], int] = {}
        for line in self.files.log.mentioning([b'"topic":"cashflows"']):
            key = (line.event["kind"], line.event["asset"])
            found[key] = found.get(key, 0) + int(Fraction(line.event["amount"]) * MONEY_SCALE)
        return found

    def _worth(self, asset: str, units: int) -> int:
        """Return what an amount is worth in the account's currency at the end of the run, half-even."""
        if asset == self.currency or not units:
            return units
        rate = self._rates.get(asset)
        if rate is None:
            raise NoBridge(f"{self.folder} does not record what {asset} was worth at its end")
        return mul_div(units, rate.numerator, rate.denominator, HALF_EVEN)

    @cached_property
    def _rates(self) -> dict[str, Fraction]:
        """By asset what one was worth: at the end, where a balance says so, else at the last look at the account."""
        found: dict[str, Fraction] = {}
        for line in self.files.log.mentioning([b'"rates":']):
            found |= {asset: Fraction(rate) for asset, rate in line.event.get("rates", {}).items()}
        for holding, row in self.record.get("portfolio", {}).get("wallets", {}).items():
            asset, end = holding.partition(":")[2], Fraction(row["end"])
            if end:
                found[asset] = Fraction(row["worth"]) / end
        return found

    def _data(self) -> dict[str, object]:
        """Return by instrument the digests of the market data that were read of it."""
        found: dict[str, set[tuple[str, str]]] = {}
        for one in self.record.get("data", []):
            market, _, symbol, *_ = Path(one["path"]).parts
            found.setdefault(f"{market}:{symbol}", set()).add((one["path"], one["content"]))
        return dict(found)


def _money(metric: dict[str, Any]) -> int:
    return int(Fraction(metric["value"]) * MONEY_SCALE)
