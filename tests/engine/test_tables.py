"""The tables of a run, recounted from its market and its log."""

import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, text, tuples

from backtester.account.equity import EquityColumns
from backtester.core.time import MINUTE
from backtester.engine.columns import MONEY_TYPE, StreamedTable, decimal_column, text_column, time_column
from backtester.engine.row_table import RowTable
from backtester.engine.tables import EquityTable
from backtester.strategy.base import Strategy
from tests.support.erratic import Erratic
from tests.support.lakes import two_coins
from tests.support.market import flat
from tests.support.runs import config_of, prepared_run, run_on, run_prepared, scripted

B = "BTCUSDT"
MARKET = [
    # open, high, low, close
    (100, 101, 99, 100),
    (102, 103, 98, 99),
    (98, 99, 97, 97),
    (95, 96, 94, 95),
    (97, 99, 96, 98),
]


def test_equity_by_hand(tmp_path: Path) -> None:
    trades = scripted({0: lambda s: [s.buy(B, 10)], 2: lambda s: [s.sell(B, 10)]})
    ran = run_on(tmp_path, MARKET, trades, fees={"maker_bps": 0, "taker_bps": 10})
    start = ran.prepared.start
    rows = [
        (
            (row["ts"] - start) // MINUTE,
            *(str(row[k].normalize()) for k in ("equity", "cash", "unrealised", "exposure")),
        )
        for row in ran.table("equity")
    ]
    assert rows == [
        (0, "1E+4", "1E+4", "0", "0"),  # before anything happened
        (1, "1E+4", "1E+4", "0", "0"),
        (1, "9978.98", "8978.98", "-2E+1", "1E+3"),  # bought 10 at 102; the last price is still the close, 100
        (2, "9968.98", "8978.98", "-3E+1", "9.9E+2"),
        (3, "9948.98", "8978.98", "-5E+1", "9.7E+2"),
        (3, "9928.03", "9928.03", "0", "0"),  # sold 10 at 95: 950 less 0.95
        (4, "9928.03", "9928.03", "0", "0"),
        (5, "9928.03", "9928.03", "0", "0"),
    ]


def test_one_row_per_boundary_and_one_per_fill(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 250)
    ran = run_prepared(tmp_path, prepared_run(Erratic, config_of(tmp_path / "lake", [B, "ETHUSDT"]), busy=0.4))
    rows = ran.table("equity")
    assert len(rows) == 1 + 250 + len(ran.fills)
    times = [row["ts"] for row in rows]
    assert times == sorted(times)
    assert sorted(set(times)) == [ran.prepared.start + n * MINUTE for n in range(251)]
    assert str(rows[-1]["equity"]) == ran.result.metrics["final_equity"]["value"]
    peak = Decimal(0)
    for row in rows:
        peak = max(peak, row["equity"])
        assert row["drawdown"] == pytest.approx(float(row["equity"] / peak - 1), abs=1e-12)
    assert ran.result.metrics["max_drawdown"]["value"] == min(row["drawdown"] for row in rows)


def test_fills_say_what_the_log_says(tmp_path: Path) -> None:
    two_coins(tmp_path / "lake", 250)
    ran = run_prepared(tmp_path, prepared_run(Erratic, config_of(tmp_path / "lake", [B, "ETHUSDT"]), busy=0.4))
    logged = [(line["tick"], line["event"]) for line in ran.lines if line["topic"] == "fills"]
    assert len(logged) == len(ran.table("fills")) > 20
    for row, (tick, event) in zip(ran.table("fills"), logged, strict=True):
        assert (row["fill_id"], row["ts"], row["tick"]) == (event["event_id"], event["ts"], tick)
        for key in ("order_id", "instrument", "kind", "side", "fee_asset", "liquidity", "tag"):
            assert row[key] == event[key]
        for key in ("qty", "price", "reference_price", "fee"):
            assert row[key] == Decimal(event[key])


def test_trades_by_hand(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted(
            {
                0: lambda s: [s.buy(B, 10, tag="in")],
                1: lambda s: [s.sell(B, 4, tag="half")],
                2: lambda s: [s.sell(B, 6, tag="out")],
                3: lambda s: [s.buy(B, 1)],
            }
        ),
        fees={"maker_bps": 0, "taker_bps": 10},
    )
    [trade] = ran.table("trades")
    start = ran.prepared.start
    assert (trade["side"], trade["fills"], trade["entry_tag"], trade["exit_tag"]) == ("long", 3, "in", "out")
    assert (trade["entry_time"] - start, trade["exit_time"] - start) == (1 * MINUTE, 3 * MINUTE)
    # in: 10 × 102; out: 4 × 98 + 6 × 95 = 962; fees 0.1 % of both
    assert {
        k: str(trade[k].normalize()) for k in ("entry_notional", "exit_notional", "gross_pnl", "fees", "net_pnl")
    } == {
        "entry_notional": "1.02E+3",
        "exit_notional": "962",
        "gross_pnl": "-58",
        "fees": "1.982",
        "net_pnl": "-59.982",
    }
    metrics = ran.result.metrics
    assert [metrics[k]["value"] for k in ("n_trades", "n_wins", "n_losses", "n_open")] == [1, 0, 1, 1]
    assert metrics["win_rate"]["value"] == 0


def test_a_flip_is_two_trades(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted({0: lambda s: [s.buy(B, 4)], 1: lambda s: [s.sell(B, 10)], 2: lambda s: [s.buy(B, 6)]}),
        run={"market": "um"},
    )
    assert [(t["side"], t["qty"], t["gross_pnl"]) for t in ran.table("trades")] == [
        ("long", 4, Decimal(-16)),
        ("short", 6, Decimal(18)),
    ]


