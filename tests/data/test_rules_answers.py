"""Answers of the venue: told by their content, read exactly, refused in one sentence."""

import copy
import gzip
import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import data, sampled_from

from backtester.core.errors import BacktesterError, DataError, UsageError
from backtester.core.time import parse_time
from backtester.data.rules.answers import Answer, read_answer, venue_symbol
from backtester.data.rules.importing import import_rules
from backtester.data.rules.lake_rules import LakeRules
from backtester.data.rules.values import Brackets, Contract, FeeRates, FundingTerms, OptionTerms, SymbolRules
from tests.support.venue import (
    CM_BRACKETS,
    CM_SYMBOL,
    FUNDING_INFO,
    OPTION_SYMBOL,
    UM_BRACKETS,
    exchange_info,
    source,
    spot_symbol,
)

DAY = parse_time("2024-09-08")


def read(content: object, **options: Any) -> Answer:
    return read_answer(json.dumps(content).encode(), "answer.json", **{"date": DAY, **options})


def without(filter_type: str) -> dict[str, Any]:
    symbol = spot_symbol()
    symbol["filters"] = [one for one in symbol["filters"] if one["filterType"] != filter_type]
    return symbol


# --- the real files ----------------------------------------------------------------------------------------------


def test_the_spot_answer_of_2024_is_read_whole(real: Path) -> None:
    answer = read_answer((real / "exchangeInfo" / "spot_2024-09-08.json.gz").read_bytes(), "spot.json.gz")
    assert (answer.market, answer.kind, answer.date) == ("spot", "symbol", 1725817008719000)
    assert len(answer.values) == 1248
    assert answer.values["BTCUSDT"] == SymbolRules(
        base="BTC",
        quote="USDT",
        status="TRADING",
        tick_size=Decimal("0.01"),
        min_price=Decimal("0.01"),
        max_price=Decimal(1_000_000),
        lot_size=Decimal("0.00001"),
        min_qty=Decimal("0.00001"),
        max_qty=Decimal(9000),
        market_max_qty=Decimal("129.84957276"),
        min_notional=Decimal(5),
        max_notional=Decimal(9_000_000),
        max_notional_at_market=False,
        bid_multiplier_down=Decimal("0.2"),
        bid_multiplier_up=Decimal(5),
        ask_multiplier_down=Decimal("0.2"),
        ask_multiplier_up=Decimal(5),
        max_orders=200,
        max_algo_orders=5,
    )


def test_counts_and_the_price_band_of_futures_have_their_own_names(real: Path) -> None:
    answer = read_answer((real / "exchangeInfo" / "um_testnet_2025-03-06.json.gz").read_bytes(), "um.json.gz")
    rules = answer.values["BTCUSDT"]
    assert isinstance(rules, SymbolRules)
    assert (rules.max_orders, rules.max_algo_orders, rules.max_position) == (200, 10, 0)
    assert (rules.min_price, rules.max_price) == (Decimal("261.1"), 809484)
    band = (rules.bid_multiplier_down, rules.bid_multiplier_up, rules.ask_multiplier_down, rules.ask_multiplier_up)
    assert band == (Decimal("0.5"), Decimal("1.5"), Decimal("0.5"), Decimal("1.5"))


def test_position_limits_and_bands_that_differ_by_side_are_read() -> None:
    symbol = spot_symbol()
    band = {"bidMultiplierUp": "1.2", "bidMultiplierDown": "0.2", "askMultiplierUp": "5", "askMultiplierDown": "0.8"}
    symbol["filters"] += [
        {"filterType": "MAX_POSITION", "maxPosition": "10.00000000"},
        {"filterType": "PERCENT_PRICE_BY_SIDE", **band, "avgPriceMins": 1},
    ]
    rules = read(exchange_info("2024-09-08", symbol)).values["BTCUSDT"]
    assert isinstance(rules, SymbolRules)
    said = rules.order_rules()
    assert {key: str(value) for key, value in said.items() if "multiplier" in key or key == "max_position"} == {
        "bid_multiplier_down": "0.2",
        "bid_multiplier_up": "1.2",
        "ask_multiplier_down": "0.8",
        "ask_multiplier_up": "5",
        "max_position": "10",
    }


