import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backtester.cli.data import data_app
from backtester.core.errors import DataError, UsageError

HEADER = "date,o,h,l,c,vol\n"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(data_app, [str(arg) for arg in args])


def as_json(*args: str | Path) -> dict:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "BTCUSDT_1h.csv"
    rows = [f"2024-01-01 {hour:02d}:00,10,12,9,11,{hour}\n" for hour in range(24) if hour != 5]
    path.write_text(HEADER + "".join(rows))
    return path


def test_import_ls_show_verify_and_rm(tmp_path: Path, file: Path) -> None:
    lake = tmp_path / "lake"
    result = run("import", file, "--market", "spot", "--data", lake)
    assert result.exit_code == 0
    assert "spot:BTCUSDT 1h klines: 23 of 23 rows are new, 1 partitions written" in result.stdout
    assert "1 candles are missing" in result.stdout
    listed = run("ls", "--data", lake).stdout
    assert listed.split()[:6] == ["market", "kind", "symbol", "tf", "from", "to"]
    assert "2024-01-01 00:00 2024-01-01 23:00" in listed
    assert "1 series, 23 rows" in listed
    series = as_json("ls", "--data", lake)["series"][0]
    assert (series["rows"], series["gaps"], series["missing"], series["synthetic"]) == (23, 1, 1, False)
    assert "1 unknown gap, 1 candle missing" in run("show", "spot:BTCUSDT", "--data", lake).stdout
    shown = run("show", "spot:BTCUSDT", "--partitions", "--data", lake).stdout
    assert "from BTCUSDT_1h.csv" in shown
    assert "gap: 2024-01-01T05:00:00Z up to 2024-01-01T06:00:00Z" in shown
    assert as_json("show", "BTCUSDT", "--data", lake)["series"][0]["partitions"][0]["rows"] == 23
    assert "1 partition in" in run("verify", "--data", lake).stdout
    assert as_json("verify", "--full", "--data", lake)["problems"] == []
    assert isinstance(run("rm", "BTCUSDT", "--data", lake).exception, UsageError)
    assert len(as_json("rm", "BTCUSDT", "--yes", "--data", lake)["removed"]) == 1
    assert "holds nothing yet" in run("ls", "--data", lake).stdout
    assert isinstance(run("show", "BTCUSDT", "--data", lake).exception, DataError)


def test_the_import_report_is_one_json_object(tmp_path: Path, file: Path) -> None:
    report = as_json("import", file, "--market", "spot", "--data", tmp_path / "lake")
    assert report["series"][0]["series"] == {"market": "spot", "kind": "klines", "symbol": "BTCUSDT", "timeframe": "1h"}
    assert report["series"][0]["rows_added"] == 23


def test_verify_names_what_is_wrong_and_fails(tmp_path: Path, file: Path) -> None:
    lake = tmp_path / "lake"
    path = as_json("import", file, "--market", "spot", "--data", lake)["series"][0]["partitions"][0]["path"]
    (lake / path).write_bytes(b"damaged")
    error = run("verify", "--data", lake).exception
    assert isinstance(error, DataError)
    assert "another SHA-256" in error.message
    assert error.hint.startswith(f"bt data repair --data {lake} ")
    result = run("verify", "--data", lake, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["problems"][0]["path"] == path
    again = run("import", file, "--market", "spot", "--data", lake, "--replace")
    assert again.exit_code == 0, again.exception
    assert run("verify", "--full", "--data", lake).exit_code == 0


def test_sample_and_rebuild(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    assert "spot:BTCUSDT 1m: 129,600 synthetic candles" in run("sample", "--data", lake).stdout
    (lake / "manifest.jsonl").unlink()
    assert (as_json("rebuild", "--data", lake))["recreated"] == 6
    assert "synthetic" in run("ls", "--data", lake).stdout
    removed = as_json("rm", "spot:ETHUSDT", "--month", "2024-02", "--yes", "--data", lake)["removed"]
    assert [path[-10:] for path in removed] == ["02.parquet"]


def test_every_command_has_help_with_an_example() -> None:
    for command in ("import", "ls", "show", "verify", "gaps", "diff", "export", "rebuild", "sample", "rm"):
        assert "bt data" in run(command, "--help").stdout


def test_the_commands_load_without_the_heavy_libraries() -> None:
    code = "import sys, backtester.cli.data; print([m for m in ('numpy', 'pyarrow', 'msgspec') if m in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_bad_rows_that_are_left_out_are_said_as_a_share_of_the_file(tmp_path: Path, file: Path) -> None:
    file.write_text(file.read_text().replace("10,12,9,11,7", "10,8,9,11,7"))  # a high below its open
    said = run("import", file, "--market", "spot", "--data", tmp_path / "lake", "--drop-bad").stdout
    assert "warning: 1 of 23 rows (4.3%) were bad and left out" in said
