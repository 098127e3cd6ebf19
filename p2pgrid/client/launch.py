"""Nodes on this machine: make, start, stop.

What loads libp2p is imported where it is needed, so that the command line is quick.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import msgspec
from typing_extensions import override

from p2pgrid.client import node_commands
from p2pgrid.client.display import Display, Displayed, reached_at
from p2pgrid.client.ports import free_ports
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import NodeError, SchemaError
from p2pgrid.ids import PeerId

if TYPE_CHECKING:
    from p2pgrid.client.connect import Client
    from p2pgrid.client.domain import DomainClient
    from p2pgrid.client.network import NetworkClient

Kind = Literal["domain", "network"]
Isolation = Literal["cluster", "actors", "packed"]
OWNER = "owner"


class Node(Displayed):
    """A node on this machine that we may start and stop."""

    def __init__(self, status: Mapping[str, Any], client: "Client") -> None:
        self.name = str(status["name"])
        self.kind: Kind = status["kind"]
        self.isolation: Isolation = status["isolation"]
        self.peer_id = PeerId(status["peer_id"])
        self.directory = Path(status["directory"])
        self.addresses: tuple[str, ...] = tuple(status["addresses"])
        self.gateway_pid = int(status["gateway_pid"])
        """The process with the node's network port; packed nodes share one."""
        self.metrics = str(status["metrics"])
        self.url = str(status["url"])
        """The URL of its document, on this machine; empty for a node in a closed network."""
        self.setup_token = str(status.get("setup_token", ""))
        """Makes whoever gives it to ``claim`` the owner; only right after the start of a domain
        without one, else empty."""
        self._client = client

    @property
    def address(self) -> str:
        """What others give to ``connect``.

        Raises:
            NodeError: nobody can reach it yet.
        """
        if not self.addresses:
            raise NodeError(f"{self.name} has no address yet: none of its networks relays for it")
        return self.addresses[0]

    def connect(self) -> "DomainClient | NetworkClient":
        """A client of the node; for a domain logged in as its owner."""
        from p2pgrid.client.domain import DomainClient  # noqa: PLC0415

        client = self._client.connect(self.address)
        return client.login(OWNER) if isinstance(client, DomainClient) else client

    def export(self, file: Path) -> None:
        """Exports the actor classes of a Python file, as ``p2pgrid domain export`` does.

        Raises:
            SchemaError: something in it cannot be exported.
        """
        node_commands.on_node("export", self.directory, str(file.absolute()))

    def stop(self) -> None:
        """Ends the node's processes, or its part of a shared one; its data stays."""
        stop(self.directory)

    @override
    def _display(self) -> Display:
        facts = (
            ("url", self.url),
            ("peer", self.peer_id),
            ("isolation", self.isolation),
            ("directory", str(self.directory)),
        )
        return Display(reached_at(f"Node {self.kind} {self.name}", self.addresses), facts)


@overload
def launch(
    name: str,
    kind: Kind = "domain",
    *,
    isolation: Isolation = "cluster",
    directory: Path | None = None,
    client: "Client | None" = None,
    owner_key: str | None = None,
    **settings: Any,
) -> Node: ...


@overload
def launch(
    name: Sequence[str],
    kind: Kind = "domain",
    *,
    isolation: Isolation = "cluster",
    directory: None = None,
    client: "Client | None" = None,
    owner_key: str | None = None,
    **settings: Any,
) -> list[Node]: ...


