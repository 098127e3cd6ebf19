"""One grid, hosted three ways: fakes of sockets and Ray, nodes in a pack, a cluster for each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from actors.cluster import load_cluster
from actors.layout import NodeDirectory
from actors.ports import AuditEvent
from actors.processes import members
from actors.state import State
from p2pgrid import Client, DomainClient, NetworkClient, Node, launch, start, stop
from p2pgrid.client.launch import OWNER, Isolation
from p2pgrid.ids import PeerId
from tests.fabric.conftest import FabricNode, Grid, domain_at


class FlowDomain(Protocol):
    """A domain of a flow."""

    name: str

    @property
    def address(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def peer_id(self) -> PeerId: ...
    @property
    def directory(self) -> NodeDirectory: ...
    def owner(self) -> DomainClient: ...
    def stop(self) -> None: ...
    def start(self) -> None: ...


class FlowGrid(Protocol):
    """A network, domains that are listed there, and programs of people."""

    network: str
    """The address of the network."""
    url: str
    """The URL of the network."""

    def domain(self) -> FlowDomain: ...
    def client(self, person: str) -> Client: ...


def user(domain: FlowDomain, client: Client, person: str) -> DomainClient:
    """A scientist's end of a domain: enrolled, and not yet logged in."""
    client.wallet.new(domain.peer_id, person)
    domain.owner().users.add(person, client.wallet.public_key(domain.peer_id, person))
    return domain_at(client, domain.address)


def audit_log(domain: FlowDomain) -> tuple[AuditEvent, ...]:
    """What the domain wrote down, read from its file."""
    state = State(domain.directory.database)
    try:
        return state.audit_log()
    finally:
        state.close()


class FakeDomain:
    """A node of ``tests.fabric``."""

    def __init__(self, grid: Grid, node: FabricNode) -> None:
        self._grid, self._node = grid, node
        self.name = node.directory.settings().name
        self.directory = node.directory
        self.stop, self.start = node.stop, node.start

    @property
    def address(self) -> str:
        return self._node.address

    @property
    def url(self) -> str:
        return self._node.node.url

    @property
    def peer_id(self) -> PeerId:
        return self._node.node.peer_id

    def owner(self) -> DomainClient:
        return self._grid.owner_of(self._node)


class FakeGrid:
    """Nodes on a network in memory."""

    def __init__(self, home: Path) -> None:
        self._grid = Grid(home)
        self._city = self._grid.launch("city", "network")
        self.network, self.url = self._city.address, self._city.node.url

    def domain(self) -> FakeDomain:
        name = f"bob-{len(self._grid.nodes)}"
        return FakeDomain(self._grid, self._grid.launch(name, networks=(self.network,)))

    def client(self, person: str) -> Client:
        return self._grid.client(person)

    def close(self) -> None:
        self._grid.close()


class RealDomain:
    """A node that ``launch`` made; a program of its owner is on the network as well."""

    def __init__(self, node: Node, client: Client) -> None:
        self.node, self._client = node, client
        self.name, self.peer_id = node.name, node.peer_id
        self.directory = NodeDirectory(node.directory)

    @property
    def address(self) -> str:
        return self.node.address

    @property
    def url(self) -> str:
        return self.node.url

    def owner(self) -> DomainClient:
        return domain_at(self._client, self.address).login(OWNER)

    def stop(self) -> None:
        """Twice does no harm; a cluster of the node's own leaves no process."""
        running = load_cluster(self.directory.ray)
        self.node.stop()
        self.node.stop()
        assert running is None or not members(running.session)

    def start(self) -> None:
        self.node = start(self.node.directory, client=self._client)


class RealGrid:
    """Nodes on this machine; the domains are handed out in turn, so some flows share one."""

    def __init__(self, home: Path, *, domains: int, isolation: Isolation) -> None:
        self.owners, self._home, self._isolation = Client(home), home, isolation
        self._clients = [self.owners]
        self.city = launch("city", "network", isolation=isolation, client=self.owners)
        self.network, self.url = self.city.address, self.city.url
        names = [f"bob-{number}" for number in range(domains)]
        self.domains = [RealDomain(node, self.owners) for node in self._launch(names)]
        self._turn = self._turns()

    def _launch(self, names: list[str]) -> list[Node]:
        return launch(
            names,
            isolation=self._isolation,
            client=self.owners,
            networks=[self.network],
            log_level="debug",
        )

    def _turns(self) -> Iterator[RealDomain]:
        while True:
            yield from self.domains

    def domain(self) -> RealDomain:
        return next(self._turn)

    def start_all(self) -> None:
        """Starts what does not run, after a crash of an embedded cluster."""
        directories = [self.city.directory, *(domain.node.directory for domain in self.domains)]
        self.city, *nodes = start(directories, client=self.owners)
        for domain, node in zip(self.domains, nodes, strict=True):
            domain.node = node

    def client(self, person: str) -> Client:
        self._clients.append(Client(self._home / person))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()
        nodes = tuple((self._home / "nodes").iterdir())
        if self._isolation == "cluster":
            for node in nodes:
                stop(node)
        else:
            stop(nodes)


def city_of(grid: FlowGrid, client: Client) -> NetworkClient:
    """The grid's network, as a program sees it."""
    network = client.connect(grid.network)
    assert isinstance(network, NetworkClient)
    return network
