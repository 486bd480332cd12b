"""Rules in the lake: versions by date whatever the order of imports, before or after a kill, and their look-ups."""

import hashlib
import json
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from filelock import FileLock, Timeout
from hypothesis import given
from hypothesis.strategies import data, dictionaries, integers, sampled_from, sets, text, tuples
from hypothesis.strategies import permutations as shuffled

from backtester.core.errors import DataError, StorageError, UsageError
from backtester.core.time import parse_time
from backtester.data.lake import Lake
from backtester.data.rules import importing, store
from backtester.data.rules.importing import file_sources, import_rules
from backtester.data.rules.lake_rules import LakeRules
from backtester.data.rules.store import Sighting, StoredVersion, merged, rules_path
from backtester.data.rules.values import FeeRates
from backtester.data.rules.views import summaries, version_views
from tests.support.venue import (
    CM_BRACKETS,
    CM_SYMBOL,
    FUNDING_INFO,
    OPTION_SYMBOL,
    UM_BRACKETS,
    exchange_info,
    put_rules,
    source,
    spot_symbol,
)

B = "spot:BTCUSDT"


def dates(lake: Path, instrument: str = B) -> list[tuple[str, str]]:
    """File and minimum notional of each version."""
    return [(view.source.file, str(view.value["min_notional"])) for view in version_views(LakeRules(lake), instrument)]


def at(lake: Path, date: str) -> Decimal:
    found = LakeRules(lake).symbol_at(B, parse_time(date))
    assert found is not None
    return found.min_notional


# --- versions ----------------------------------------------------------------------------------------------------

A, X = spot_symbol(min_notional="10"), spot_symbol(min_notional="5")


def test_what_says_the_same_as_the_version_before_is_not_stored_again(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A), exchange_info("2024-01-01", A), exchange_info("2025-01-01", X))
    assert dates(tmp_path) == [("answer-0.json", "10"), ("answer-2.json", "5")]
    assert [version.last_seen for version in version_views(LakeRules(tmp_path), B)] == [
        parse_time("2024-01-01"),
        parse_time("2025-01-01"),
    ]


def test_an_answer_between_two_equal_ones_splits_them_even_when_it_is_imported_last(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A), exchange_info("2025-01-01", A))
    put_rules(tmp_path, exchange_info("2024-01-01", X))
    assert [at(tmp_path, date) for date in ("2023-06-01", "2024-06-01", "2025-06-01")] == [10, 5, 10]


def test_an_older_answer_that_says_the_same_moves_the_version_back(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2025-01-01", A))
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    [view] = version_views(LakeRules(tmp_path), B)
    assert (view.date, view.last_seen) == (parse_time("2023-01-01"), parse_time("2025-01-01"))


def test_before_the_first_version_the_first_one_is_found(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A), exchange_info("2024-01-01", X))
    assert [at(tmp_path, date) for date in ("2017-01-01", "2023-12-31T23:59:59.999999Z", "2024-01-01")] == [10, 10, 5]


STATEMENTS = dictionaries(tuples(integers(0, 9), sampled_from("AB")), integers(0, 2), min_size=1)


@given(statements=STATEMENTS, data=data())
def test_what_holds_is_what_was_said_last_in_any_order_of_imports(
    statements: dict[tuple[int, str], int], data: Any
) -> None:
    versions: list[StoredVersion] = []
    for (date, symbol), rate in data.draw(shuffled(sorted(statements.items()))):
        versions = merged(versions, {symbol: fee(rate)}, Sighting(date, f"{date}.json", "0"))
    assert versions == in_order(statements)


def in_order(statements: dict[tuple[int, str], int]) -> list[StoredVersion]:
    """Versions made in one pass over time, without merging."""
    made: list[StoredVersion] = []
    for symbol in "AB":
        for date in sorted(d for d, s in statements if s == symbol):
            value, seen = fee(statements[date, symbol]), Sighting(date, f"{date}.json", "0")
            if made and made[-1].symbol == symbol and made[-1].value == value:
                made[-1] = StoredVersion(symbol, value, (*made[-1].seen, seen))
            else:
                made.append(StoredVersion(symbol, value, (seen,)))
    return made


def fee(rate: int) -> FeeRates:
    return FeeRates(maker=Decimal(rate), taker=Decimal(0))


