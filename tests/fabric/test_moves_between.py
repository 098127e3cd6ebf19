"""Objects that move from one domain into calls at another one, as a scientist asks for it."""

from pathlib import Path

import numpy as np
import pytest

import p2pgrid
from p2pgrid import ActorPointer, DomainClient, TensorPointer
from tests.fabric import exported
from tests.fabric.conftest import FabricNode, Grid, domain_at
from tests.fabric.moving import Wire, wire

__all__ = ["wire"]

SOURCE = Path(exported.__file__)
HEART = np.linspace(60.125, 180.375, 53)
LARGE = np.arange(90_011.0)
"""Over ``Limits.inline``."""


class Two:
    """A clinic that has data, a hospital that exports actors, and ann, who has accounts at both."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.clinic, self.hospital = grid.launch("clinic"), grid.launch("hospital")
        self.hospital.exports.add(SOURCE)
        self.hospital.stop()
        self.hospital.start()
        self.owners = {it: grid.owner_of(it) for it in (self.clinic, self.hospital)}
        self.ann = grid.client("ann")
        self.peer = self.ann.peer.peer_id
        self.data, self.actors = (self._joined(it) for it in (self.clinic, self.hospital))

    def _joined(self, node: FabricNode) -> DomainClient:
        owner = self.owners[node]
        self.ann.wallet.new(owner.peer_id, "ann")
        owner.users.add("ann", self.ann.wallet.public_key(owner.peer_id, "ann"))
        return domain_at(self.ann, node.address).login("ann")

    def publish(
        self, values: np.ndarray, *, to: object = None, name: str = "heart"
    ) -> TensorPointer:
        allowed = self.actors.peer_id if to is None else to
        self.owners[self.clinic].publish(name, values, allowed_domains=allowed)
        dataset = next(it for it in self.data.datasets if it.name == name)
        return dataset.pointers[0]

    def actor(self, name: str = "Stats") -> ActorPointer:
        return self.actors.actors[name].remote()


@pytest.fixture
def two(grid: Grid) -> Two:
    return Two(grid)


@pytest.mark.parametrize("values", [HEART, LARGE], ids=["small", "large"])
def test_an_actor_is_given_an_array_of_another_domain(two: Two, wire: Wire, values) -> None:
    heart = two.publish(values)
    stats = two.actor()
    stats.give.remote(heart)
    assert p2pgrid.get(stats.rounded.remote()) == float(round(values.mean()))
    clinic, hospital = two.data.peer_id, two.actors.peer_id
    assert values[:3].tobytes() in wire.between(clinic, hospital)
    assert values[:3].tobytes() not in wire.into(two.peer)
