"""A folder as the reader of a page has it: a sample lake, and an archive to import."""

import hashlib
import random
import shutil
import zipfile
from pathlib import Path

import pytest

from backtester.core.time import MINUTE, parse_time
from backtester.data.sample import write_sample_lake

_MINUTES = 10 * 1440


@pytest.fixture(scope="session")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = tmp_path_factory.mktemp("lake") / "data"
    write_sample_lake(lake)
    return lake


@pytest.fixture
def desk(tmp_path: Path, sample_lake: Path) -> Path:
    """Return a folder with a sample lake in data/ and, in archive/, a file as the public archive has it."""
    shutil.copytree(sample_lake, tmp_path / "data")
    (tmp_path / "configs").mkdir()  # pages and pictures take seconds, and have tests of their own
    (tmp_path / "configs" / "backtest.toml").write_text("[report]\nhtml = false\nplots = false\n")
    write_archive(tmp_path / "archive" / "data/spot/monthly/klines/SOLUSDT/1m", "SOLUSDT-1m-2024-02")
    return tmp_path


def write_archive(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    luck, price, rows = random.Random(7), 10_000, []
    for minute in range(_MINUTES):
        opened, price = price, max(100, price + luck.randint(-20, 20))
        high, low = max(opened, price) + luck.randint(0, 5), min(opened, price) - luck.randint(0, 5)
        at = (parse_time("2024-02-01") + minute * MINUTE) // 1000
        prices = ",".join(f"{value / 100:.2f}" for value in (opened, high, low, price))
        rows.append(f"{at},{prices},12.500,{at + 59_999},1250.00000000,40,6.000,600.00000000,0")
    target = folder / f"{name}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", "\n".join(rows) + "\n")
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    (folder / f"{name}.zip.CHECKSUM").write_text(f"{digest}  {name}.zip\n", encoding="utf-8")
