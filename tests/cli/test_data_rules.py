"""`bt data rules` as it is used."""

import json
from pathlib import Path

import pytest

from tests.support.cli import bt
from tests.support.market import flat, write_candles
from tests.support.venue import UM_BRACKETS, exchange_info, spot_symbol


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two answers of spot and one without a date, in the current folder."""
    old = exchange_info("2022-12-11", spot_symbol(min_notional="10"), spot_symbol("ETHUSDT"))
    (tmp_path / "old.json").write_text(json.dumps(old))
    (tmp_path / "new.json").write_text(json.dumps(exchange_info("2024-09-08", spot_symbol())))
    (tmp_path / "brackets.json").write_text(json.dumps(UM_BRACKETS))
    return tmp_path


def test_import_ls_and_show_for_people(files: Path) -> None:
    said = bt("data", "rules", "import", "new.json", "old.json", "brackets.json", "--date", "2024-10-01")
    assert said.code == 0, said.err
    assert "old.json: spot symbol of 2022-12-11: 2 symbols, 2 new versions" in said.out
    listed = bt("data", "rules", "ls").out
    assert "spot symbol: 2 symbols, 3 versions, 2022-12-11 .. 2024-09-08" in listed
    assert "um brackets: 1 symbols, 1 version, 2024-10-01 .. 2024-10-01" in listed
    shown = bt("data", "rules", "show", "spot:BTCUSDT").out
    assert "spot:BTCUSDT symbol of 2022-12-11, last seen 2022-12-11" in shown
    assert "  min_notional: 10 -> 5" in shown
    then = bt("data", "rules", "show", "BTCUSDT", "--at", "2023-01-01").out
    assert "  min_notional: 10" in then
    assert "2024" not in then
    assert "bracket 2: from 10000 up to 50000, leverage at most 50" in bt("data", "rules", "show", "um:ETHUSDT").out


def test_json_is_one_object(files: Path) -> None:
    imported = bt("data", "rules", "import", "old.json", "--symbols", "BTCUSDT", "ETHUSDT", "--json").json
    assert [(one["kind"], one["symbols"], one["new"]) for one in imported["imported"]] == [("symbol", 2, 2)]
    assert bt("data", "rules", "ls", "--json").json["rules"][0]["versions"] == 2
    [version] = bt("data", "rules", "show", "spot:ETHUSDT", "--json").json["versions"]
    assert (version["kind"], version["value"]["base"], version["source"]["file"]) == ("symbol", "ETH", "old.json")


def test_fetch_reads_a_folder(files: Path) -> None:
    (files / "venue" / "api" / "v3").mkdir(parents=True)
    (files / "old.json").rename(files / "venue" / "api" / "v3" / "exchangeInfo")
    said = bt("data", "rules", "fetch", "--market", "spot", "--symbols", "BTCUSDT", "ETHUSDT", "--rest-url", "venue")
    assert said.code == 0, said.err
    assert "2 symbols, 2 new versions" in said.out
    assert "signed" in bt("data", "rules", "fetch", "--help").out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["import", "brackets.json"], 2, "does not say when it was true hint: --date"),
        (["import", "absent.json"], 2, "absent.json cannot be read: No such file"),
        (["import", "old.json", "--market", "um"], 3, "is symbol of spot, not of um hint: --market spot"),
        (["import", "old.json", "--symbols", "XRPUSDT"], 3, "XRPUSDT not in old.json"),
        (["import", "old.json", "--date", "yesterday"], 2, "'yesterday' is not a time"),
        (["fetch", "--market", "forex"], 2, "there are no rules of market 'forex'"),
        (["fetch", "--market", "spot", "--rest-url", "nowhere"], 2, "nowhere is not a folder"),
        (["show", "spot:BTCUSDT"], 3, "the lake has no rules of market spot (it has: none)"),
    ],
)
def test_what_goes_wrong_is_one_message_with_its_code(files: Path, arguments: list[str], code: int, text: str) -> None:
    said = bt("data", "rules", *arguments)
    assert (said.code, said.out) == (code, "")
    assert text in said.message


def test_an_empty_lake_says_how_to_get_rules() -> None:
    assert "bt data rules fetch" in bt("data", "rules", "ls").out


def test_a_listed_symbol_runs_without_base_and_quote_in_the_config(files: Path) -> None:
    symbol = {**spot_symbol("XYZABC"), "baseAsset": "XYZ", "quoteAsset": "ABC"}
    write_candles(files / "data", flat(100, 240), symbol="XYZABC")
    command = ["run", "--strategy", "sma_cross", "--symbols", "XYZABC", "--set", "account.currency=ABC", "--json"]
    assert "cannot tell base and quote" in bt(*command).message
    (files / "listed.json").write_text(json.dumps(exchange_info("2023-01-01", symbol)))
    bt("data", "rules", "import", "listed.json")
    assert bt(*command).json["status"] == "complete"


@pytest.mark.parametrize("command", ["import", "fetch", "ls", "show"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert "Example: bt data rules" in " ".join(bt("data", "rules", command, "--help").out.split())
