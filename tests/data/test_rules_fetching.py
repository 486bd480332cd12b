"""Rules over HTTP and from a folder: dated by the server, refused in one sentence."""

import json
from pathlib import Path

import pytest

from backtester.config.configs import RunContext
from backtester.core.errors import DataError, UsageError
from backtester.core.time import parse_time
from backtester.data.rules.fetching import fetch_rules
from backtester.data.rules.lake_rules import LakeRules
from tests.support.archive import serving
from tests.support.venue import FUNDING_INFO, exchange_info, spot_symbol

ONLINE = RunContext(run_id="rules", seed=0, git_sha="", allow_net=True)
UM_SYMBOL = {
    **spot_symbol("LPTUSDT"),
    "contractType": "PERPETUAL",
    "pair": "LPTUSDT",
    "marginAsset": "USDT",
    "filters": [
        *spot_symbol()["filters"][:3],
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
    ],
}


def venue(folder: Path, *, funding: bool = True) -> Path:
    for path, content in {
        "api/v3/exchangeInfo": exchange_info("2024-03-01", spot_symbol(), spot_symbol("ETHUSDT")),
        "fapi/v1/exchangeInfo": exchange_info("2024-03-02", UM_SYMBOL),
        "fapi/v1/fundingInfo": FUNDING_INFO,
    }.items():
        if funding or not path.endswith("fundingInfo"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(json.dumps(content))
    return folder


def test_a_server_is_asked_and_its_time_dates_what_it_says(tmp_path: Path) -> None:
    with serving(venue(tmp_path / "venue")) as (base, told):
        spot = fetch_rules("spot", tmp_path / "lake", ONLINE, base=base)
        um = fetch_rules("um", tmp_path / "lake", ONLINE, base=base + "/")
    assert [(one.kind, one.date, one.symbols) for one in spot] == [("symbol", parse_time("2024-03-01"), 2)]
    assert [(one.kind, one.date) for one in um] == [
        ("symbol", parse_time("2024-03-02")),
        ("funding", parse_time("2024-03-02")),
    ]
    lake = LakeRules(tmp_path / "lake")
    assert lake.versions("spot:BTCUSDT")[0].seen[0].file == f"{base}/api/v3/exchangeInfo"
    assert lake.funding_interval_at("um:LPTUSDT", 0) == 4
    assert sum(told.requests.values()) == 3


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_is_read_like_a_server_also_without_the_network(tmp_path: Path, form: str) -> None:
    base = form.format(venue(tmp_path / "venue", funding=False))
    offline = ONLINE.model_copy(update={"allow_net": False})
    [one] = fetch_rules("um", tmp_path / "lake", offline, base=base, symbols=["LPTUSDT"])
    assert (one.kind, one.new) == ("symbol", 1)


def test_only_the_symbols_asked_for_are_kept(tmp_path: Path) -> None:
    base = str(venue(tmp_path / "venue"))
    fetch_rules("spot", tmp_path / "lake", ONLINE, base=base, symbols=["ETHUSDT"])
    assert LakeRules(tmp_path / "lake").market("spot").symbols == ["ETHUSDT"]
    with pytest.raises(DataError, match="XRPUSDT not in"):
        fetch_rules("spot", tmp_path / "lake", ONLINE, base=base, symbols=["ETHUSDT", "XRPUSDT"])


def test_a_server_that_stumbles_is_asked_again(tmp_path: Path) -> None:
    with serving(venue(tmp_path / "venue")) as (base, told):
        told.faults["api/v3/exchangeInfo"] = ["status 503", "reset"]
        [one] = fetch_rules("spot", tmp_path / "lake", ONLINE, base=base)
    assert one.new == 2


@pytest.mark.parametrize(
    ("fault", "text"),
    [("html", "is an HTML or XML page, not JSON"), ("status 451", "answered 451"), ("status 404", "has no api/v3")],
)
def test_a_server_that_does_not_answer_with_rules_is_refused(tmp_path: Path, fault: str, text: str) -> None:
    with serving(venue(tmp_path / "venue")) as (base, told):
        told.faults["api/v3/exchangeInfo"] = [fault]
        with pytest.raises(DataError, match=text):
            fetch_rules("spot", tmp_path / "lake", ONLINE, base=base)
    assert LakeRules(tmp_path / "lake").markets() == []


def test_a_market_without_rules_and_an_address_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no rules of market 'forex'"):
        fetch_rules("forex", tmp_path, ONLINE)
    with pytest.raises(UsageError, match="is no base address"):
        fetch_rules("spot", tmp_path, ONLINE, base="ftp://host")
