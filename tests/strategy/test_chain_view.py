"""What a strategy sees of a chain."""

from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest

from backtester.core.errors import StrategyError
from backtester.core.instruments import InstrumentId, option_name
from backtester.core.market import OptionQuote
from backtester.core.time import DAY, HOUR, parse_time
from backtester.strategy.chain_view import ChainView
from tests.support.chains import CHAIN, Quote, at_hours, run_chain
from tests.support.market import flat, write_candles
from tests.support.runs import config_of, prepared_run, run_prepared

NOW = parse_time("2024-01-04T08:00")  # a Thursday
FRIDAY, THURSDAY, NEXT = (parse_time(f"2024-01-{day}T08:00") for day in ("05", "11", "12"))


def quote(contract: str, delta: float = nan) -> OptionQuote:
    name = option_name(contract)
    assert name is not None
    unknown = dict.fromkeys(OptionQuote.__struct_fields__, nan)
    return OptionQuote(
        **unknown
        | {
            "contract": contract,
            "expiry": name.expiry,
            "strike": float(name.strike),
            "is_call": name.is_call,
            "delta": delta,
        }
    )


def view(*quotes: OptionQuote, now: int = NOW) -> ChainView:
    return ChainView(InstrumentId(CHAIN), now, now, nan, quotes)


ALL = view(
    quote("BTC-240105-30000-P", -0.4),
    quote("BTC-240105-30000-C", 0.6),
    quote("BTC-240111-30000-C", 0.5),
    quote("BTC-240112-30000-C", 0.7),
    quote("BTC-240112-31000-C", 0.25),
    quote("BTC-240112-32000-C", 0.15),
    quote("BTC-240112-33000-C"),
    quote("BTC-240112-29000-P", -0.2),
)


def contracts(quotes: Any) -> list[str]:
    return [one.contract for one in quotes]


def test_contracts_are_found_by_expiry_side_and_strike() -> None:
    assert ALL.expiries == (FRIDAY, THURSDAY, NEXT)
    assert ALL.strikes(NEXT) == (29_000, 30_000, 31_000, 32_000, 33_000)
    assert contracts(ALL.of(FRIDAY)) == ["BTC-240105-30000-P", "BTC-240105-30000-C"]
    assert contracts(ALL.of(is_call=False)) == ["BTC-240105-30000-P", "BTC-240112-29000-P"]
    assert contracts(ALL.of(NEXT, is_call=True, strike=31_000)) == ["BTC-240112-31000-C"]
    assert ALL.instrument(ALL.quotes[0]) == "option:BTC-240105-30000-P"


@pytest.mark.parametrize(
    ("delta", "is_call", "found"),
    [
        (0.3, True, "BTC-240112-31000-C"),
        (0.2, True, "BTC-240112-31000-C"),  # as far from both: the lower strike
        (0.1, True, "BTC-240112-32000-C"),
        (-0.5, False, "BTC-240112-29000-P"),
        (0.5, False, "BTC-240112-29000-P"),
    ],
)
def test_the_nearest_delta_leaves_out_what_has_none(delta: float, is_call: bool, found: str) -> None:
    nearest = ALL.nearest_delta(delta, NEXT, is_call=is_call)
    assert nearest is not None
    assert nearest.contract == found


def test_an_expiry_without_deltas_has_no_nearest_one() -> None:
    assert view(quote("BTC-240112-33000-C")).nearest_delta(0.2, NEXT, is_call=True) is None
    assert ALL.nearest_delta(0.2, THURSDAY, is_call=False) is None


@pytest.mark.parametrize(("least", "found"), [(0, FRIDAY), (DAY - 1, FRIDAY), (DAY, NEXT), (9 * DAY, None)])
def test_the_nearest_weekly_is_a_friday_with_time_left(least: int, found: int | None) -> None:
    assert ALL.nearest_weekly(least) == found


def test_the_view_is_of_the_last_row_that_is_known_and_without_what_has_expired(tmp_path: Path) -> None:
    seen = []

    def look(strategy: Any) -> None:
        chain = strategy.chain("BTCUSDT")
        seen.append(((strategy.now - chain.ts) // HOUR, chain.index, contracts(chain.quotes)))
        assert strategy.chain(CHAIN) == chain

    soon, late = "BTC-240101-30000-C", "BTC-240102-30000-C"
    market = [Quote(n, name, 1, 2, index=30_000 + n) for n in range(10) for name in (soon, late) if n != 4]
    run_chain(tmp_path, market, {7: look, 8: look, 9: look})
    assert seen == [(0, 30_006, [soon, late]), (0, 30_007, [late]), (0, 30_008, [late])]


def test_candles_of_an_instant_are_shown_after_the_chain_and_before_the_first_row_there_is_none(tmp_path: Path) -> None:
    seen = []

    class Watcher(at_hours({})):  # type: ignore[misc]
        def on_candle(self, candle: Any) -> None:
            chain = self.chain("BTCUSDT")
            seen.append((chain.ts == self.now, len(chain.quotes), isnan(chain.index)))

    write_candles(tmp_path / "lake", flat(30_000, 180))
    market = [Quote(n, "BTC-240112-30000-C", 1, 2) for n in (1, 2)]
    run_chain(
        tmp_path, market, Watcher, symbols=["spot:BTCUSDT", CHAIN], run={"timeframe": "30m", "start": "2024-01-01"}
    )
    assert seen == [(False, 0, True)] * 3 + [(True, 1, False), (False, 1, False), (True, 1, False)]


def test_the_contracts_of_a_whole_chain_are_no_instruments_that_the_run_names(tmp_path: Path) -> None:
    names = []
    market = [Quote(n, "BTC-240112-30000-C", 1, 2) for n in range(3)]
    run_chain(tmp_path, market, {1: lambda s: names.append([i.id for i in s.instruments])})
    lake = tmp_path / "lake"
    config = config_of(lake, ["option:BTC-240112-30000-C"])
    act = at_hours({1: lambda s: names.append([i.id for i in s.instruments])})
    run_prepared(tmp_path / "one", prepared_run(act, config))
    assert names == [[], ["option:BTC-240112-30000-C"]]


def test_a_chain_that_is_not_in_the_run_is_an_error_that_says_which_are(tmp_path: Path) -> None:
    market = [Quote(n, "BTC-240112-30000-C", 1, 2) for n in range(3)]
    with pytest.raises(StrategyError, match="'ETHUSDT' is not in this run"):
        run_chain(tmp_path, market, {1: lambda s: s.chain("ETHUSDT")})
