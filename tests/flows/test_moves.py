"""Objects between domains: on fakes, and on packed nodes with real links and bulk ports."""

from pathlib import Path

import numpy as np
import pytest

import p2pgrid
from actors.exports import Exports
from p2pgrid import ActorPointer, TensorPointer
from p2pgrid.errors import MoveNotPermittedError
from tests.flows import exported
from tests.flows.grids import FlowDomain, FlowGrid, audit_log, user

LARGE = np.linspace(60.125, 180.375, 1_000_003)


@pytest.fixture(params=["fakes", pytest.param("pack", marks=pytest.mark.ray)])
def grid(request: pytest.FixtureRequest) -> FlowGrid:
    """Those grids that have several domains."""
    made: FlowGrid = request.getfixturevalue(request.param)
    return made


class Pair:
    """A person's ends of a domain that has data and of one that exports actors."""

    def __init__(self, grid: FlowGrid, person: str) -> None:
        self.source, self.target = grid.domain(), grid.domain()
        Exports(self.target.directory.exports).add(Path(exported.__file__))
        self.client = grid.client(person)
        both = (self.source, self.target)
        self.data, there = (user(it, self.client, person).login(person) for it in both)
        self.tally: ActorPointer = there.actors["Tally"].remote()

    def published(self, name: str, *allowed: FlowDomain) -> TensorPointer:
        """A large array of the first domain."""
        peers = tuple(it.peer_id for it in allowed)
        self.source.owner().publish(name, LARGE, allowed_domains=peers)
        pointer: TensorPointer = next(it for it in self.data.datasets if it.name == name).pointers[
            0
        ]
        return pointer


def test_an_array_moves_into_a_call_at_another_domain(grid: FlowGrid) -> None:
    pair = Pair(grid, "mia")
    rows = pair.published("moving", pair.target)
    total = pair.tally.total.remote(rows + 1)
    assert p2pgrid.wait([total], timeout=60)[0] == [total]
    owner = pair.target.owner()
    owner_total = owner.actors["Tally"].remote().total.remote(rows)
    assert p2pgrid.get(owner_total, timeout=60) == LARGE.sum()
    moves = [it for it in audit_log(pair.source) if it.action == "move"]
    assert [(it.account, it.outcome) for it in moves] == [("mia", "given")] * 2


def test_a_refused_move_fails_the_call_with_its_reason(grid: FlowGrid) -> None:
    pair = Pair(grid, "noa")
    rows = pair.published("staying", pair.source)
    with pytest.raises(MoveNotPermittedError):
        p2pgrid.get(pair.tally.total.remote(rows), timeout=60)
    assert not [it for it in audit_log(pair.target) if it.action == "deposit"]
    files = pair.target.directory.objects.rglob("*")
    assert not any(LARGE[:4].tobytes() in it.read_bytes() for it in files if it.is_file())