def test_the_file_has_the_same_bytes_in_any_order_of_imports(tmp_path: Path) -> None:
    answers = [
        source(exchange_info("2023-01-01", A), "1.json"),
        source(exchange_info("2024-01-01", X, spot_symbol("ETHUSDT")), "2.json"),
        source([{"symbol": "BTCUSDT", "makerCommission": "0.001", "takerCommission": "0.001"}], "3.json"),
    ]
    written = set()
    for number, order in enumerate(permutations(answers)):
        for answer in order:
            import_rules([answer], tmp_path / str(number), date=parse_time("2023-06-01"))
        written.add(rules_path(tmp_path / str(number), "spot").read_bytes())
    assert len(written) == 1


def written(lake: Path) -> tuple[int, int, bytes]:
    """Which file the rules of spot are, when it was written, and what is in it."""
    path = rules_path(lake, "spot")
    return path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    before = written(tmp_path)
    [again] = import_rules([source(exchange_info("2023-01-01", A))], tmp_path)
    assert again.new == 0
    assert written(tmp_path) == before


def test_two_answers_of_one_date_that_differ_are_refused_unless_the_new_one_may_win(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    other = [source(exchange_info("2023-01-01", X), "other.json")]
    with pytest.raises(DataError, match=r"BTCUSDT: other.json and answer-0.json say different things of 2023-01-01"):
        import_rules(other, tmp_path)
    assert at(tmp_path, "2023-01-01") == 10
    import_rules(other, tmp_path, replace=True)
    assert at(tmp_path, "2023-01-01") == 5


# --- files -------------------------------------------------------------------------------------------------------


def test_a_version_names_its_file_and_digest(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(exchange_info("2023-01-01", A)))
    import_rules(file_sources([file]), tmp_path / "lake")
    [view] = version_views(LakeRules(tmp_path / "lake"), B)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert view.source == Sighting(parse_time("2023-01-01"), "mine.json", digest)


def test_one_bad_file_among_several_leaves_the_lake_as_it_was(tmp_path: Path) -> None:
    bad = [source(exchange_info("2023-01-01", A)), source("<html>", "bad.json")]
    with pytest.raises(DataError, match=r"bad\.json"):
        import_rules(bad, tmp_path)
    assert LakeRules(tmp_path).markets() == []


def test_a_store_of_before_knows_fewer_limits_and_the_same_answer_again_adds_them(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A), exchange_info("2024-01-01", A))
    path = rules_path(tmp_path, "spot")
    path.write_bytes(path.read_bytes().replace(b',"max_orders":200', b""))
    before = LakeRules(tmp_path).symbol_at(B, parse_time("2024-06-01"))
    assert before is not None
    assert (before.max_orders, before.max_price, before.bid_multiplier_up) == (0, 1_000_000, 0)
    put_rules(tmp_path, exchange_info("2023-01-01", A), exchange_info("2024-01-01", A))
    [view] = version_views(LakeRules(tmp_path), B)
    assert (view.value["max_orders"], view.date) == (200, parse_time("2023-01-01"))


@pytest.mark.parametrize("step", ["sync_file", "replace_file"])
def test_a_write_that_fails_leaves_the_rules_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    before = rules_path(tmp_path, "spot").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, step, fail)
        with pytest.raises(StorageError, match="full"):
            put_rules(tmp_path, exchange_info("2024-01-01", X))
    assert rules_path(tmp_path, "spot").read_bytes() == before
    put_rules(tmp_path, exchange_info("2024-01-01", X))  # what was left behind is no hindrance
    assert at(tmp_path, "2024-01-01") == 5


@pytest.mark.parametrize("cut", [1, 10, 100])
def test_a_torn_last_line_is_not_there(tmp_path: Path, cut: int) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A, spot_symbol("ETHUSDT")))
    path = rules_path(tmp_path, "spot")
    path.write_bytes(path.read_bytes()[:-cut])
    lake = LakeRules(tmp_path)
    assert lake.symbol_at(B, 0) is not None
    assert lake.symbol_at("spot:ETHUSDT", 0) is None


@pytest.mark.parametrize("content", [b"", b"x\n", b'{"sources":[]}\nnonsense\n', b'{"sources":[]}\n{"symbol":"B"}\n'])
def test_a_damaged_file_says_so(tmp_path: Path, content: bytes) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    rules_path(tmp_path, "spot").write_bytes(content)
    with pytest.raises(DataError, match=r"spot\.jsonl is damaged") as caught:
        LakeRules(tmp_path).market("spot").all_versions()
    assert "import the answers again" in caught.value.hint


