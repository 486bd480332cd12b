"""Identities, and the integers of an instrument."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis.strategies import integers

from backtester.core.errors import UsageError
from backtester.core.instruments import parse_instrument, split_id, split_symbol, usual_pair
from tests.support.specs import instrument


@pytest.mark.parametrize(
    ("text", "market", "identity"),
    [
        ("BTCUSDT", "spot", "spot:BTCUSDT"),
        ("BTCUSDT", "um", "um:BTCUSDT"),
        ("um:BTCUSDT", "spot", "um:BTCUSDT"),
        ("futures:BTCUSDT", "spot", "um:BTCUSDT"),
        ("BTCUSDT", "futures", "um:BTCUSDT"),
        ("kraken.spot:XBTEUR", "spot", "kraken.spot:XBTEUR"),
    ],
)
def test_a_bare_symbol_takes_the_market(text: str, market: str, identity: str) -> None:
    assert parse_instrument(text, market) == identity


@pytest.mark.parametrize("text", ["spot:", ":BTCUSDT", "a b", "spot:BTC/USDT", "Spot:BTCUSDT", ""])
def test_what_is_not_an_instrument_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an instrument"):
        parse_instrument(text, "spot")


@pytest.mark.parametrize(
    ("symbol", "assets"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("ETHBTC", ("ETH", "BTC")),
        ("BTCUSDT_260925", ("BTC", "USDT")),
        ("1000PEPEUSDT", ("1000PEPE", "USDT")),
        ("USDT", None),
        ("XYZ", None),
    ],
)
def test_base_and_quote_come_from_the_longest_known_quote(symbol: str, assets: tuple[str, str] | None) -> None:
    assert split_symbol(symbol) == assets


def test_an_identity_splits_at_its_first_colon() -> None:
    assert split_id("um:BTCUSDT") == ("um", "BTCUSDT")


@given(qty=integers(-(10**15), 10**15), price=integers(0, 10**12), p=integers(0, 12), q=integers(0, 8))
def test_notional_is_quantity_times_price_to_the_money_unit(qty: int, price: int, p: int, q: int) -> None:
    spec = instrument(price_decimals=p, qty_decimals=q)
    exact = Fraction(qty, 10**q) * Fraction(price, 10**p)
    assert spec.notional_units(qty, price) == round(exact * 10**8)


def test_a_quantity_becomes_units_of_the_base_balance() -> None:
    spec = instrument(qty_decimals=5)
    assert Decimal(spec.base_money(12_345)).scaleb(-8) == Decimal("0.12345")


@pytest.mark.parametrize(
    ("one", "other", "pair"),
    [
        ("BTC", "USDT", "BTCUSDT"),
        ("USDT", "BTC", "BTCUSDT"),
        ("BTC", "ETH", "ETHBTC"),
        ("FDUSD", "USDT", "FDUSDUSDT"),
        ("SOL", "BNB", "SOLBNB"),
    ],
)
def test_two_assets_are_traded_under_their_usual_pair(one: str, other: str, pair: str) -> None:
    assert usual_pair(one, other) == pair