def test_the_older_minimum_of_2022_is_read_too(real: Path) -> None:
    answer = read_answer((real / "exchangeInfo" / "spot_BTCUSDT_2022-12-11.json").read_bytes(), "spot.json")
    rules = answer.values["BTCUSDT"]
    assert isinstance(rules, SymbolRules)
    assert (rules.min_notional, rules.min_notional_at_market, rules.max_notional) == (10, True, 0)
    assert rules.market_max_qty == Decimal("328.37710865")


def test_the_um_answer_knows_contracts(real: Path) -> None:
    answer = read_answer((real / "exchangeInfo" / "um_testnet_2025-03-06.json.gz").read_bytes(), "um.json.gz")
    assert (answer.market, answer.date, len(answer.values)) == ("um", 1741261103856000, 438)
    perpetual, quarter = answer.values["BTCUSDT"], answer.values["BTCUSDT_250328"]
    assert isinstance(perpetual, SymbolRules)
    assert isinstance(quarter, SymbolRules)
    assert (perpetual.tick_size, perpetual.market_lot_size, perpetual.min_notional) == (
        *(Decimal("0.1"), Decimal("0.001"), 100),
    )
    assert perpetual.contract == Contract(
        kind="PERPETUAL",
        pair="BTCUSDT",
        margin_asset="USDT",
        onboard=parse_time("2019-09-25T08:00:00Z"),
        liquidation_fee=Decimal("0.02"),
        market_take_bound=Decimal("0.3"),
        trigger_protect=Decimal("0.05"),
    )
    assert quarter.contract is not None
    assert quarter.contract.delivery == parse_time("2025-03-28T08:00:00Z")
    assert all(isinstance(rules, SymbolRules) and rules.tick_size > 0 for rules in answer.values.values())


def test_every_bracket_of_2026_follows_from_the_one_below(real: Path) -> None:
    path = real / "leverageBracket" / "um_brackets_2026-03.json.gz"
    answer = read_answer(path.read_bytes(), path.name, date=DAY)
    assert (answer.market, answer.kind, len(answer.values)) == ("um", "brackets", 689)
    assert {"BTCUSDT", "ETHBTC", "BTCUSDT_260327"} <= answer.values.keys()
    for value in answer.values.values():
        assert isinstance(value, Brackets)
        for below, step in zip(value.steps, value.steps[1:], strict=False):
            more = step.floor * (step.maintenance_rate - below.maintenance_rate)
            assert step.deduction == below.deduction + more


# --- what has no real file here ----------------------------------------------------------------------------------


def test_a_coin_margined_contract_has_a_size_in_quote() -> None:
    answer = read(exchange_info("2025-01-02T03:04:05Z", CM_SYMBOL))
    rules = answer.values["BTCUSD_PERP"]
    assert isinstance(rules, SymbolRules)
    assert (answer.market, answer.date) == ("cm", parse_time("2025-01-02T03:04:05Z"))
    assert (rules.status, rules.contract_size, rules.min_notional) == ("TRADING", 100, 0)
    assert rules.contract is not None
    assert (rules.contract.margin_asset, rules.contract.delivery) == ("BTC", None)


def test_an_option_says_its_terms() -> None:
    answer = read(exchange_info("2025-01-02", OPTION_SYMBOL, key="optionSymbols"))
    rules = answer.values["BTC-251226-100000-C"]
    assert isinstance(rules, SymbolRules)
    assert answer.market == "option"
    assert (rules.base, rules.quote, rules.tick_size, rules.market_max_qty) == ("BTC", "USDT", 5, 0)
    assert rules.option == OptionTerms(
        underlying="BTCUSDT",
        is_call=True,
        strike=Decimal(100_000),
        expiry=parse_time("2025-12-26T08:00:00Z"),
        unit=Decimal(1),
        initial_margin=Decimal("0.15"),
        maintenance_margin=Decimal("0.075"),
        min_initial_margin=Decimal("0.1"),
        min_maintenance_margin=Decimal("0.05"),
    )


