"""Random orders and margin changes over wild futures, isolated and cross, one-way and hedged: what must always hold.

Every run is judged from its log alone, by a fold of its own in exact fractions.
"""

import random
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtester.core.time import HOUR
from backtester.engine.replay import replay
from tests.scenarios.test_venue_examples import answer
from tests.sim.derivatives import bracket_table
from tests.support.lakes import write_rows
from tests.support.market import Row, time_of, write_candles
from tests.support.profiles import examples
from tests.support.runs import Ran, config_of, prepared_run, run_prepared, scripted
from tests.support.venue import put_rules

SYMBOLS = ("BTCUSDT", "ETHUSDT")
MINUTES = 240
CASH = 2_000
UNIT = Fraction(1, 10**8)
TABLE = bracket_table((3_000, 50, "0.01"), (8_000, 20, "0.025"), (60_000, 10, "0.05"))
RATES = [0.002, -0.001, 0.003, -0.002]


def wild(seed: int) -> list[Row | None]:
    """A price that jumps by some per cent a minute, with wicks."""
    rng, price = random.Random(seed), 100.0
    rows: list[Row | None] = []
    for _ in range(MINUTES):
        opened = round(price * (1 + rng.gauss(0, 0.003)), 2)
        price = round(max(5.0, opened * (1 + rng.gauss(0, 0.012))), 2)
        high, low = (
            max(opened, price) * (1 + abs(rng.gauss(0, 0.006))),
            min(opened, price) * (1 - abs(rng.gauss(0, 0.006))),
        )
        rows.append((opened, round(high, 2), round(low, 2), price, 500.0))
    return rows


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two futures of four hours, funding every hour, in small brackets."""
    folder = tmp_path_factory.mktemp("wild") / "lake"
    for seed, symbol in enumerate(SYMBOLS, start=1):
        write_candles(folder, wild(seed), symbol=symbol, market="um")
        columns = {"time": [time_of(60 * h) + 5_000 for h in range(1, 5)], "interval_hours": [1] * 4}
        write_rows(folder, "fundingRate", symbol, columns | {"funding_rate": RATES})
    put_rules(folder, [answer(symbol, TABLE) for symbol in SYMBOLS], date="2023-01-01")
    return folder


ACTIONS = st.tuples(
    st.integers(0, MINUTES - 3),
    st.sampled_from(SYMBOLS),
    st.sampled_from(["enter", "enter", "enter", "limit", "stop", "protected", "reduce", "close"]),
    st.sampled_from(["long", "short"]),
    st.integers(1, 90),
)
CHANGES = st.tuples(
    st.integers(0, MINUTES - 3),
    st.sampled_from(SYMBOLS),
    st.sampled_from(["leverage", "mode", "add", "take"]),
    st.sampled_from(["long", "short"]),
    st.integers(1, 50),
)


def wish(s: Any, action: tuple[int, str, str, str, int], *, hedge: bool) -> list[Any]:
    """What a drawn action means to a strategy."""
    _, name, verb, side, size = action
    opens, closes = (s.buy, s.sell) if side == "long" else (s.sell, s.buy)
    which = {"position_side": side} if hedge else {}
    sign = 1 if side == "long" else -1
    price = s.last.get(name, 100.0)
    match verb:
        case "enter":
            return [opens(name, size, **which)]
        case "limit":
            return [opens(name, size, limit=round(price * (1 - sign * 0.01), 2), **which)]
        case "stop":
            return [closes(name, size, stop=round(price * (1 - sign * 0.02), 2), **which)]
        case "protected":
            stop, target = (round(price * (1 + sign * part), 2) for part in (-0.03, 0.02))
            return [opens(name, size, stop_loss=stop, take_profits=target, **which)]
        case "reduce":
            return [closes(name, size, reduce_only=True, **which)]
        case "close":
            return s.close(name, **which)  # type: ignore[no-any-return]
        case "leverage":
            return [s.set_leverage(name, size)]
        case "mode":
            return [*s.close(name), s.set_margin_mode(name, "cross" if size % 2 else "isolated")]
        case _:
            return [s.add_margin(name, size * (1 if verb == "add" else -1), side if hedge else "")]


def random_strategy(actions: list[Any], *, hedge: bool) -> Any:
    by_candle: dict[int, list[Any]] = defaultdict(list)
    for action in actions:
        by_candle[action[0]].append(action)
    act = {
        n: lambda s, todo=todo: [w for action in todo for w in wish(s, action, hedge=hedge)]
        for n, todo in by_candle.items()
    }

    class Random(scripted(act)):  # type: ignore[misc]
        def on_start(self) -> None:
            super().on_start()
            self.last: dict[str, float] = {}

        def on_candle(self, candle: Any) -> Any:
            self.last[candle.symbol] = candle.close
            return super().on_candle(candle)

    return Random


class Judge:
    """Folds a log in fractions, and asserts what must hold at each line of it."""

    def __init__(self, ran: Ran, leverage: int, mode: str) -> None:
        self.held: dict[str, tuple[Fraction, Fraction]] = {}  # signed quantity, signed basis
        self.terms: dict[str, tuple[int, str]] = {}
        self.added: dict[str, Fraction] = defaultdict(Fraction)
        self.insured: dict[str, Fraction] = defaultdict(Fraction)
        self.paid: Counter[tuple[str, int]] = Counter()
        self.start = leverage, mode
        self.ran = ran
        self.isolated_falls = 0

    def judge(self) -> None:
        dues = {self.ran.prepared.start + h * HOUR for h in range(1, 5)}
        holdings: dict[int, list[set[str]]] = defaultdict(list)  # by funding time: what was held as its tick went on
        payers: dict[int, set[str]] = defaultdict(set)
        waiting = sorted(dues)
        for line in self.ran.lines:
            while waiting and line["tick"] >= waiting[0]:
                holdings[waiting.pop(0)].append(set(self.held))
            event, tick = line["event"], line["tick"]
            if line["topic"] == "cashflows" and event["kind"] == "funding":
                if not payers[event["ts"]]:
                    holdings[event["ts"]] = [set(self.held)]
                payers[event["ts"]].add(event["instrument"])
            self.fold(line["topic"], event)
            if tick in dues and not payers[tick]:
                holdings[tick].append(set(self.held))
        assert set(self.paid.values()) <= {1}
        for time, seen in holdings.items():  # where nobody paid, nothing was held when the time came
            assert payers[time] in seen or (not payers[time] and set() in seen)

    def fold(self, topic: str, event: dict[str, Any]) -> None:
        if topic == "cashflows" and event["kind"] == "funding":
            self.funding(event)
        elif topic == "cashflows" and event["kind"] == "insurance":
            self.insured[event["instrument"]] += Fraction(event["amount"])
        elif topic == "margin_terms":
            self.terms[event["instrument"]] = (event["leverage"], event["mode"])
            self.added[event["instrument"]] = Fraction(event["added"])
        elif topic == "fills":
            self.fill(event)
        elif topic == "account_snapshot":
            assert Decimal(event["equity"]) >= 0

    def funding(self, flow: dict[str, Any]) -> None:
        name, told = flow["instrument"], flow["numbers"]
        self.paid[name, flow["ts"]] += 1
        qty = self.held[name][0]
        assert Fraction(told["qty"]) == qty
        exact = -qty * Fraction(told["mark"]) * Fraction(told["rate"])
        assert Fraction(flow["amount"]) == floor(exact / UNIT) * UNIT

    def fill(self, fill: dict[str, Any]) -> None:
        name, price, fee = fill["instrument"], Fraction(fill["price"]), Fraction(fill["fee"])
        signed = Fraction(fill["qty"]) * (1 if fill["side"] == "buy" else -1)
        qty, basis = self.held.pop(name, (Fraction(0), Fraction(0)))
        leverage, mode = self.terms.get(name, self.start)
        closed = min(abs(qty), abs(signed)) if qty * signed < 0 else Fraction(0)
        if fill["tag"] == "liquidation":
            assert closed == abs(signed)
            share = (abs(basis) / leverage + self.added[name]) * closed / abs(qty)
            lost = (basis / qty - price) * closed * (1 if qty > 0 else -1)
            if mode == "isolated":
                self.isolated_falls += 1
                assert lost + fee - self.insured.pop(name, Fraction(0)) <= share + 4 * UNIT
            else:
                self.insured.pop(name, None)
        if closed:
            self.added[name] *= 1 - closed / abs(qty)
        left = qty + signed
        rest = (basis * (1 - closed / abs(qty)) if qty else basis) if left * qty >= 0 else Fraction(0)
        if closed < abs(signed):
            rest += (signed - (closed if signed > 0 else -closed)) * price
        if left:
            self.held[name] = (left, rest)
        if name.endswith("@long"):
            assert left >= 0
        elif name.endswith("@short"):
            assert left <= 0


@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    actions=st.lists(ACTIONS, min_size=5, max_size=40),
    changes=st.lists(CHANGES, max_size=10),
    leverage=st.sampled_from([1, 5, 10, 20]),
    mode=st.sampled_from(["isolated", "cross"]),
    position_mode=st.sampled_from(["one_way", "hedge"]),
    taker_bps=st.sampled_from([0, 5]),
)
def test_whatever_is_traded_and_changed_the_money_of_futures_adds_up(
    lake: Path,
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[Any],
    changes: list[Any],
    leverage: int,
    mode: str,
    position_mode: str,
    taker_bps: int,
) -> None:
    hedge = position_mode == "hedge"
    config = config_of(
        lake,
        list(SYMBOLS),
        run={"market": "um"},
        account={"initial_cash": CASH},
        fees={"maker_bps": 0, "taker_bps": taker_bps},
        futures={"leverage": leverage, "margin_mode": mode, "position_mode": position_mode},
        execution={"participation": "0.1"},
    )
    strategy = random_strategy(sorted(actions + changes), hedge=hedge)
    # the run itself ends in an error when an asset's parts do not sum to what is held of it
    ran = run_prepared(tmp_path_factory.mktemp("run"), prepared_run(strategy, config))
    Judge(ran, leverage, mode).judge()
    replay(ran.path)


def test_the_streams_reach_what_they_are_to_prove(lake: Path, tmp_path: Path) -> None:
    actions = [(n, SYMBOLS[n % 2], "enter", ("long", "short")[n // 7 % 2], 40 + n % 30) for n in range(2, 200, 3)]
    actions += [(n, SYMBOLS[n % 2], "add", "long", 30) for n in range(10, 200, 11)]
    config = config_of(
        lake,
        list(SYMBOLS),
        run={"market": "um"},
        account={"initial_cash": CASH},
        futures={"leverage": 20, "position_mode": "hedge"},
    )
    ran = run_prepared(tmp_path, prepared_run(random_strategy(actions, hedge=True), config))
    judge = Judge(ran, 20, "isolated")
    judge.judge()
    assert judge.isolated_falls > 2
    assert sum(judge.paid.values()) > 2
    assert len(ran.events("margin_terms")) > 2
