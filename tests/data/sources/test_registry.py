"""Sources by name: those that ship, one that is installed beside the package, and what is none."""

import textwrap
from pathlib import Path

import pytest

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.errors import UsageError
from backtester.core.time import parse_time
from backtester.data.downloader.sources.page import CandleSource
from backtester.data.downloader.sources.registry import BUILT_IN, open_source, source_names
from backtester.data.lake import Lake
from tests.support.archive import day_key, minutes, put_zip
from tests.support.cli import bt

CONTEXT = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)
START = parse_time("2024-01-10")

INSTALLED = '''
from backtester.core.time import MINUTE
from backtester.data.downloader.sources.page import page_of_rows


class Hill:
    """Candles on a slope; BROKEN, LIAR, STRANGER and SQUARE are symbols that it fails on."""

    name = "hill"
    offers = "klines of hill.spot"

    def __init__(self, cfg, context):
        self.context = context

    def serves(self, market, kind):
        return (market, kind) == ("hill.spot", "klines")

    async def pages(self, series, start, end):
        times = range(start, end, MINUTE)
        if series.symbol == "BROKEN":
            raise ZeroDivisionError("a bug in the source")
        if series.symbol == "STRANGER":
            yield "not a page"
        columns = ("open_time", "open", "high", "low", "close", "volume")
        high = 0.5 if series.symbol == "LIAR" else 2
        rows = [7, 8] if series.symbol == "SQUARE" else [(at, 1, high, 1, 1.5, 10) for at in times]
        yield page_of_rows(f"{series.symbol}-hill", f"hill:{series.symbol}", columns, rows)


not_a_class = 3
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution on the path, with entry points, as pip would leave it."""
    site = tmp_path / "site"
    info = site / "hill_candles-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "hill_candles.py").write_text(INSTALLED)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hill-candles\nVersion: 1.0\n")
    points = """\
        [backtester.candle_sources]
        hill = hill_candles:Hill
        gone = hill_candles:NotThere
        number = hill_candles:not_a_class
        text = builtins:dict
    """
    (info / "entry_points.txt").write_text(textwrap.dedent(points))
    monkeypatch.syspath_prepend(str(site))


def download(lake: Path, *symbols: str) -> object:
    span = ("--start", "2024-01-10", "--end", "2024-01-10T01:00")
    arguments = ("--market", "hill.spot", "--symbols", *symbols, "--timeframe", "1m", "--data", lake, *span)
    return bt("download", "--source", "hill", *arguments)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_what_ships_is_a_source(tmp_path: Path, name: str) -> None:
    source = open_source(name, DownloaderConfig(base_dir=tmp_path), CONTEXT)
    assert isinstance(source, CandleSource)
    assert source.name == name
    assert not source.serves("spot", "nonsense")


def test_an_installed_source_is_found_by_its_entry_point(tmp_path: Path, installed: None) -> None:
    assert source_names()["hill"] == "hill_candles:Hill"
    said = download(tmp_path / "lake", "BTC/EUR", "ETHEUR")
    assert said.code == 0, said.err
    assert [(p.symbol, p.rows, p.sources[0].address) for p in Lake(tmp_path / "lake").all_partitions()] == [
        ("BTCEUR", 60, "hill:BTCEUR"),
        ("ETHEUR", 60, "hill:ETHEUR"),
    ]
    assert bt("download", "--source", "hill", "--market", "spot", "--symbols", "X", "--timeframe", "1m",
              "--start", "2024-01-10").code == 2  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "says"),
    [
        ("BROKEN", "source hill failed for hill.spot:BROKEN 1m klines: ZeroDivisionError: a bug in the source"),
        ("STRANGER", "source hill sent 'not a page' and not a page"),
        ("LIAR", "60 of 60 rows are bad: high is below open or close"),
        ("SQUARE", "row 1 is 7 and not a list of values"),
    ],
)
def test_a_source_that_fails_costs_its_series_alone(tmp_path: Path, installed: None, symbol: str, says: str) -> None:
    said = download(tmp_path / "lake", symbol, "GOODEUR")
    assert (said.code, says in said.message) == (3, True), said.err
    assert Lake(tmp_path / "lake").verify(full=True) == []
    assert Lake(tmp_path / "lake").symbols("hill.spot") == ["GOODEUR"]


@pytest.mark.parametrize(("name", "says"), [
    ("gone", "cannot be made from hill_candles:NotThere"),
    ("number", "cannot be made from hill_candles:not_a_class"),
    ("text", "is not a source of candles|cannot be made"),
    ("hil", "is not known"),
])  # fmt: skip
def test_what_is_no_source_is_a_usage_error(tmp_path: Path, installed: None, name: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        open_source(name, DownloaderConfig(base_dir=tmp_path), CONTEXT)


def test_files_below_a_folder_are_a_source(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    text = "open_time,open,high,low,close,volume\n" + "\n".join(
        ",".join(row.split(",")[:6]) for row in minutes(START, 120).splitlines()
    )
    (folder / "BTCUSDT_1m.csv").write_text(text)
    (folder / "BTCUSDT_1h.csv").write_text("nothing of interest")
    (folder / "notes.json").write_text("{}")
    put_zip(folder, day_key("ETHUSDT", START), minutes(START, 120))
    span = ("--start", "2024-01-10T00:30", "--end", "2024-01-10T01:00", "--data", tmp_path / "lake")
    arguments = ("--timeframe", "1m", "--base-url", folder, *span)
    said = bt("download", "--source", "files", "--symbols", "BTCUSDT", "ETHUSDT", *arguments)
    assert said.code == 0, said.err
    assert [(p.symbol, p.rows, p.first_time) for p in Lake(tmp_path / "lake").all_partitions()] == [
        ("BTCUSDT", 30, parse_time("2024-01-10T00:30")),
        ("ETHUSDT", 30, parse_time("2024-01-10T00:30")),
    ]
    said = bt("download", "--source", "files", "--symbols", "XRPUSDT", *arguments)
    assert (said.code, "is named as one of spot:XRPUSDT 1m klines" in said.message) == (3, True)
    said = bt("download", "--source", "files", "--symbols", "XRPUSDT", *arguments[:2], *span)
    assert (said.code, "is not a folder" in said.message) == (2, True)