@pytest.mark.parametrize(
    ("content", "market", "symbol", "value"),
    [
        (
            FUNDING_INFO,
            "um",
            "LPTUSDT",
            FundingTerms(interval_hours=4, floor=Decimal("-0.02"), cap=Decimal("0.02")),
        ),
        (
            [{"symbol": "BTCUSDT", "makerCommission": "0.001", "takerCommission": "0.00075"}],
            "spot",
            "BTCUSDT",
            FeeRates(maker=Decimal("0.001"), taker=Decimal("0.00075")),
        ),
        (
            {"symbol": "BTCUSDT", "makerCommissionRate": "-0.0001", "takerCommissionRate": "0.0004"},
            "um",
            "BTCUSDT",
            FeeRates(maker=Decimal("-0.0001"), taker=Decimal("0.0004")),
        ),
        (
            {"symbol": "BTCUSD_PERP", "makerCommissionRate": "0.00015", "takerCommissionRate": "0.0004"},
            "cm",
            "BTCUSD_PERP",
            FeeRates(maker=Decimal("0.00015"), taker=Decimal("0.0004")),
        ),
    ],
)
def test_tables_are_told_by_their_fields_and_symbols(content: object, market: str, symbol: str, value: object) -> None:
    answer = read(content)
    assert (answer.market, answer.date) == (market, DAY)
    assert answer.values == {symbol: value}


def test_brackets_come_as_a_list_or_for_one_symbol_and_for_coins_by_quantity() -> None:
    whole, one = read(UM_BRACKETS), read(UM_BRACKETS[0])
    assert whole.values == one.values
    steps = whole.values["ETHUSDT"]
    assert isinstance(steps, Brackets)
    assert [(s.floor, s.cap, s.max_leverage, s.maintenance_rate, s.deduction) for s in steps.steps] == [
        (0, 10_000, 75, Decimal("0.0065"), 0),
        (10_000, 50_000, 50, Decimal("0.01"), 35),
    ]
    coin = read(CM_BRACKETS)
    assert (coin.market, coin.kind) == ("cm", "brackets")
    assert isinstance(coin.values["BTCUSD_PERP"], Brackets)


@pytest.mark.parametrize(
    ("unified", "symbol"),
    [
        ("0G/USDT:USDT", "0GUSDT"),
        ("ETH/BTC:BTC", "ETHBTC"),
        ("BTC/USDT:USDT-260327", "BTCUSDT_260327"),
        ("BTC/USD:BTC", "BTCUSD_PERP"),
        ("BTC/USD:BTC-250627", "BTCUSD_250627"),
        ("BTCUSDT", "BTCUSDT"),
    ],
)
def test_unified_symbols_are_written_as_the_venue_does(unified: str, symbol: str) -> None:
    assert venue_symbol(unified) == symbol


def test_zero_is_off_and_equal_numbers_are_equal_however_they_are_written() -> None:
    padded, plain = (
        read(exchange_info("2024-01-01", spot_symbol(tick="0.00000000"))),
        read(exchange_info("2024-01-01", spot_symbol(tick="0", min_notional="5"))),
    )
    assert padded.values == plain.values
    rules = plain.values["BTCUSDT"]
    assert isinstance(rules, SymbolRules)
    assert rules.tick_size == 0


def test_only_the_symbols_named_are_read_so_that_a_bad_one_beside_them_does_no_harm() -> None:
    answer = read(exchange_info("2024-01-01", spot_symbol("ETHUSDT"), {"symbol": "BAD"}), symbols=["ETHUSDT"])
    assert list(answer.values) == ["ETHUSDT"]


def test_the_servers_own_time_wins_over_the_date_given() -> None:
    assert read(exchange_info("2024-01-01")).date == parse_time("2024-01-01")


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"<!doctype html><html>blocked</html>", "is an HTML or XML page, not JSON"),
        (b"{'a': 1}", "is not JSON"),
        (b'{"serverTime": 1, "symb', "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (gzip.compress(b"{}", mtime=0)[:-9], "is a damaged gzip file"),
        (gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 20, "is a damaged gzip file"),
        (b"[]", "is an empty list"),
        (b"{}", "is no answer with rules that is known"),
        (b'"text"', "is no answer with rules that is known"),
        (b"[1, 2]", "is no answer with rules that is known"),
        (b'[{"e": "kline"}]', r"is no answer with rules that is known \(it has: e\)"),
        (b'{"code": -1121, "msg": "Invalid symbol."}', "is an error of the venue: -1121 Invalid symbol."),
        (b'{"serverTime": 1700000000000}', "has a serverTime but no symbols"),
        (b'{"serverTime": 1700000000000, "symbols": []}', r"symbols is \[\], not a list with something in it"),
        (b'{"serverTime": 1700000000000, "symbols": [7]}', "entry 1 is 7, not an object"),
    ],
)
def test_what_is_no_answer_is_refused_in_one_sentence(content: bytes, text: str) -> None:
    with pytest.raises(DataError, match=text):
        read_answer(content, "answer.json", date=DAY)


