"""Runs whose symbols name option chains: what becomes of them, beside other markets, and what is refused."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec import structs

from backtester.core.errors import DataError, StrategyError, UsageError
from backtester.core.instruments import option_name
from backtester.core.order_terms import Terms, TimeInForce
from backtester.core.time import HOUR, parse_time, utc
from backtester.engine.replay import replay, verify
from tests.support.chains import CHAIN, Quote, at_hours, black_quotes, fills_of, run_chain, wandering_index, write_chain
from tests.support.market import flat, time_of, write_candles
from tests.support.real import import_real
from tests.support.runs import Ran, config_of, prepared_run, run_prepared
from tests.support.venue import OPTION_SYMBOL, exchange_info, put_rules

C, P = "BTC-240126-30000-C", "BTC-240126-30000-P"


def quotes(hours: int = 4, *names: str) -> list[Quote]:
    return [Quote(hour, name, 90, 100, 5, 5, mark=95) for hour in range(hours) for name in (names or (C, P))]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    write_chain(tmp_path / "lake", quotes())
    return tmp_path / "lake"


@pytest.fixture(scope="module")
def real_lake(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("real") / "lake"
    return import_real(sorted((real_data / "archive/data/option/daily/EOHSummary/BTCUSDT").glob("*.zip")), lake)


def test_all_contracts_of_a_chain_become_instruments_under_one_section(lake: Path) -> None:
    prepared = prepared_run(at_hours({}), config_of(lake, [CHAIN]))
    assert list(prepared.instruments) == [f"option:{C}", f"option:{P}"]
    call, put = prepared.instruments.values()
    assert (call.base, call.quote, call.underlying, call.is_call, put.is_call) == ("BTC", "USDT", CHAIN, True, False)
    assert call.strike_units == 30_000 * 10**8
    assert call.expiry == parse_time("2024-01-26T08:00")
    assert list(prepared.config.instruments) == [CHAIN]
    assert prepared.config.run.symbols == (CHAIN,)
    assert prepared.config.run.timeframe == "1h"
    assert (prepared.start, prepared.end) == (time_of(0), time_of(240))


def test_tick_lot_and_unit_are_built_in_where_nothing_says_them(lake: Path) -> None:
    config = config_of(lake, [CHAIN]).model_copy(update={"instruments": {}})
    prepared = prepared_run(at_hours({}), config)
    spec = prepared.instruments[f"option:{C}"]  # type: ignore[index]
    rules = prepared.rules[spec.id].at(prepared.start)
    assert (rules.tick_units, rules.resting.lot_units, spec.contract_units) == (5 * 10**8, 1, 10**8)
    assert not any("no trading rules" in warning for warning in prepared.warnings)


def test_rules_of_the_lake_are_those_of_a_listed_contract_without_its_own_price_limits(lake: Path) -> None:
    other = {**OPTION_SYMBOL, "symbol": "ETH-251226-5000-C", "underlying": "ETHUSDT", "unit": 7}
    listed = {
        **OPTION_SYMBOL,
        "filters": [{**OPTION_SYMBOL["filters"][0], "tickSize": "0.5"}, OPTION_SYMBOL["filters"][1]],
    }
    put_rules(lake, exchange_info("2023-01-01", other, listed, key="optionSymbols"))
    config = config_of(lake, [CHAIN]).model_copy(update={"instruments": {}})
    prepared = prepared_run(at_hours({}), config)
    rules = prepared.rules[f"option:{C}"].at(prepared.start)  # type: ignore[index]
    assert (rules.tick_units, rules.resting.max_qty_units, rules.filters) == (5 * 10**7, 100_00, None)
    assert prepared.config.instruments[CHAIN].contract_size == 1


@pytest.mark.parametrize(
    ("symbols", "message"),
    [
        (["option:ETHUSDT"], "the lake .* has no option chain on ETHUSDT; it has: BTCUSDT"),
        (["option:ETH-240126-3000-C"], "has no option chain on ETHUSDT"),
        (["option:BTC-240126-30500-C"], f"is not in the chain option:BTCUSDT .*; near it: option:{C}"),
        (["option:BTC-231229-30000-C"], "expired at 2023-12-29T08:00:00Z, before the run begins"),
    ],
)
def test_an_unknown_underlying_or_contract_is_an_error_that_says_what_there_is(
    lake: Path, symbols: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        prepared_run(at_hours({}), config_of(lake, symbols))


def test_a_range_without_rows_is_an_error(lake: Path) -> None:
    with pytest.raises(DataError, match="it has: option:BTCUSDT 2024-01-01"):
        prepared_run(at_hours({}), config_of(lake, [CHAIN], run={"start": "2024-02-01"}))


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ([q for q in quotes() if q.hour != 2], "1 of 4 hours have no rows"),
        ([Quote(q.hour, q.contract, q.bid, q.ask, index=0) for q in quotes()], "4 of 4 rows imply no index"),
    ],
)
def test_a_strict_run_refuses_what_a_chain_does_not_say(tmp_path: Path, there: list[Quote], message: str) -> None:
    write_chain(tmp_path / "lake", there)
    with pytest.raises(DataError, match=f"{message}.*; execution.strict refuses that"):
        prepared_run(at_hours({}), config_of(tmp_path / "lake", [CHAIN], execution={"strict": True}))


def test_a_contract_of_a_broken_number_of_units_is_refused(lake: Path) -> None:
    with pytest.raises(UsageError, match="is not of whole units"):
        prepared_run(at_hours({}), config_of(lake, [CHAIN], instruments={CHAIN: {"contract_size": "0.5"}}))


def test_options_have_no_leverage(lake: Path) -> None:
    with pytest.raises(UsageError, match="no leverage"):
        prepared_run(at_hours({}), config_of(lake, [CHAIN], futures={"leverage": 3}))


def test_spot_beside_a_chain_may_be_finer_and_each_market_has_its_wallet(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(30_000, 240))
    script = {1: lambda s: [s.buy(C, 2, limit=100), s.buy("spot:BTCUSDT", "0.1")]}
    wallets = {"account": {"wallets": {"spot:USDT": "5000", "option:USDT": "1000"}}}
    ran = run_chain(tmp_path, quotes(), script, symbols=["spot:BTCUSDT", CHAIN], run={"timeframe": "1m"}, **wallets)
    assert fills_of(ran) == [(1, "BTCUSDT", "buy", "0.1", "30000", "0"), (2, C, "buy", "2", "100", "0")]
    assert ran.details["final"]["cash"] == {
        "option:USDT": "800.00000000",
        "spot:BTC": "0.10000000",
        "spot:USDT": "2000.00000000",
    }
    equity = [(row["ts"], float(row["equity"])) for row in ran.table("equity")]
    assert equity[-1] == (time_of(240), 5_990.0)  # two contracts of 95
    assert len([ts for ts, _ in equity if ts % (60 * 10**6) == 0]) >= 240  # a row a minute
    assert {value for ts, value in equity if time_of(120) < ts} == {5_990.0}
    replay(ran.path)
    verify(ran.path)


def test_the_index_of_rows_without_open_interest_is_what_candles_of_the_underlying_say(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(30_000, 240))
    dry = [Quote(q.hour, q.contract, q.bid, q.ask, 5, 5, q.mark, index=0) for q in quotes()]
    fees = {"fees": {"markets": {"option": {"maker_bps": 3, "taker_bps": 3}}}}
    ran = run_chain(tmp_path, dry, {1: lambda s: [s.buy(C, 1, limit=100)]}, **fees)
    assert fills_of(ran)[0][5] == "9"  # 3 bps of 30 000
    assert any("4 of 4 rows imply no index" in warning for warning in ran.result.warnings)


def test_an_order_before_any_row_names_nothing_that_is_known(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(30_000, 240))

    class Early(at_hours({})):  # type: ignore[misc]
        def on_candle(self, candle: Any) -> Any:
            return [self.buy(C, 1, limit=100)] if self.now == time_of(30) else None

    late = [quote for quote in quotes() if quote.hour > 1]
    wallets = {"account": {"wallets": {"option:USDT": "1000"}}}
    run = {"timeframe": "30m", "start": "2024-01-01"}
    ran = run_chain(tmp_path, late, Early, symbols=["spot:BTCUSDT", CHAIN], run=run, **wallets)
    assert [reason for _, reason, _ in ran.refusals] == ["unknown_instrument"]


def test_the_config_of_a_run_repeats_it_with_one_section_for_the_whole_chain(tmp_path: Path) -> None:
    ran = run_chain(tmp_path, quotes(), {1: lambda s: [s.buy(C, 1, limit=100)]})
    text = (ran.path / "config.toml").read_text(encoding="utf-8")
    assert f'[instruments."{CHAIN}"]' in text
    assert C not in text
    assert "allow_short = false" in text


def test_what_an_option_run_says_of_itself(tmp_path: Path) -> None:
    ran = run_chain(tmp_path, quotes(12, C, "BTC-240101-30000-C"), {1: lambda s: [s.buy(C, 1, limit=100)]})
    said = ran.details["options"]
    assert said["contracts"] == {CHAIN: 2}
    assert [one["expiry"] for one in said["settlements"]] == ["2024-01-01T08:00:00Z"]
    words = ran.details["assumptions"]
    assert words["shorts"] == "options may not be written"
    assert "the chain's own last index" in words["settlement"]
    assert "best bid or ask of the next row" in words["fills"]
    assert json.loads((ran.path / "run.json").read_text(encoding="utf-8"))["status"] == "complete"


def test_a_short_run_is_the_beginning_of_a_long_one_also_in_what_it_holds_at_the_end(tmp_path: Path) -> None:
    index = wandering_index(30, 7)
    market = black_quotes(index, 7)
    name = next(q.contract for q in market if q.hour == 0 and q.ask_qty > 1 and q.contract.endswith("C"))
    script = {1: lambda s: [s.buy(name, 1, limit=100_000)]}
    rich = {"account": {"initial_cash": 200_000}}
    whole = run_chain(tmp_path, market, script, **rich)
    config = config_of(tmp_path / "lake", [CHAIN], run={"end": "2024-01-01T20:00"}, **rich)
    part = run_prepared(tmp_path / "part", prepared_run(at_hours(script), config))
    rows = part.table("equity")
    assert rows == whole.table("equity")[: len(rows)]
    assert part.raw_lines == whole.raw_lines[: len(part.raw_lines)]


# --- two real days -----------------------------------------------------------------------------------------------


def real_run(lake: Path, folder: Path, script: Any, **sections: Any) -> Ran:
    config = config_of(lake, [CHAIN], fees={"maker_bps": 3, "taker_bps": 3}, **sections)
    config = config.model_copy(update={"instruments": {}})
    return run_prepared(folder, prepared_run(at_hours(script), config))


def test_two_real_days_run_end_to_end(real_lake: Path, tmp_path: Path) -> None:
    began = (parse_time("2023-10-20") - time_of(0)) // HOUR

    def buy(strategy: Any) -> Any:
        chain = strategy.chain("BTCUSDT")
        soonest = chain.of(chain.expiries[0])
        return [
            strategy.buy(chain.instrument(q), "0.01", limit=q.ask + 100, time_in_force="ioc")
            for q in soonest
            if q.ask_qty > 0
        ]

    ran = real_run(real_lake, tmp_path, {began + 3: buy})
    bought = [e for e in ran.events("fills") if e["side"] == "buy"]
    settled = [e for e in ran.events("fills") if e["tag"] in ("exercise", "expired")]
    assert len(bought) == len(settled) > 20
    at = float(ran.details["options"]["settlements"][0]["price"])
    assert 29_000 < at < 29_500
    for event in settled:
        name = option_name(event["instrument"].partition(":")[2])
        assert name is not None
        payoff = max(0.0, at - float(name.strike) if name.is_call else float(name.strike) - at)
        assert float(event["price"]) == pytest.approx(payoff, abs=1e-6)
        assert float(event["fee"]) == pytest.approx(0.01 * min(1.5e-4 * at, payoff / 10), abs=2e-8)
    assert set(ran.details["options"]["marks"]) == {"row"}
    replay(ran.path)
    verify(ran.path)


def test_the_index_that_real_rows_imply_is_near_the_candles_of_spot(real_lake: Path, real_data: Path) -> None:
    import_real([real_data / "spot/BTCUSDT_1h.csv.gz"], real_lake, market="spot", symbol="BTCUSDT")
    prepared = prepared_run(at_hours({}), config_of(real_lake, [CHAIN]))
    closes = {
        int(time) + HOUR: float(close)
        for batch in prepared.lake.read("spot", "klines", "BTCUSDT", "1h", prepared.start, prepared.end)
        for time, close in zip(batch["open_time"], batch["close"], strict=True)
    }
    (chain,) = prepared.chains.values()
    assert len(chain.indices) == 48
    assert chain.without_index == 0
    assert max(abs(chain.indices[time] / 10**8 - close) for time, close in closes.items()) < 60


LATE = "BTC-240126-33000-C"  # its first row is that of hour 2, known at 3


class Prober(at_hours({})):  # type: ignore[misc]
    """Asks and orders the same of two names at hours 1 to 4; what it learns is in `seen`."""

    seen: ClassVar[dict[str, list[str]]] = {}

    def on_chain(self, chain: Any) -> Any:
        found = []
        for name in self.seen:
            told = [f"{self.position(name).is_flat} {self.position(name).qty} {len(self.open_orders(name))}"]
            for ask in (self.instrument, self.trading_rules, self.is_sized, self.margin):
                try:
                    told.append(type(ask(name)).__name__)
                except UsageError as error:
                    told.append(error.message.replace(name, "") + error.hint)
            self.seen[name].append(" ".join(told))
            found += [self.buy(name, 1, limit=50), self.buy(f"option:{name}", 1, limit=50), *self.close(name)]
            found.append(self.combo([self.buy(name, 1, limit=50), self.buy(C, 1, limit=50)]))
        return found


def test_a_contract_that_will_be_listed_cannot_be_told_from_one_that_never_is(tmp_path: Path) -> None:
    never = "BTC-240126-99999-C"
    listed = [Quote(n, LATE, 90, 100, 5, 5, mark=95) for n in (2, 3)]
    Prober.seen = {LATE: [], never: []}
    ran = run_chain(tmp_path, [*quotes(), *listed], Prober)
    assert Prober.seen[LATE][:2] == Prober.seen[never][:2]
    assert Prober.seen[LATE][2] != Prober.seen[never][2]
    by_name = {
        name: [
            (e["ts"], e["reason"], str(e["numbers"]).replace(name, ""))
            for e in ran.events("orders_rejected")
            if e["instrument"] == f"option:{name}"
        ]
        for name in (LATE, never)
    }
    before = [one for one in by_name[never] if one[0] < time_of(180)]
    assert before
    assert by_name[LATE] == before
    assert {one[1] for one in before} == {"unknown_instrument"}
    assert {o["ts"] for o in ran.events("orders_sanitized") if o["instrument"] == f"option:{LATE}"} >= {time_of(180)}
    replay(ran.path)


@pytest.mark.parametrize("start", ["", "2024-01-01T01:00"])
def test_a_strategy_acts_on_rows_after_the_start_and_sees_the_one_that_is_known_then(
    tmp_path: Path, start: str
) -> None:
    seen: list[tuple[int, int]] = []

    class First(at_hours({})):  # type: ignore[misc]
        def on_start(self) -> None:
            super().on_start()
            seen.clear()

        def on_candle(self, candle: Any) -> Any:
            seen.append((self.now, self.chain("BTCUSDT").ts))
            return [self.buy(C, 1, limit=100)] if len(seen) == 1 and self.chain("BTCUSDT").ts else None

        def on_chain(self, chain: Any) -> Any:
            seen.append((self.now, chain.ts))
            return [self.buy(C, 1, limit=100)]

    write_candles(tmp_path / "lake", flat(30_000, 240))
    run = {"timeframe": "30m", "start": start}
    wallets = {"account": {"wallets": {"option:USDT": "1000"}}}
    ran = run_chain(tmp_path, quotes(), First, symbols=["spot:BTCUSDT", CHAIN], run=run, **wallets)
    begin = time_of(60) if start else time_of(0)
    assert seen[0] == (begin + time_of(30) - time_of(0), begin if start else 0)
    assert not any(now == begin for now, _ in seen)
    assert ran.details["counts"]["intents_dropped_in_warmup"] == 0
    assert fills_of(ran)[0][0] == 2
    assert ran.events("orders_sanitized")[0]["ts"] == (begin + time_of(30) - time_of(0) if start else time_of(60))
    replay(ran.path)


def test_a_section_of_a_single_contract_is_refused_and_says_which_one_to_write(lake: Path) -> None:
    config = config_of(lake, [CHAIN], instruments={f"option:{C}": {"price_decimals": 1}})
    with pytest.raises(UsageError, match="names one contract") as caught:
        prepared_run(at_hours({}), config)
    assert caught.value.hint == 'write [instruments."option:BTCUSDT"]'


def test_a_run_of_options_alone_assumes_nothing_that_no_option_meets(tmp_path: Path) -> None:
    ran = run_chain(tmp_path, quotes(), {})
    assert not {"slippage", "impact", "triggers", "stop_through"} & ran.details["assumptions"].keys()


def test_a_run_names_its_chain_and_not_every_contract(lake: Path) -> None:
    assert prepared_run(at_hours({}), config_of(lake, [CHAIN])).symbols == ["BTCUSDT"]


def test_a_contract_of_an_impossible_day_is_refused_for_that(lake: Path) -> None:
    with pytest.raises(UsageError, match="expires on a day that no calendar has"):
        prepared_run(at_hours({}), config_of(lake, ["option:BTC-240231-30000-C"]))


@pytest.mark.parametrize("direct", [False, True])
def test_an_order_till_something_that_is_no_time_names_the_row_and_what_is_wrong(tmp_path: Path, direct: bool) -> None:
    until = utc(time_of(600))

    def act(s: Any) -> Any:
        if not direct:
            return [s.buy(C, 1, limit=100, good_till=until)]
        order = s.buy(C, 1, limit=100)
        return [structs.replace(order, terms=Terms(time_in_force=TimeInForce.GTD, good_till=until))]

    with pytest.raises(
        StrategyError, match=r"at the row of the chain option:BTCUSDT .*: TypeError: good_till"
    ) as caught:
        run_chain(tmp_path, quotes(), {1: act})
    assert "datetime" in caught.value.message
