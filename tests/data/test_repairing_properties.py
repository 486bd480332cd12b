"""Whatever each source holds: a repair brings together what there is, and names the rest."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtester.config.configs import DownloaderConfig, RunContext
from backtester.core.time import MINUTE, parse_time
from backtester.data.downloader.finding import ImportOptions
from backtester.data.downloader.importing import import_paths
from backtester.data.downloader.repairing import Choice, repair
from backtester.data.lake import Lake
from backtester.data.parquet import read_partition_file
from backtester.data.schemas import KLINES
from tests.support.archive import day_key, minutes, month_key, put_zip
from tests.support.exchange import Exchange, answering, kline_rows
from tests.support.profiles import examples

START = parse_time("2024-03-10")
NOW = parse_time("2024-06-15")
OPEN = RunContext(run_id="test", seed=1, git_sha="", allow_net=True)
SERIES = ("spot", "klines", "BTCUSDT", "1m")
LENGTH = 30
ROWS = minutes(START, LENGTH).splitlines()
HELD = st.frozensets(st.integers(0, LENGTH - 1))


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Exchange, str]]:
    exchange = Exchange(clock=NOW / 1e6)
    with answering(exchange) as address:
        yield exchange, address


def text(held: frozenset[int]) -> str:
    return "".join(ROWS[at] + "\n" for at in sorted(held))


@settings(max_examples=examples(60))
@given(own=HELD, daily=HELD, monthly=HELD, rest=HELD)
def test_a_repair_leaves_the_union_of_all_sources_and_outages_for_the_rest(
    server: tuple[Exchange, str],
    own: frozenset[int],
    daily: frozenset[int],
    monthly: frozenset[int],
    rest: frozenset[int],
) -> None:
    own |= {0, 1, LENGTH - 1}
    exchange, address = server
    exchange.put("api/v3/klines", "BTCUSDT", "1m", kline_rows(text(rest)))
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").mkdir()
        for key, held in ((day_key("BTCUSDT", START), daily), (month_key("BTCUSDT", START), monthly)):
            if held:
                put_zip(folder / "archive", key, text(held))
        (folder / "BTCUSDT_1m.csv").write_text(text(own))
        lake = folder / "lake"
        import_paths([folder / "BTCUSDT_1m.csv"], lake, ImportOptions("spot", None, None, "1m"))
        cfg = DownloaderConfig(base_dir=lake, base_url=str(folder / "archive"), rest_url=address)
        report = repair(Choice(), cfg, OPEN, now=lambda: NOW)
        assert report.left == 0
        found = Lake(lake)
        assert found.verify(full=True) == []
        (partition,) = found.all_partitions()
        stored = set(((read_partition_file(lake / partition.path, KLINES)["open_time"] - START) // MINUTE).tolist())
        recorded = {
            at
            for one in found.outages(*SERIES)
            for at in range((one.start - START) // MINUTE, (one.end - START) // MINUTE)
        }
        assert stored == own | daily | monthly | rest
        assert recorded == set(range(LENGTH)) - stored
        assert found.unknown_gaps(*SERIES, START, START + LENGTH * MINUTE) == []
        assert repair(Choice(), cfg, OPEN, now=lambda: NOW).gaps == []