@pytest.mark.parametrize(
    ("symbol", "text"),
    [
        (without("PRICE_FILTER"), "spot:BTCUSDT has no filter PRICE_FILTER; it has LOT_SIZE"),
        (without("LOT_SIZE"), "spot:BTCUSDT has no filter LOT_SIZE"),
        (spot_symbol(tick="0,01"), "spot:BTCUSDT: PRICE_FILTER: tickSize is '0,01', not a number >= 0"),
        (spot_symbol(lot="-1"), "LOT_SIZE: stepSize is '-1', not a number >= 0"),
        (spot_symbol(tick="NaN"), "tickSize is 'NaN'"),
        ({k: v for k, v in spot_symbol().items() if k != "baseAsset"}, "baseAsset is missing"),
        ({**spot_symbol(), "filters": [{}]}, "a filter: filterType is missing"),
    ],
)
def test_a_wrong_field_is_named_with_its_symbol(symbol: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        read(exchange_info("2024-01-01", symbol))


def test_an_answer_without_a_time_needs_a_date() -> None:
    with pytest.raises(UsageError, match=r"brackets of um.* does not say when it was true") as caught:
        read(UM_BRACKETS, date=None)
    assert "--date" in caught.value.hint


def test_an_answer_of_another_market_is_refused() -> None:
    with pytest.raises(DataError, match="is symbol of spot, not of um"):
        read(exchange_info("2024-01-01"), market="um")
    with pytest.raises(DataError, match="mixes cm and um"):
        read([*UM_BRACKETS, *CM_BRACKETS])


def test_a_symbol_named_twice_is_refused() -> None:
    with pytest.raises(DataError, match="names BTCUSDT twice"):
        read(exchange_info("2024-01-01", spot_symbol(), spot_symbol()))


def test_brackets_with_a_hole_are_refused() -> None:
    broken = copy.deepcopy(UM_BRACKETS)
    broken[0]["brackets"][1]["notionalFloor"] = 20_000
    with pytest.raises(DataError, match="bracket 2 is from 20000 to 50000: brackets must follow each other"):
        read(broken)


@pytest.mark.parametrize("rate", ["1", "-1.5", "0.000000001", "x"])
def test_a_fee_that_is_no_fraction_is_refused(rate: str) -> None:
    with pytest.raises(DataError, match="makerCommission is"):
        read([{"symbol": "BTCUSDT", "makerCommission": rate, "takerCommission": "0"}])


ANSWERS: list[Any] = [
    exchange_info("2024-01-01"),
    exchange_info("2024-01-01", CM_SYMBOL),
    exchange_info("2024-01-01", OPTION_SYMBOL, key="optionSymbols"),
    FUNDING_INFO,
    UM_BRACKETS,
    [{"symbol": "BTCUSDT", "makerCommission": "0.001", "takerCommission": "0.001"}],
]
ODD: list[Any] = [None, "", "x", -1, 0, 1.5, 10**40, True, [], {}, [[]], "1e999", "9" * 400]


@given(data=data(), answer=sampled_from(ANSWERS))
def test_whatever_one_field_becomes_it_is_kept_or_refused(data: Any, answer: Any) -> None:
    broken = copy.deepcopy(answer)
    place = broken
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(sampled_from(keys))
        if isinstance(place[key], dict | list) and place[key] and data.draw(sampled_from([True, True, True, False])):
            place = place[key]
            continue
        place[key] = data.draw(sampled_from(ODD))
        break
    with TemporaryDirectory() as folder:
        try:
            [found] = import_rules([source(broken)], Path(folder), date=DAY)
        except BacktesterError:
            return
        stored = LakeRules(Path(folder)).market(found.market).all_versions()
        assert [version.kind for version in stored] == [found.kind]
