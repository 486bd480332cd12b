"""A lake for the commands."""

from pathlib import Path

import pytest

from tests.support.lakes import two_coins, wandering
from tests.support.market import write_candles
from tests.support.stopping import CANDLES


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BTCUSDT and ETHUSDT whole, SOLUSDT with a hole, BNBBTC in another currency; BTCUSDT as a future too."""
    folder = tmp_path_factory.mktemp("lake")
    two_coins(folder, 240)
    rows = wandering(240, 9)
    write_candles(folder, [*rows[:100], None, None, None, *rows[103:]], symbol="SOLUSDT")
    write_candles(folder, wandering(240, 10), symbol="BNBBTC")
    write_candles(folder, wandering(240, 11), symbol="BTCUSDT", market="um")
    return folder


@pytest.fixture(scope="session")
def long_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some thousand candles of BTCUSDT."""
    folder = tmp_path_factory.mktemp("long")
    write_candles(folder, wandering(CANDLES, 3), symbol="BTCUSDT")
    return folder
