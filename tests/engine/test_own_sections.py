"""What a config says of single instruments: of those of the run, of others, and of those that nobody could trade."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import sampled_from, sets

from backtester.core.errors import UsageError
from backtester.core.instruments import InstrumentId
from backtester.engine.own_sections import own_sections
from tests.support.market import flat, write_candles
from tests.support.runs import config_of, prepared_run, scripted

BTC, ETH, CHAIN = InstrumentId("um:BTCUSDT"), InstrumentId("um:ETHUSDT"), InstrumentId("option:BTCUSDT")
MANY = [f"spot:{name}USDT" for name in ("ADA", "BNB", "DOGE", "SOL", "XRP")]


def said(*names: str, what: str = "") -> list[str]:
    """The warnings about these names in a run of two futures and a chain."""
    warnings: list[str] = []
    own_sections("instruments", dict.fromkeys(names, 1), [BTC, ETH, CHAIN], "um", warnings, what)
    return warnings


def test_sections_are_found_under_a_bare_symbol_and_under_an_alias_too() -> None:
    warnings: list[str] = []
    found = own_sections("instruments", {"BTCUSDT": 1, "futures:ETHUSDT": 2}, [BTC, ETH], "um", warnings)
    assert (found, warnings) == ({BTC: 1, ETH: 2}, [])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("um:BTCUSTD", BTC),
        ("BTCUSDTT", BTC),
        ("um:ETHUSD", ETH),
        ("um:ETHUSDT@long", ETH),
        ("spot:ETHUSDT", ETH),
        ("option:BTC-240126-30000-C", CHAIN),
    ],
)
def test_a_name_near_to_one_of_the_run_is_asked_after(name: str, meant: str) -> None:
    [words] = said(name)
    assert words.endswith(f"not in this run, and not used; did you mean {meant}?")


def test_nobody_is_asked_after_an_instrument_that_has_a_section_itself() -> None:
    assert said("um:ETHUSDT", "spot:ETHUSDT", "um:ETHUSDC") == [
        "instruments names spot:ETHUSDT, um:ETHUSDC: not in this run, and not used"
    ]


def test_a_config_of_many_runs_is_warned_of_in_one_line() -> None:
    assert said(*MANY, what="a future") == [
        "instruments names spot:ADAUSDT, spot:BNBUSDT, spot:DOGEUSDT and 2 more: not a future of this run, and not used"
    ]


@pytest.mark.parametrize(
    ("names", "words", "hint"),
    [
        (["umm:BTCUSDT"], "there is no market 'umm'", "did you mean um:BTCUSDT?"),
        (["kraken:XBTEUR"], "there is no market 'kraken'", "allowed: spot um cm option"),
        (["um:BTC USDT"], "that is not an instrument", "write BTCUSDT or spot:BTCUSDT"),
        (["BTCUSDT", "um:BTCUSDT"], "twice: as 'BTCUSDT' and as 'um:BTCUSDT'", ""),
    ],
)
def test_a_name_that_no_run_could_have_is_refused(names: list[str], words: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        said(*names)
    assert words in caught.value.message
    assert caught.value.hint == hint


@given(named=sets(sampled_from([BTC, ETH, CHAIN, *MANY])), run=sets(sampled_from([BTC, ETH, CHAIN, *MANY])))
def test_every_name_is_used_or_warned_of(named: set[str], run: set[str]) -> None:
    warnings: list[str] = []
    ids = [InstrumentId(name) for name in run]
    found = own_sections("instruments", dict.fromkeys(named, 1), ids, "um", warnings)
    assert found.keys() == named & run
    assert bool(warnings) == bool(named - run)


@pytest.mark.parametrize("key", ["instruments", "sizing.instruments", "futures.instruments"])
def test_one_rule_holds_for_all_three_sections(tmp_path: Path, key: str) -> None:
    write_candles(tmp_path / "lake", flat(100, 4), market="um")
    section, _, inner = key.partition(".")

    def warnings(name: str) -> list[str]:
        over = {section: {inner: {name: {}}} if inner else {name: {}}}
        return prepared_run(scripted({}), config_of(tmp_path / "lake", [BTC], **over)).warnings

    [said] = [w for w in warnings("um:BTCUSTD") if w.startswith(f"{key} names um:BTCUSTD")]
    assert "and not used" in said
    with pytest.raises(UsageError, match=f"{key} names 'umm:BTCUSDT': there is no market 'umm'"):
        warnings("umm:BTCUSDT")


def test_rules_of_a_bare_symbol_hold(tmp_path: Path) -> None:
    write_candles(tmp_path / "lake", flat(100, 4), market="um")
    config = config_of(tmp_path / "lake", ["ETHUSDT"], run={"market": "um"})
    write_candles(tmp_path / "lake", flat(100, 4), market="um", symbol="ETHUSDT")
    given = config.instruments["um:ETHUSDT"].model_copy(update={"min_notional": Decimal(7)})
    config = config.model_copy(update={"instruments": {"ETHUSDT": given}})
    assert prepared_run(scripted({}), config).config.instruments["um:ETHUSDT"].versions[0].min_notional == 7