def launch(
    name: str | Sequence[str],
    kind: Kind = "domain",
    *,
    isolation: Isolation = "cluster",
    directory: Path | None = None,
    client: "Client | None" = None,
    owner_key: str | None = None,
    **settings: Any,
) -> Node | list[Node]:
    """Starts a node on this machine, making it first when it does not exist; or many at once.

    ``isolation`` says how a node is kept from the others on this machine:

    - ``cluster``: it has a Ray cluster of its own. The only one that is a trust boundary, and the
      one for production.
    - ``actors``: its actors are processes of their own in one embedded Ray cluster, in which every
      node may reach every other. For an owner's own trials and tests.
    - ``packed``: many nodes are in one process of that cluster; each is a peer of its own on the
      network, but they share all memory. For trials with a hundred nodes.

    Args:
        name: of the node; also of its directory under ``$P2PGRID_HOME/nodes`` by default. With
            several names the answer is a list, and nodes that share a cluster start together.
        kind: ``domain`` or ``network``.
        isolation: what the node is made with and keeps.
        directory: where the node keeps everything; for a single name.
        client: whose wallet gets the owner's key; default: the one of this program. The embedded
            cluster is in ``embedded`` in its home. If it is in a closed network, so is the node.
        owner_key: 64 hexadecimal characters, of a domain's owner; default: of a new key in the
            wallet. Empty: nobody owns it yet; its ``setup_token`` is shown once.
        settings: fields of the node's settings, used when it is made: ``host``, ``port``,
            ``networks`` and ``bootstrap`` (multiaddrs), ``network_key`` (a key file), ``http_host``
            and ``http_port`` (where its document is served), ``signup`` ("open": people may make
            accounts by a password); with isolation ``cluster`` also
            ``num_cpus``, ``num_gpus``, ``resources``, ``object_store_bytes``.

    Raises:
        MissingExtraError: the ``node`` extra is not installed.
        PortInUseError, InsecureListenerError: it did not start.
        NodeError: it did not start, or was made with another isolation, or open for a client in a
            closed network.
        SchemaError: a setting does not exist, or does not go with the isolation.
    """
    client = client or _default_client()
    names = (name,) if isinstance(name, str) else tuple(name)
    places = {each: client.home / "nodes" / each for each in names}
    if directory is not None:
        if not isinstance(name, str):
            raise SchemaError(field="directory", problem="is for a single name")
        places = {name: directory}
    network_key = settings.pop("network_key", client.network_key)
    chosen = {**settings, **in_network(network_key), **isolated(isolation, client.home)}
    make_nodes(places, kind=kind, wallet=client.wallet, settings=chosen, owner_key=owner_key)
    if isolation == "cluster":
        nodes = [start(place, client=client) for place in places.values()]
    else:
        nodes = start(tuple(places.values()), client=client)
    return nodes[0] if isinstance(name, str) else nodes


def isolated(isolation: Isolation, home: Path) -> dict[str, str]:
    """The settings of a node with this isolation; ``home`` holds the embedded cluster."""
    if isolation == "cluster":
        return {"isolation": isolation}
    return {"isolation": isolation, "embedded": str((home / "embedded").absolute())}


def in_network(key_file: str | Path | None) -> dict[str, str]:
    """The settings of a node in the closed network with this key file; without one, it is open."""
    return {} if key_file is None else {"network_key": str(Path(key_file).absolute())}


def make_nodes(
    places: Mapping[str, Path],
    *,
    kind: Kind,
    wallet: Wallet,
    settings: Mapping[str, Any],
    owner_key: str | None = None,
) -> None:
    """Makes nodes' directories and identities, and names their owners; leaves what exists.

    Args:
        places: directories by name.
        kind: of all of them.
        settings: of all of them; each gets a free port if none is given.
        wallet: where an owner's key is made for each domain without an ``owner_key``.
        owner_key: of the owner of all; an empty one leaves the domains without an owner, until
            the next call names one.

    Raises:
        AddressError: an address of a network or peer cannot be read.
        NodeError: one exists, with another isolation, or open where a closed one is asked for.
        SchemaError: a setting does not exist, or its value has the wrong type.
    """
    new = {name: place for name, place in places.items() if not is_made(place)}
    _check_existing([place for place in places.values() if place not in new.values()], settings)
    if new:
        _check_addresses(settings)
        made = [
            (place, _encoded({"name": name, "kind": kind, "port": port, **settings}))
            for (name, place), port in zip(new.items(), free_ports(len(new)), strict=True)
        ]
        node_commands.on_nodes("init", made)
    if kind == "domain" and owner_key != "":
        _name_owners(places.values(), wallet, owner_key)


