"""Nodes in processes of their own, to be found, frozen and killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.layout import Kind, NodeDirectory, NodeSettings
from actors.state import State
from p2pgrid import Client
from p2pgrid.client.launch import OWNER
from p2pgrid.client.ports import free_ports
from p2pgrid.client.wallet import Wallet
from p2pgrid.protocol.messages import Account
from tests.fabric.conftest import domain_at

ROOT = Path(__file__).parents[2]


class Running:
    """A node in a process of its own."""

    def __init__(self, home: Path, name: str, kind: Kind, *networks: str) -> None:
        self.directory = NodeDirectory(home / name)
        (port,) = free_ports(1)
        self.directory.create(NodeSettings(name=name, kind=kind, port=port, networks=networks))
        self.peer_id = self.directory.peer_id()
        self.wallet = Wallet(home / f"{name}.json")
        key = self.wallet.new(self.peer_id, OWNER).public_key
        state = State(self.directory.database)
        state.enrol(Account(OWNER, bytes.fromhex(key), "owner"))
        state.close()
        script = ROOT / "tests" / "libp2p" / "node_process.py"
        self.process = subprocess.Popen(
            [sys.executable, script, self.directory.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def wait(self) -> None:
        """Waits until it serves."""
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.address, self.url = told["addresses"][0], told["url"]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stands still meanwhile."""
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def publish(self, name: str, **settings: object) -> None:
        """Its owner publishes a dataset of two rows."""
        owner = Client(self.directory.path / "owner", wallet=self.wallet)
        try:
            domain_at(owner, self.address).login(OWNER).publish(name, [1.0, 2.0], **settings)  # type: ignore[arg-type]
        finally:
            owner.close()
