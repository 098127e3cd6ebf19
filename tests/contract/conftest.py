"""Laws of ports: whatever stands behind one has to keep them."""

import pytest

from tests.contract.worlds import Libp2p, Memory, World


@pytest.fixture(params=[Memory, pytest.param(Libp2p, marks=pytest.mark.libp2p)])
def world(request: pytest.FixtureRequest) -> World:
    """The laws of ``net`` hold in memory and on libp2p."""
    made: World = request.param()
    return made


@pytest.fixture(autouse=True)
def no_connections() -> None:
    """Here peers do connect; the fixture of the other folders would forbid it."""
