"""What the symbol of an option says."""

from decimal import Decimal

import pytest

from backtester.core.errors import UsageError
from backtester.core.instruments import Asset, Contract, Instrument, InstrumentId, OptionName, Scale, option_name
from backtester.core.time import parse_time


def option(symbol: str, units: int = 10**8) -> Instrument:
    return Instrument(
        id=InstrumentId(f"option:{symbol}"),
        market="option",
        symbol=symbol,
        base=Asset("XRP"),
        quote=Asset("USDT"),
        scale=Scale(8, 2),
        contract_units=units,
    )


@pytest.mark.parametrize(
    ("symbol", "said"),
    [
        ("BTC-231229-34000-C", OptionName("BTC", parse_time("2023-12-29T08:00"), Decimal(34_000), True)),
        ("XRP-240105-0.625-P", OptionName("XRP", parse_time("2024-01-05T08:00"), Decimal("0.625"), False)),
        ("BTC-231329-34000-C", None),  # no such day
        ("BTC-231229-34000-X", None),
        ("BTC-231229-C", None),
        ("BTCUSDT_231229", None),
        ("BTCUSDT", None),
    ],
)
def test_a_symbol_says_base_expiry_strike_and_side(symbol: str, said: OptionName | None) -> None:
    assert option_name(symbol) == said


def test_an_instrument_knows_its_strike_in_its_scale_and_the_chain_that_it_is_of() -> None:
    spec = option("XRP-240105-0.625-P", 100 * 10**8)
    assert (spec.kind, spec.is_option, spec.is_paid, spec.is_margined) == (Contract.OPTION, True, True, False)
    assert (spec.strike_units, spec.is_call, spec.underlying) == (62_500_000, False, "option:XRPUSDT")
    assert spec.notional_units(2_00, 3_000_000) == 2 * 100 * 3_000_000  # two contracts of 100 at 0.03


def test_other_markets_have_no_options_whatever_their_symbols_look_like() -> None:
    with pytest.raises(UsageError):  # an inverse contract says what it is worth
        Instrument(
            id=InstrumentId("cm:BTC-231229-34000-C"),
            market="cm",
            symbol="BTC-231229-34000-C",
            base=Asset("BTC"),
            quote=Asset("USD"),
            scale=Scale(8, 2),
        )
    spec = Instrument(
        id=InstrumentId("spot:BTC-231229-34000-C"),
        market="spot",
        symbol="BTC-231229-34000-C",
        base=Asset("BTC"),
        quote=Asset("USDT"),
        scale=Scale(2, 2),
    )
    assert (spec.is_option, spec.strike_units, spec.underlying) == (False, 0, "")
