"""A grid in which all is real but sockets and Ray: nodes, links, protocol, SQLite, files."""

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeVar

import pytest

from actors.exports import Exports
from actors.layout import Kind, NodeDirectory, NodeSettings
from actors.local import LocalRegistry, LocalState, LocalStore
from actors.local_hosts import LocalHosts
from actors.node import Node
from actors.registry import Registry
from actors.state import State
from actors.store import Store
from p2pgrid import Client, DomainClient, NetworkClient
from p2pgrid.client.launch import OWNER
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Inbound
from p2pgrid.protocol.messages import Account
from p2pgrid.testing.network import MemoryNetwork
from tests.fabric.gates import GATES, Gate

Result = TypeVar("Result")


class FabricNode:
    """A node on the memory network; ``crash`` and ``start`` go through its files."""

    def __init__(self, grid: "Grid", settings: NodeSettings, *, has_owner: bool) -> None:
        self.directory = NodeDirectory(grid.home / settings.name)
        self.directory.create(settings)
        self._grid, self._has_owner = grid, has_owner
        self.start()

    def start(self) -> None:
        """Starts from the directory."""
        settings = self.directory.settings()
        self.state = State(self.directory.database)
        if self._has_owner and not self.state.accounts():
            self.state.enrol(self._grid.owner_account(self.directory.peer_id(), settings.name))
        self.store = Store(self.directory.objects)
        self.registry = Registry(self.directory.path / "registry.db")
        self.exports = Exports(self.directory.exports)
        self.hosts = LocalHosts(self.exports, limits=self._grid.limits)
        self.node = Node(
            settings,
            seed=self.directory.seed(),
            network_key=self.directory.network_key(),
            state=LocalState(self.state),
            store=LocalStore(self.store) if settings.kind == "domain" else None,
            objects=self.directory.objects if settings.kind == "domain" else None,
            exports=self.exports if settings.kind == "domain" else None,
            hosts=self.hosts if settings.kind == "domain" else None,
            registry=LocalRegistry(self.registry) if settings.kind == "network" else None,
            limits=self._grid.limits,
            timing=self._grid.timing,
            make_peer=self._grid.memory.peer,
            has_sockets=False,
        )
        self.node.start()

    def stop(self) -> None:
        """Stops; what is not in the files is gone."""
        self.node.stop()
        self.state.close()
        self.registry.close()

    def on_state(self, work: Callable[[State], Result]) -> Result:
        """Works on the state where the node does, so that no two transactions meet."""

        async def on_loop() -> Result:
            return work(self.state)

        return self.node._loop.run(on_loop())

    @property
    def address(self) -> str:
        """Where others reach it."""
        return self.node.addresses[0]

    @property
    def held(self) -> int:
        """How many objects of sessions the store holds."""
        return sum(len(session) for session in self.store._sessions.values())


class Grid:
    """A network, domains and programs of people, all on one memory network."""

    def __init__(
        self, home: Path, *, limits: Limits = DEFAULT_LIMITS, timing: Timing = DEFAULT_TIMING
    ) -> None:
        self.home = home
        self.limits, self.timing = limits, timing
        self.memory = MemoryNetwork()
        self.nodes: list[FabricNode] = []

    def launch(
        self,
        name: str,
        kind: Kind = "domain",
        *,
        networks: tuple[str, ...] = (),
        signup: Literal["closed", "open"] = "closed",
        has_owner: bool = True,
    ) -> FabricNode:
        """Makes and starts a node."""
        settings = NodeSettings(name=name, kind=kind, port=1, networks=networks, signup=signup)
        node = FabricNode(self, settings, has_owner=has_owner)
        self.nodes.append(node)
        return node

    def client(self, person: str) -> Client:
        """A program of a person, with the person's wallet."""
        home = self.home / person
        return Client(
            home,
            wallet=Wallet(home / "wallet.json"),
            limits=self.limits,
            timing=self.timing,
            make_peer=lambda: self.memory.peer(secrets.token_bytes(32), on_request=_refuse),
        )

    def owner_of(self, node: FabricNode) -> DomainClient:
        """A program of the owner."""
        client = self.client(f"owner-{node.directory.settings().name}")
        return domain_at(client, node.address).login(OWNER)

    def owner_account(self, peer_id: PeerId, name: str) -> Account:
        """The owner's account at a node that starts for the first time."""
        wallet = Wallet(self.home / f"owner-{name}" / "wallet.json")
        key = wallet.new(peer_id, OWNER)
        return Account(name=OWNER, public_key=bytes.fromhex(key.public_key), role="owner")

    def user(self, owner: DomainClient, person: str) -> DomainClient:
        """A scientist's program, enrolled and logged in."""
        client = self.client(person)
        client.wallet.new(owner.peer_id, person)
        owner.users.add(person, client.wallet.public_key(owner.peer_id, person))
        address = next(n.address for n in self.nodes if n.node.peer_id == owner.peer_id)
        return domain_at(client, address).login(person)

    def hang_up(self, domain: DomainClient) -> None:
        """Ends a program's link to a domain; it is over here when this returns."""
        link = domain.link()
        over = threading.Event()
        link.close_soon("the test hung up")
        domain._peer.soon(over.set)
        assert over.wait(10)
        assert not link.is_open

    def close(self) -> None:
        """Ends everything."""
        for node in self.nodes:
            node.stop()
        self.memory.close()


def domain_at(client: Client, address: str) -> DomainClient:
    domain = client.connect(address)
    assert isinstance(domain, DomainClient)
    return domain


def network_at(client: Client, address: str) -> NetworkClient:
    network = client.connect(address)
    assert isinstance(network, NetworkClient)
    return network


def _refuse(inbound: Inbound) -> None:
    inbound.link.close("no requests here")


@pytest.fixture
def grid(tmp_path: Path) -> Iterator[Grid]:
    made = Grid(tmp_path)
    yield made
    made.close()


@pytest.fixture
def bob(grid: Grid) -> FabricNode:
    """A domain."""
    return grid.launch("bob")


@pytest.fixture
def owner(grid: Grid, bob: FabricNode) -> DomainClient:
    """A program of the owner of ``bob``."""
    return grid.owner_of(bob)


@pytest.fixture
def make_grid(tmp_path: Path) -> Iterator[Callable[..., Grid]]:
    made: list[Grid] = []

    def make(limits: Limits = DEFAULT_LIMITS, timing: Timing = DEFAULT_TIMING) -> Grid:
        made.append(Grid(tmp_path, limits=limits, timing=timing))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """By which a test holds up a call of ``exported``."""
    made = GATES["gate"] = Gate()
    yield made
    made.opened.set()
