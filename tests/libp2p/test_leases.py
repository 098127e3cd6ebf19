"""A program that dies without a word: its objects are collected when its lease is over."""

import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from actors.layout import NodeDirectory, NodeSettings
from actors.local import LocalState, LocalStore
from actors.node import Node
from actors.state import State
from actors.store import Store
from p2pgrid import Client, DomainClient
from p2pgrid.client.ports import free_ports
from p2pgrid.config import Timing
from p2pgrid.protocol.messages import Account

pytestmark = pytest.mark.libp2p

PROGRAM = Path(__file__).with_name("client_process.py")
WAIT_S = 30.0
LEASE_S = 1.5


class Bob:
    """A domain on real sockets, and the client of its owner."""

    def __init__(self, home: Path) -> None:
        place = NodeDirectory(home / "bob")
        place.create(NodeSettings(name="bob", kind="domain", port=free_ports(1)[0]))
        self.client = Client(home)
        key = self.client.wallet.new(place.peer_id(), "owner").public_key
        self.state, self.store = State(place.database), Store(place.objects)
        self.state.enrol(Account("owner", bytes.fromhex(key), "owner"))
        self.dropped: queue.Queue[bytes] = queue.Queue()
        self._drop = self.store.drop
        self.store.drop = self._note_drop  # type: ignore[method-assign]
        self.node = Node(
            place.settings(),
            seed=place.seed(),
            state=LocalState(self.state),
            store=LocalStore(self.store),
            objects=place.objects,
            timing=Timing(lease_s=LEASE_S),
        )
        self.node.start()
        domain = self.client.connect(self.node.addresses[0])
        assert isinstance(domain, DomainClient)
        self.owner = domain.login("owner")

    def _note_drop(self, prefix: bytes) -> None:
        self._drop(prefix)
        self.dropped.put(prefix)

    def close(self) -> None:
        self.client.close()
        self.node.stop()
        self.state.close()


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Bob]:
    made = Bob(tmp_path)
    yield made
    made.close()


def test_the_objects_of_a_killed_program_are_gone_after_its_lease(bob: Bob, tmp_path: Path) -> None:
    bob.owner.publish("values", np.arange(6.0))
    home = tmp_path / "ana"
    ana = Client(home)
    ana.wallet.new(bob.owner.peer_id, "ana")
    bob.owner.users.add("ana", ana.wallet.public_key(bob.owner.peer_id, "ana"))
    command = [sys.executable, str(PROGRAM), str(home), bob.node.addresses[0], "ana"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "3 results\n"
        row = next(row for row in bob.owner.objects if row.account == "ana")
        assert (row.objects, row.datasets, row.left_s) == (3, ("values",), None)
        program.kill()
    while row.left_s is None:  # until the domain has noticed
        row = next(row for row in bob.owner.objects if row.account == "ana")
    assert 0 <= row.left_s <= LEASE_S
    assert row.objects == 3
    bob.dropped.get(timeout=WAIT_S)
    assert [row.account for row in bob.owner.objects] == ["owner"]
    assert not bob.store._sessions
