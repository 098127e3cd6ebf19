"""Settings of all tests: how hard hypothesis tries, and what a test may not touch."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
OFFLINE = (HERE / "unit", HERE / "contract")

# A slow draw says that the machine is busy, nothing about the code.
_QUIET = (HealthCheck.too_slow,)

settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=_QUIET)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=_QUIET,
)
settings.register_profile("nightly", max_examples=5000, deadline=None, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _refuse_connect(_: socket.socket, address: object) -> None:
    raise AssertionError(f"a test of pure code connects to {address}")


@pytest.fixture(autouse=True)
def no_connections(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unit and contract tests have no peer: a connection there is a mistake."""
    if any(request.path.is_relative_to(folder) for folder in OFFLINE):
        monkeypatch.setattr(socket.socket, "connect", _refuse_connect)
