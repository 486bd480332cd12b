"""`bt bench ticks`: what it measures is a real run that agrees with its yardstick."""

from pathlib import Path

from backtester.data.lake import Lake
from backtester.engine.bench_ticks import EVERY, measure_ticks, write_tape
from tests.support.cli import bt


def test_engine_and_bare_loop_quote_over_the_same_tape_and_end_with_the_same_equity(tmp_path: Path) -> None:
    write_tape(tmp_path, 30_000)
    figures = measure_ticks(tmp_path)  # raises when the equities differ
    assert figures["trades"] == 30_000
    assert figures["fills"] > 30_000 // EVERY
    assert figures["log_lines"] > 5 * (30_000 // EVERY)


def test_the_made_up_tape_is_the_same_each_time_and_says_that_it_is_made_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_tape(tmp_path / name, 5_000)
    a, b = (Lake(tmp_path / name).all_partitions() for name in ("a", "b"))
    assert [p.content for p in a] == [p.content for p in b]
    assert all(p.synthetic for p in a)


def test_the_command_says_its_figures_in_json() -> None:
    figures = bt("bench", "ticks", "--trades", 100_000, "--repeat", 1, "--json").json
    assert figures["trades"] == 100_000
    assert min(figures["trades_per_s"], figures["bare_loop_per_s"], figures["peak_mib"]) > 0
