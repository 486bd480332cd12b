from pathlib import Path

import pytest

from tests.support.lakes import two_coins


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days of minutes of two coins."""
    folder = tmp_path_factory.mktemp("sweep-lake")
    two_coins(folder, 5_760)
    return folder
