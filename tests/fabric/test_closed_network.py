"""A closed network on fakes of the sockets; see also tests/libp2p/test_closed_network.py."""

import secrets
from pathlib import Path

import numpy as np
import pytest

from p2pgrid import Client
from p2pgrid.errors import NetworkKeyError
from p2pgrid.net.key_file import make_key, read_key
from tests.fabric.conftest import FabricNode, Grid, domain_at


def closed(node: FabricNode, key: Path) -> FabricNode:
    """The node, started again in the network of a key."""
    node.stop()
    node.directory.change({"network_key": str(key)})
    node.start()
    return node


def program(grid: Grid, node: FabricNode, key: Path | None) -> Client:
    """A program of the node's owner, in the network of a key."""
    owner = grid.client(f"owner-{node.directory.settings().name}")
    network_key = None if key is None else read_key(key)
    peer = grid.memory.peer(
        secrets.token_bytes(32), on_request=lambda it: it.link.close(""), network_key=network_key
    )
    peer.start()
    return Client(owner.home, peer=peer, wallet=owner.wallet)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "ours.key", tmp_path / "theirs.key"
    for path in made:
        make_key(path)
    return made


def test_members_compute_and_outsiders_neither_connect_nor_find(
    grid: Grid, keys: tuple[Path, Path]
) -> None:
    ours, theirs = keys
    clinic = closed(grid.launch("clinic"), ours)
    owner = domain_at(program(grid, clinic, ours), clinic.address).login("owner")
    pointer = owner.publish("weights", np.arange(3.0), tags=("#w",), announce=True).pointers[0]
    assert (pointer + 1).get().tolist() == [1.0, 2.0, 3.0]
    for key in (theirs, None):
        outsider = program(grid, clinic, key)
        with pytest.raises(NetworkKeyError) as told:
            outsider.connect(clinic.address)
        assert told.value.has_key is (key is not None)
        assert outsider.peer.find("#w") == ()
        where = (clinic.address,)
        outsider._known.remember(clinic.node.peer_id, name="c", kind="domain", addresses=where)
        with pytest.raises(NetworkKeyError):
            outsider.search("#w")


def test_a_domain_with_a_new_key_leaves_the_network(grid: Grid, keys: tuple[Path, Path]) -> None:
    ours, theirs = keys
    clinic = closed(grid.launch("clinic"), ours)
    member = program(grid, clinic, ours)
    member.connect(clinic.address)
    closed(clinic, theirs)
    with pytest.raises(NetworkKeyError):
        program(grid, clinic, ours).connect(clinic.address)
    program(grid, clinic, theirs).connect(clinic.address)
