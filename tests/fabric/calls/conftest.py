"""The domain of these tests exports the classes of ``exported``."""

import pytest

from p2pgrid import DomainClient
from p2pgrid.client.actor_pointer import ActorPointer
from tests.fabric.calling import Caller, hospital
from tests.fabric.conftest import FabricNode, Grid


@pytest.fixture
def bob(grid: Grid) -> FabricNode:
    """A hospital."""
    return hospital(grid)


@pytest.fixture
def ann(grid: Grid, owner: DomainClient) -> Caller:
    """A scientist, on the wire."""
    return Caller(grid.user(owner, "ann"))


@pytest.fixture
def counter(owner: DomainClient) -> ActorPointer:
    """An actor of the owner's program."""
    return owner.actors.Counter.remote()
