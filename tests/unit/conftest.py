"""What several files of unit tests need."""

from pathlib import Path

import pytest

from p2pgrid.policy.objects import SessionObjects
from tests.unit.session_objects import objects_with


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a wallet shall be; nothing is there yet."""
    return tmp_path / "home" / "wallet.json"


@pytest.fixture
def objects() -> SessionObjects:
    """A session that holds nothing yet."""
    return objects_with()
