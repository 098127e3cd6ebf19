"""Processes that several files of tests share; a domain without Ray, which can be killed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from actors.layout import NodeDirectory, NodeSettings
from actors.node import Node
from actors.state import State
from p2pgrid import Client, DomainClient
from p2pgrid.client.launch import OWNER
from p2pgrid.client.ports import free_ports
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.protocol.messages import Account
from tests.contract.worlds import open_sockets
from tests.libp2p.dht_nodes import Process, encoded, process, record_of
from tests.libp2p.node_process import build

ROOT = Path(__file__).parents[2]


@dataclass
class Clinic:
    """A domain's directory, its owner's wallet, and the processes that serve it."""

    home: Path
    directory: NodeDirectory
    wallet: Wallet
    processes: "list[subprocess.Popen[str]]" = field(default_factory=list)
    programs: list[Client] = field(default_factory=list)
    node: Node | None = None
    addresses: Sequence[str] = ()

    @property
    def address(self) -> str:
        """Where others reach it."""
        return self.addresses[0]

    def start(self, *, inside: Sequence[str] = ()) -> "subprocess.Popen[str]":
        """Serves the directory in a process of its own; ``inside`` is what starts that process."""
        script = ROOT / "tests" / "libp2p" / "node_process.py"
        process = subprocess.Popen(
            [*inside, sys.executable, str(script), str(self.directory.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.take(process)
        return process

    def take(self, process: "subprocess.Popen[str]") -> None:
        """Waits until a process serves the directory, and ends it at the end."""
        self.processes.append(process)
        assert process.stdout is not None
        self.addresses = json.loads(process.stdout.readline())["addresses"]

    def start_here(self, *, timing: Timing = DEFAULT_TIMING) -> Node:
        """Serves the directory in this process, which is quicker."""
        self._state = State(self.directory.database)
        self.node = build(self.directory, self._state, timing=timing)
        self.node.start()
        self.addresses = self.node.addresses
        return self.node

    def owner(
        self, *, limits: Limits = DEFAULT_LIMITS, timing: Timing = DEFAULT_TIMING
    ) -> DomainClient:
        """A program of the owner."""
        client = Client(self.home, wallet=self.wallet, limits=limits, timing=timing)
        self.programs.append(client)
        domain = client.connect(self.address)
        assert isinstance(domain, DomainClient)
        return domain.login(OWNER)

    def files(self) -> set[str]:
        """The kinds of files in the directory of objects."""
        return {"".join(it.suffixes) for it in self.directory.objects.iterdir() if it.is_file()}

    def close(self) -> None:
        """Ends the programs and the processes."""
        for program in self.programs:
            program.close()
        if self.node is not None:
            self.node.stop()
            self._state.close()
        for each in self.processes:
            each.kill()
            each.communicate()


def make_clinic(home: Path, **settings: Any) -> Clinic:
    """A domain's directory, and its owner's wallet; nothing runs yet."""
    directory = NodeDirectory(home / "clinic")
    port = free_ports(1)[0]
    directory.create(NodeSettings(name="clinic", kind="domain", port=port, **settings))
    wallet = Wallet(home / "wallet.json")
    key = wallet.new(directory.peer_id(), OWNER)
    state = State(directory.database)
    state.enrol(Account(OWNER, bytes.fromhex(key.public_key), "owner"))
    state.close()
    return Clinic(home, directory, wallet)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    made = make_clinic(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def others() -> Iterator[list[Process]]:
    """Three servers in three processes; the second has a record, the third one and a tag."""
    with (
        process(101) as first,
        process(102, join=first.addresses, records=[encoded(record_of(102))]) as second,
        process(
            103, join=first.addresses, records=[encoded(record_of(103))], tags=["far"]
        ) as third,
    ):
        yield [first, second, third]


@pytest.fixture
def no_socket_left() -> Iterator[None]:
    before = open_sockets()
    yield
    assert open_sockets() == before
