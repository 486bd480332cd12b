"""The venue's own marks and Greeks: two days of end-of-hour summaries of 2023, one frame of marks of 2026.

A row of hour h shows the end of that hour. What the columns turn out to be: Black-Scholes on the index without any rate
or carry, years of 365 days; vega per 0.01, theta per day; a mark is rounded down to its tick, and never below one.
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist, median
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from backtester.core.time import parse_time
from backtester.pricing.black import (
    black76_greeks,
    black76_price,
    black_scholes_greeks,
    black_scholes_price,
    venue_units,
)
from backtester.pricing.implied import Reason, implied_volatility

HOUR = 3600 * 10**6
YEAR = 365 * 24 * HOUR
TICKS = (0.1, 1.0)  # of the marks of these days
ROUNDING = 0.03  # what the printed digits of volatility and delta leave open, USD


class Chain(NamedTuple):
    """Rows as columns. time: end of the hour, µs. oi_index: what the open interest implies, or NaN."""

    time: NDArray[np.int64]
    years: NDArray[np.float64]
    strike: NDArray[np.float64]
    is_call: NDArray[np.bool_]
    volatility: NDArray[np.float64]
    mark: NDArray[np.float64]
    delta: NDArray[np.float64]
    gamma: NDArray[np.float64]
    vega: NDArray[np.float64]
    theta: NDArray[np.float64]
    oi_index: NDArray[np.float64]


def rows(folder: Path) -> Iterator[tuple[object, ...]]:
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
            for row in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
                end = parse_time(row["date"]) + (int(row["hour"]) + 1) * HOUR
                day, strike = row["strike"].split("-")
                expiry = parse_time(f"20{day[:2]}-{day[2:4]}-{day[4:]}") + 8 * HOUR
                if expiry <= end:
                    continue  # expired contracts still show for an hour
                numbers = [float(row[key]) for key in ("mark_iv", "mark_price", "delta", "gamma", "vega", "theta")]
                contracts, worth = (float(row[key] or 0) for key in ("openinterest_contracts", "openinterest_usdt"))
                index = worth / contracts if contracts else np.nan
                yield end, (expiry - end) / YEAR, float(strike), row["type"] == "C", *numbers, index


@pytest.fixture(scope="module")
def chain(real_data: Path) -> Chain:
    found = rows(real_data / "archive/data/option/daily/EOHSummary/BTCUSDT")
    return Chain(*(np.array(column) for column in zip(*found, strict=True)))


def prices_by_delta(chain: Chain) -> NDArray[np.float64]:
    """What each row's delta and volatility say of the underlying; NaN where delta says too little."""
    of_call = np.where(chain.is_call, chain.delta, 1 + chain.delta)
    known = (of_call > 0.1) & (of_call < 0.9)
    d1 = np.array([NormalDist().inv_cdf(one) if ok else np.nan for one, ok in zip(of_call, known, strict=True)])
    total = chain.volatility * np.sqrt(chain.years)
    return np.asarray(chain.strike * np.exp(d1 * total - total**2 / 2))


@pytest.fixture(scope="module")
def underlying(chain: Chain) -> NDArray[np.float64]:
    """One price of the underlying per hour, for each row."""
    each = prices_by_delta(chain)
    by_hour = {time: float(np.nanmedian(each[chain.time == time])) for time in np.unique(chain.time)}
    return np.array([by_hour[time] for time in chain.time])


def test_the_forward_of_every_expiry_is_one_price_and_that_is_the_index(
    chain: Chain, underlying: NDArray[np.float64]
) -> None:
    assert len(chain.time) > 10_000
    assert len(np.unique(chain.time)) == 48
    each = prices_by_delta(chain)
    known = ~np.isnan(each)
    assert known.sum() > 5_000
    # expiries from hours to eleven months ahead: with a carry of 0.01 % a year they would differ by 3 USD
    assert np.max(np.abs(each - underlying)[known]) < 0.05
    hours = np.unique(chain.time)
    by_open_interest = [median(i for i in chain.oi_index[chain.time == hour] if i > 0) for hour in hours]
    found = [underlying[chain.time == hour][0] for hour in hours]
    assert np.max(np.abs(np.array(found) / by_open_interest - 1)) < 0.001  # taken some seconds apart


def test_a_mark_is_the_price_rounded_down_to_a_tick_and_at_least_one_tick(
    chain: Chain, underlying: NDArray[np.float64]
) -> None:
    above = black76_price(underlying, chain.strike, chain.years, chain.volatility, chain.is_call) - chain.mark
    least = np.isin(chain.mark, TICKS)
    assert np.all(above[~least] > -ROUNDING)
    fine = np.abs(chain.mark - np.round(chain.mark)) > 0.01  # surely of the finer tick
    assert fine.sum() > 1_000
    for some, tick in ((fine, min(TICKS)), (~fine, max(TICKS))):
        assert np.max(above[some]) < tick + ROUNDING


def test_the_greeks_are_the_columns(chain: Chain, underlying: NDArray[np.float64]) -> None:
    ours = venue_units(black76_greeks(underlying, chain.strike, chain.years, chain.volatility, chain.is_call))
    day = chain.years > 1 / 365
    assert np.max(np.abs(ours.delta - chain.delta)[day]) < 5e-7
    assert np.max(np.abs(ours.gamma - chain.gamma)[day]) < 1e-8  # printed with 8 decimals
    for mine, column in ((ours.vega, chain.vega), (ours.theta, chain.theta)):
        large = day & (np.abs(column) > 1)
        off = np.abs(mine[large] / column[large] - 1)
        assert np.max(off) < 1e-5


def test_the_volatility_lies_between_those_that_the_mark_and_the_next_tick_imply(
    chain: Chain, underlying: NDArray[np.float64]
) -> None:
    def implied(price: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        found = implied_volatility(price, underlying, chain.strike, chain.years, chain.is_call)
        return found.volatility, found.reason == Reason.FOUND

    low, has_low = implied(chain.mark - ROUNDING)
    high, has_high = implied(chain.mark + max(TICKS) + ROUNDING)
    both = has_low & has_high & (chain.vega > 1)
    assert both.sum() > 9_000
    assert np.all((low <= chain.volatility)[both])
    assert np.all((chain.volatility <= high)[both])


def test_since_the_venue_publishes_a_rate_it_is_black_scholes_with_that_rate(real_data: Path) -> None:
    frame = json.loads((real_data / "samples" / "ws_option_optionMarkPrice_2026-09-23.json").read_text())
    [one] = frame["data"]
    assert one["s"] == "BTC-260925-86000-C"
    years = (parse_time("2026-09-25") + 8 * HOUR - one["E"] * 1000) / YEAR
    terms = (float(one["i"]), 86_000.0, years, float(one["vo"]), True, float(one["rf"]))
    assert round(float(black_scholes_price(*terms)), 3) == float(one["mp"])
    greeks = venue_units(black_scholes_greeks(*terms))
    assert float(greeks.delta) == pytest.approx(float(one["d"]), abs=1e-7)
    assert float(greeks.vega) == pytest.approx(float(one["v"]), abs=1e-7)
    # gamma and theta are of another volatility, the mean of bid and ask, and theta leaves the rate's part out
    middle = (float(one["b"]) + float(one["a"])) / 2
    assert float(greeks.gamma) * terms[3] / middle == pytest.approx(float(one["g"]), abs=2e-8)
    decay = -float(greeks.vega) * 100 * middle / (2 * years) / 365
    assert decay == pytest.approx(float(one["t"]), rel=1e-4)
