"""A small made-up market, and one run over it that many tests look at."""

from pathlib import Path

import pytest

import backtester as bt
from tests.support.lakes import two_coins

CANDLES = 600


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    two_coins(folder, CANDLES)
    two_coins(folder, CANDLES, market="um")
    return folder


@pytest.fixture(scope="session")
def made(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A run with some trades."""
    runs = tmp_path_factory.mktemp("runs")
    return bt.run("sma_cross", ["BTCUSDT", "ETHUSDT"], params={"fast": 3, "slow": 9}, data=lake, runs=runs)


@pytest.fixture(scope="session")
def long_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More candles than the clock runs without a look at who asks it to stop."""
    folder = tmp_path_factory.mktemp("long")
    two_coins(folder, 12_000)
    return folder