def is_made(directory: Path) -> bool:
    """Whether a node lives in a directory."""
    return (directory / "node.json").exists()


def _check_existing(existing: Sequence[Path], settings: Mapping[str, Any]) -> None:
    """An owner must not get something weaker than asked for that was made before."""
    if not existing or not {"isolation", "network_key"} & settings.keys():
        return
    for status in node_commands.on_nodes("show", [(place,) for place in existing]):
        if "network_key" in settings and not status["closed"]:
            raise NodeError(
                f"{status['name']} was made open; close it with: "
                f"p2pgrid {status['kind']} init {status['name']} --network-key FILE"
            )
        if settings.get("isolation", status["isolation"]) != status["isolation"]:
            raise NodeError(
                f"{status['name']} was made with isolation {status['isolation']}, not "
                f"{settings['isolation']}; say so, or choose another name"
            )


def _name_owners(places: Iterable[Path], wallet: Wallet, owner_key: str | None) -> None:
    unowned = [(place,) for place in places if not (place / "owner.pub").exists()]
    if unowned:
        found = node_commands.on_nodes("show", unowned)
        owned = [
            (it["directory"], owner_key or _new_owner(wallet, PeerId(it["peer_id"]), it["name"]))
            for it in found
        ]
        node_commands.on_nodes("own", owned)


def change_settings(directory: Path, *, name: str, kind: Kind, settings: Mapping[str, Any]) -> None:
    """Gives settings of an existing node other values, from its next start on.

    Raises:
        NodeError: the node in this directory has another name or isolation, or is of the other
            kind.
        AddressError, SchemaError: as for ``make_nodes``.
    """
    _check_addresses(settings)
    chosen = {"name": name, "kind": kind, **settings}
    node_commands.on_node("set", directory, _encoded(chosen))


def join_network(directory: Path, address: str) -> dict[str, Any]:
    """Lists a domain at a network, from the domain's next start on; twice is as once.

    Raises:
        AddressError: the address cannot be read.
        NodeNotFoundError: no node was made in this directory.
    """
    _check_addresses({"networks": (address,)})
    return node_commands.on_node("join", directory, address)


@overload
def start(directory: Path, *, client: "Client | None" = None) -> Node: ...


@overload
def start(directory: Sequence[Path], *, client: "Client | None" = None) -> list[Node]: ...


def start(directory: Path | Sequence[Path], *, client: "Client | None" = None) -> Node | list[Node]:
    """Starts an existing node; one that runs is left as it is. Or many, of one embedded cluster.

    Raises:
        NodeNotFoundError: no node was made in this directory.
        PortInUseError, InsecureListenerError, NodeError: it did not start; of many, none did.
    """
    client = client or _default_client()
    found = node_commands.on_nodes("start", _listed(directory))
    nodes = [Node(status, client) for status in found]
    return nodes[0] if isinstance(directory, Path) else nodes


def stop(directory: Path | Sequence[Path]) -> None:
    """Ends nodes, and nobody else's processes; their data stays. Twice does no harm.

    Several directories are those of nodes of one embedded cluster, which ends with its last node.

    Raises:
        NodeNotFoundError: no node was made in this directory.
        NodeError: several live in different clusters.
    """
    node_commands.on_nodes("stop", _listed(directory))


def _listed(directory: Path | Sequence[Path]) -> list[tuple[Path]]:
    return [(directory,)] if isinstance(directory, Path) else [(it,) for it in directory]


def _encoded(settings: Mapping[str, Any]) -> str:
    return msgspec.json.encode(settings).decode()


def _check_addresses(settings: Mapping[str, Any]) -> None:
    for address in (*settings.get("networks", ()), *settings.get("bootstrap", ())):
        from p2pgrid.net.streams import peer_id_in  # noqa: PLC0415

        peer_id_in(address)


def _new_owner(wallet: Wallet, peer_id: PeerId, name: str) -> str:
    return wallet.new(peer_id, OWNER, name=name).public_key


def _default_client() -> "Client":
    from p2pgrid.client.default import default_client  # noqa: PLC0415

    return default_client()
