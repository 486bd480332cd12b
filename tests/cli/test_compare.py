"""`bt compare` as it is used."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.cli import bt

RUN = ["run", "--strategy", "sma_cross", "--symbols", "BTCUSDT", "-p", "fast=3", "-p", "slow=7", "--json"]


def made(lake: Path, *more: object) -> str:
    said = bt(*RUN, "--data", lake, *more)
    assert said.code == 0, said.err
    return str(said.json["path"])


def test_two_runs_are_shown_side_by_side_with_the_bridge_between_them(lake: Path) -> None:
    one, other = made(lake), made(lake, "--set", "fees.taker_bps=30")
    said = bt("compare", one, other)
    assert said.code == 0, said.err
    assert "\x1b" not in said.out
    for words in ("total return", "A is better", "final equity of A", "fees.taker_bps", "data: the same"):
        assert words in said.out
    assert "the first event that differs" in said.out
    found = bt("compare", one, other, "--json").json
    lines = {line["name"]: Decimal(line["amount"]) for line in found["bridge"]["lines"]}
    assert sum(lines.values()) == Decimal(found["bridge"]["difference"])
    assert lines["fees"] < 0
    assert [row["key"] for row in found["config"]] == ["fees.taker_bps"]
    assert found["first_difference"]["first"]["parts"][-1]["topic"] == "fills"
    assert "fee" in found["first_difference"]["fields"]


def test_pictures_and_pages_are_written_where_asked_and_named(lake: Path, tmp_path: Path) -> None:
    png, page = tmp_path / "new" / "c.png", tmp_path / "c.html"
    said = bt("compare", made(lake), made(lake, "-p", "fast=2"), "--png", png, "--html", page)
    assert said.code == 0, said.err
    assert said.out.splitlines()[-2:] == [f"png {png}", f"html {page}"]
    assert png.read_bytes().startswith(b"\x89PNG")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    blocked = tmp_path / "c.html" / "below.html"
    assert "cannot be written" in bt("compare", made(lake), made(lake, "-p", "fast=2"), "--html", blocked).message


def test_three_runs_have_stars_and_no_bridge(lake: Path) -> None:
    runs = [made(lake, "--set", f"fees.taker_bps={bps}") for bps in (1, 10, 20)]
    said = bt("compare", *runs)
    assert said.code == 0, said.err
    [fees] = [line for line in said.out.splitlines() if line.startswith("fees ")]
    assert fees.split()[2] == "*"
    assert "bridge" not in bt("compare", *runs, "--json").json


def test_a_run_and_its_repetition_are_the_same(lake: Path) -> None:
    said = bt("compare", made(lake), made(lake))
    assert "the runs have the same log" in said.out
    assert "the first event that differs: there is none" in said.out
    assert "config: the same" in said.out


def test_other_ranges_are_said_and_compared_where_both_are(lake: Path) -> None:
    said = bt("compare", made(lake), made(lake, "--start", "2024-01-01T01:00"))
    assert said.code == 0, said.err
    assert "the runs cover other times (all cover 2024-01-01T01:00:00Z to 2024-01-01T04:00:00Z)" in said.out


def test_other_currencies_have_figures_and_no_bridge(lake: Path) -> None:
    wallet = ["--set", "account.currency=BTC", "--set", "account.initial_cash=1", "--symbols", "BNBBTC"]
    said = bt("compare", made(lake), made(lake, *wallet))
    assert said.code == 0, said.err
    assert "the accounts are in other currencies: money is not compared" in said.out
    assert "no bridge: one account is in USDT, the other in BTC" in said.out


def test_a_table_that_was_changed_is_found_out(lake: Path) -> None:
    one, other = made(lake), made(lake, "-p", "fast=2")
    (Path(other) / "fills.parquet").write_bytes((Path(one) / "fills.parquet").read_bytes())
    said = bt("compare", one, other)
    assert said.code == 4
    assert "its tables do not add up to its final equity" in said.message


@pytest.mark.parametrize("count", [1, 2])
def test_one_run_is_no_comparison(lake: Path, count: int) -> None:
    said = bt("compare", *[made(lake)] * count)
    assert said.code == 2
    assert ("two runs or more" if count == 1 else "named twice") in said.message
