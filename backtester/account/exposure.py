"""What the account is exposed to, per underlying, at every boundary of the run's timeframe: money and Greeks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtester.core.board import Greeks
from backtester.core.instruments import Contract, Instrument, InstrumentId
from backtester.core.numbers import MONEY_SCALE

Floats = NDArray[np.float64]


GreekSeries = Mapping[InstrumentId, Sequence[tuple[int, Greeks]]]
"""By option, when its Greeks became known (µs, ascending), and which."""


class ExposureColumns(NamedTuple):
    """Rows by time, then underlying: net and gross worth in 1e-8 of the account's currency, Greeks in base units."""

    ts: NDArray[np.int64]
    underlying: list[str]
    net: NDArray[Any]
    gross: NDArray[Any]
    delta: Floats
    gamma: Floats
    vega: Floats
    theta: Floats


ExposureSink = Callable[[ExposureColumns], None]


class ExposureWindow:
    """Adds up the positions of one window of boundaries."""

    def __init__(self, ticks: NDArray[np.int64], greeks: GreekSeries) -> None:
        self._ticks = ticks
        self._greeks = greeks
        self._money: dict[str, list[NDArray[Any]]] = {}
        self._units: dict[str, list[Floats]] = {}

    def add(self, underlying: str, worth: NDArray[Any], units: Floats) -> None:
        """Take a holding whose worth moves with the price one to one.

        worth: at each boundary, 1e-8 of the currency, signed. units: of the base asset, signed.
        """
        flat = np.zeros_like(units)
        self._take(underlying, worth, [units, flat, flat, flat])

    def add_position(self, spec: Instrument, worth: NDArray[Any], value: NDArray[Any], qty: Floats) -> None:
        """Take a position; value: in what it settles in, 1e-8; qty: in units of 10^-q, both signed."""
        coins = base_units(value) if spec.is_inverse else qty / 10**spec.scale.qty
        if spec.kind is Contract.OPTION:
            self.add_option(spec.id, spec.base, worth, coins * (spec.contract_units / MONEY_SCALE))
        else:
            self.add(spec.base, worth, coins)

    def add_option(self, option: InstrumentId, underlying: str, worth: NDArray[Any], units: Floats) -> None:
        """Take an option; units: base units that it is on. Greeks that nobody told are NaN while it is held."""
        series = self._greeks.get(option, ())
        at = np.searchsorted([ts for ts, _ in series], self._ticks, side="right")
        known = np.array([[np.nan] * 4, *(greeks for _, greeks in series)], dtype=np.float64)[at]
        with np.errstate(invalid="ignore"):
            self._take(underlying, worth, [np.where(units == 0, 0.0, known[:, n] * units) for n in range(4)])

    def _take(self, underlying: str, worth: NDArray[Any], units: list[Floats]) -> None:
        money = self._money.get(underlying)
        if money is None:
            self._money[underlying], self._units[underlying] = [worth, abs(worth)], units
        else:
            money[0], money[1] = money[0] + worth, money[1] + abs(worth)
            self._units[underlying] = [a + b for a, b in zip(self._units[underlying], units, strict=True)]

    def columns(self) -> ExposureColumns | None:
        """Return the rows in which something is held; None without any."""
        names = sorted(self._money)
        held = {name: np.flatnonzero((self._money[name][1] != 0) | (self._units[name][0] != 0)) for name in names}
        rows = np.concatenate([held[name] for name in names]) if names else np.empty(0, dtype=np.int64)
        if not len(rows):
            return None
        whose = np.repeat(np.arange(len(names)), [len(held[name]) for name in names])
        order = np.argsort(rows, kind="stable")  # names are sorted already

        def put(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([c[held[name]] for c, name in zip(columns, names, strict=True)])[order]

        return ExposureColumns(
            self._ticks[rows[order]],
            [names[n] for n in whose[order].tolist()],
            *(put([self._money[name][n] for name in names]) for n in range(2)),
            *(put([self._units[name][n] for name in names]) for n in range(4)),
        )


def base_units(money: NDArray[Any]) -> Floats:
    """Return amounts of 1e-8 as floats."""
    return np.asarray(money, dtype=np.float64) / MONEY_SCALE