def test_the_lakes_lock_is_held_from_reading_to_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: Any, **__: Any) -> None:
        with pytest.raises(Timeout):
            FileLock(str(tmp_path / "manifest.lock")).acquire(timeout=0)
        seen.append(True)

    seen: list[bool] = []
    monkeypatch.setattr(importing, "write_rules", locked)
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    assert seen == [True]


def test_a_lake_without_rules_opens_and_one_with_rules_is_whole(tmp_path: Path) -> None:
    assert LakeRules(tmp_path).markets() == []
    assert LakeRules(tmp_path).symbol_at(B, 0) is None
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    assert Lake(tmp_path).all_partitions() == []
    assert Lake(tmp_path).unlisted() == []


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"symbols": ["BTCUSD"]}, DataError, "BTCUSD not in answer.json"),
        ({"market": "forex"}, UsageError, "there are no rules of market 'forex'"),
    ],
)
def test_what_cannot_be_imported_is_said(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        import_rules([source(exchange_info("2023-01-01", A))], tmp_path, **options)
    assert LakeRules(tmp_path).markets() == []


# --- look-ups ----------------------------------------------------------------------------------------------------


def test_each_kind_is_looked_up_by_time(tmp_path: Path) -> None:
    later = [{**FUNDING_INFO[0], "fundingIntervalHours": 1}]
    put_rules(tmp_path, FUNDING_INFO, UM_BRACKETS, CM_BRACKETS, date="2024-01-01")
    put_rules(tmp_path, later, date="2024-06-01")
    put_rules(
        tmp_path,
        exchange_info("2024-01-01", CM_SYMBOL),
        exchange_info("2024-01-01", OPTION_SYMBOL, key="optionSymbols"),
    )
    lake, early, late = LakeRules(tmp_path), parse_time("2024-02-01"), parse_time("2024-07-01")
    assert [lake.funding_interval_at("um:LPTUSDT", time) for time in (0, early, late)] == [4, 4, 1]
    assert lake.funding_interval_at("um:BTCUSDT", late) is None
    brackets = lake.brackets_at("um:ETHUSDT", early)
    assert brackets is not None
    assert [step.max_leverage for step in brackets.steps] == [75, 50]
    assert lake.brackets_at("um:BTCUSDT", early) is None
    assert lake.contract_size_at("cm:BTCUSD_PERP", early) == 100
    assert lake.contract_size_at("option:BTC-251226-100000-C", early) == 1
    assert lake.contract_size_at("um:LPTUSDT", early) is None
    assert lake.fees_at("um:LPTUSDT", early) is None


def test_the_summary_counts_by_market_and_kind(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A, spot_symbol("ETHUSDT")), exchange_info("2024-01-01", X))
    put_rules(tmp_path, UM_BRACKETS, date="2024-02-03")
    assert [tuple(row) for row in summaries(LakeRules(tmp_path))] == [
        ("spot", "symbol", 2, 3, parse_time("2023-01-01"), parse_time("2024-01-01")),
        ("um", "brackets", 1, 1, parse_time("2024-02-03"), parse_time("2024-02-03")),
    ]


def test_every_version_shows_what_changed(tmp_path: Path) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A), exchange_info("2024-01-01", X))
    assert [view.changed for view in version_views(LakeRules(tmp_path), B)] == [{}, {"min_notional": ("10", "5")}]
    [then] = version_views(LakeRules(tmp_path), B, parse_time("2023-06-01"))
    assert then.value["min_notional"] == "10"


@pytest.mark.parametrize(
    ("instrument", "text"),
    [("spot:BTCUSD", "no rules of spot:BTCUSD; did you mean BTCUSDT"), ("um:BTCUSDT", "no rules of market um")],
)
def test_an_instrument_of_which_nothing_is_known_is_said(tmp_path: Path, instrument: str, text: str) -> None:
    put_rules(tmp_path, exchange_info("2023-01-01", A))
    with pytest.raises(DataError, match=text):
        version_views(LakeRules(tmp_path), instrument)


@given(names=sets(text("ABZ09币.-", min_size=1, max_size=4).filter(lambda name: name[0] != "."), min_size=1))
def test_every_symbol_is_found_among_all_and_no_other(names: set[str]) -> None:
    with TemporaryDirectory() as folder:
        put_rules(Path(folder), exchange_info("2023-01-01", *(spot_symbol(name) for name in names)))
        stored = LakeRules(Path(folder)).market("spot")
        for asked in names | {name + "A" for name in names} | {name[:-1] for name in names}:
            assert [version.symbol for version in stored.versions(asked)] == [asked] * (asked in names)
        assert stored.symbols == sorted(names)