def test_every_order_has_a_row_with_its_end(tmp_path: Path) -> None:
    ran = run_on(
        tmp_path,
        MARKET,
        scripted(
            {
                0: lambda s: [s.buy(B, 1, tag="a"), s.buy(B, 1, limit=50), s.sell(B, 1, stop=200)],
                1: lambda s: [s.sell(B, 1, stop=120), s.buy(B, 1, limit=40)],
                2: lambda s: s.cancel_all(B)[:1],
            }
        ),
    )
    assert sorted((r["order_id"], r["kind"], r["status"], r["reason"]) for r in ran.table("orders")) == [
        (1, "market", "filled", ""),
        (2, "limit", "cancelled", "requested"),
        (3, "stop", "rejected", "would_trigger"),
        (4, "limit", "working", ""),
    ]


def test_a_run_of_a_longer_timeframe_has_rows_at_its_own_boundaries(tmp_path: Path) -> None:
    ran = run_on(tmp_path, flat(100, 60), Strategy, timeframe="15m", stored="1m")
    start = ran.prepared.start
    assert [(row["ts"] - start) // MINUTE for row in ran.table("equity")] == [0, 15, 30, 45, 60]


# --- digests ----------------------------------------------------------------------------------------------------------

SCHEMA = pa.schema([("ts", pa.timestamp("us", tz="UTC")), ("money", MONEY_TYPE), ("name", pa.string())])
row = tuples(integers(0, 2**50), integers(-(2**62), 2**62), text(max_size=5))


def written(path: Path, rows: list[tuple[int, int, str]], cuts: list[int]) -> str:
    table = StreamedTable(path, SCHEMA)
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    for low, high in pairwise(edges):
        ts, units, names = zip(*rows[low:high], strict=True)
        table.append([time_column(ts), decimal_column(units, 8, MONEY_TYPE), pa.array(names, type=pa.string())])
    return table.close()


@given(rows=lists(row, min_size=1, max_size=20), cuts=lists(integers(0, 50), max_size=5))
def test_a_digest_does_not_depend_on_chunks_but_on_every_value(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, str]], cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    whole = written(folder / "a.parquet", rows, [])
    assert written(folder / "b.parquet", rows, cuts) == whole
    changed = [(rows[0][0], rows[0][1] + 1, rows[0][2]), *rows[1:]]
    assert written(folder / "c.parquet", changed, cuts) != whole
    renamed = [(rows[0][0], rows[0][1], rows[0][2] + "x"), *rows[1:]]
    assert written(folder / "d.parquet", renamed, cuts) != whole
    read = pq.read_table(folder / "b.parquet").to_pylist()
    assert [int(r["money"].scaleb(8)) for r in read] == [units for _, units, _ in rows]


@given(lists(integers(-(2**70), 2**70), min_size=1, max_size=20))
def test_a_money_column_is_exact_beyond_64_bits(units: list[int]) -> None:
    assert [int(v.scaleb(8)) for v in decimal_column(units, 8, MONEY_TYPE).to_pylist()] == units
    assert [int(v.scaleb(12)) for v in decimal_column(units, 8, pa.decimal128(38, 12)).to_pylist()] == [
        u * 10**4 for u in units
    ]


@given(
    rows=lists(tuples(integers(0, 10**9), integers(-(10**12), 10**12)), min_size=1, max_size=30), cut=integers(0, 30)
)
def test_drawdown_does_not_depend_on_chunks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("equity")
    full = [(ts, equity, equity, 0, 0) for ts, equity in rows]
    one, two = EquityTable(folder / "1.parquet"), EquityTable(folder / "2.parquet")
    one.write(_columns(full))
    for part in (full[:cut], full[cut:]):
        if part:
            two.write(_columns(part))
    assert one.stats == two.stats
    assert one.close() == two.close()


def _columns(rows: Sequence[tuple[int, ...]]) -> EquityColumns:
    ts, equity, cash, unrealised, exposure = np.ascontiguousarray(np.array(rows, dtype=np.int64).T)
    return ts, equity, cash, unrealised, exposure


@given(values=lists(text(max_size=5)))
def test_a_column_of_texts_is_the_one_that_pyarrow_makes(values: list[str]) -> None:
    column = text_column(values)
    column.validate(full=True)
    assert column.equals(pa.array(values, type=pa.string()))


COLUMNS = [("n", pa.int64()), ("x", pa.float64()), ("name", pa.string())]


def test_a_table_filled_row_by_row_holds_what_was_added_and_nulls_for_none(tmp_path: Path) -> None:
    rows = [(1, 0.5, "a"), (2**62, None, ""), (-3, -0.0, "\u00e9"), (0, None, "b")]
    table = RowTable(tmp_path / "t.parquet", COLUMNS)
    for row in rows:
        table.add(*row)
    table.close()
    written = pq.read_table(tmp_path / "t.parquet")
    assert list(zip(*(column.to_pylist() for column in written.columns), strict=True)) == rows
    assert written["x"].null_count == 2


def test_a_run_does_not_import_pandas(tmp_path: Path) -> None:
    """Where it is installed, pyarrow's own conversions would: a quarter of a second of every run."""
    two_coins(tmp_path / "lake", 400)
    code = (
        "import sys\nfrom backtester.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code, done.code\n"
        "assert 'pyarrow' in sys.modules\nassert 'pandas' not in sys.modules\n"
    )
    words = ["run", "--strategy", "sma_cross", "--symbols", B, "--no-report", "--no-plots"]
    words += ["--data", str(tmp_path / "lake"), "--runs", str(tmp_path / "runs")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
