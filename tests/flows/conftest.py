"""The grids of the flows; the real ones start once for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.grids import FakeGrid, FlowGrid, RealGrid

PACKED_DOMAINS = 5


@pytest.fixture(scope="package")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGrid]:
    """A network and one domain, each a Ray cluster of its own."""
    grid = RealGrid(tmp_path_factory.mktemp("c"), domains=1, isolation="cluster")
    yield grid
    grid.close()


@pytest.fixture(scope="package")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealGrid]:
    """A network and some domains in one process."""
    grid = RealGrid(tmp_path_factory.mktemp("p"), domains=PACKED_DOMAINS, isolation="packed")
    yield grid
    grid.close()


@pytest.fixture
def fakes(tmp_path: Path) -> Iterator[FakeGrid]:
    """Nodes without sockets and without Ray."""
    grid = FakeGrid(tmp_path)
    yield grid
    grid.close()


@pytest.fixture(
    params=["fakes", *(pytest.param(name, marks=pytest.mark.ray) for name in ("pack", "clusters"))]
)
def grid(request: pytest.FixtureRequest) -> FlowGrid:
    """The grid of a flow, hosted in each of the three ways."""
    made: FlowGrid = request.getfixturevalue(request.param)
    return made
