"""What several files of unit tests need."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a wallet shall be; nothing is there yet."""
    return tmp_path / "home" / "wallet.json"
