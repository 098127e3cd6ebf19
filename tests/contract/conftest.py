"""Laws of ports: whatever stands behind one has to keep them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from p2pgrid.net.peer import libp2p_peer
from p2pgrid.testing.network import MemoryNetwork
from tests.contract.peers import Grid
from tests.contract.worlds import Libp2p, Memory, World


@pytest.fixture(params=[Memory, pytest.param(Libp2p, marks=pytest.mark.libp2p)])
def world(request: pytest.FixtureRequest) -> World:
    """The laws of ``net`` hold in memory and on libp2p."""
    made: World = request.param()
    return made


@pytest.fixture(autouse=True)
def no_connections() -> None:
    """Here peers do connect; the fixture of the other folders would forbid it."""


@pytest.fixture
def memory() -> Iterator[MemoryNetwork]:
    network = MemoryNetwork()
    yield network
    network.close()


@pytest.fixture
def libp2p() -> Iterator[Grid]:
    grid = Grid(libp2p_peer)
    yield grid
    grid.stop()


@pytest.fixture(params=["memory", pytest.param("libp2p", marks=pytest.mark.libp2p)])
def grid(request: pytest.FixtureRequest) -> Iterator[Grid]:
    """The laws of ``Peer`` hold in memory and on libp2p."""
    if request.param == "libp2p":
        yield request.getfixturevalue("libp2p")
        return
    grid = Grid(request.getfixturevalue("memory").peer)
    yield grid
    grid.stop()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool
