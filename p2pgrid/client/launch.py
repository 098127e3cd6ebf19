"""Nodes on this machine: make, start, stop.

A node is a Ray cluster of its own, and a program can be the driver of one Ray cluster only; so
every step runs as a short-lived process (``python -m actors``) that leaves the node behind.
What loads libp2p is imported where it is needed, so that the command line is quick.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from typing_extensions import override

from p2pgrid.client.ports import free_port
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import MissingExtraError, NodeError, P2PGridError
from p2pgrid.ids import PeerId

if TYPE_CHECKING:
    from p2pgrid.client.connect import Client
    from p2pgrid.client.domain import DomainClient
    from p2pgrid.client.network import NetworkClient

Kind = Literal["domain", "network"]
OWNER = "owner"
COMMAND_S = 180.0


class Node:
    """A node on this machine that we may start and stop."""

    def __init__(self, status: Mapping[str, Any], client: "Client") -> None:
        self.name = str(status["name"])
        self.kind: Kind = status["kind"]
        self.peer_id = PeerId(status["peer_id"])
        self.directory = Path(status["directory"])
        self.addresses: tuple[str, ...] = tuple(status["addresses"])
        self.gateway_pid = int(status["gateway_pid"])
        self.metrics = str(status["metrics"])
        self._client = client

    @property
    def address(self) -> str:
        """What others give to ``connect``."""
        return self.addresses[0]

    def connect(self) -> "DomainClient | NetworkClient":
        """A client of the node; for a domain logged in as its owner."""
        from p2pgrid.client.domain import DomainClient  # noqa: PLC0415

        client = self._client.connect(self.address)
        return client.login(OWNER) if isinstance(client, DomainClient) else client

    def stop(self) -> None:
        """Ends the node's processes; its data stays."""
        stop(self.directory)

    @override
    def __repr__(self) -> str:
        return f"<Node {self.kind} {self.name} {self.peer_id}>"


def launch(
    name: str,
    kind: Kind = "domain",
    *,
    directory: Path | None = None,
    client: "Client | None" = None,
    **settings: Any,
) -> Node:
    """Starts a node on this machine, making it first when it does not exist.

    Args:
        name: of the node; also of its directory under ``$P2PGRID_HOME/nodes`` by default.
        kind: ``domain`` or ``network``.
        directory: where the node keeps everything.
        client: whose wallet gets the owner's key; default: the one of this program.
        settings: fields of the node's settings, used when it is made: ``host``, ``port``,
            ``networks`` and ``bootstrap`` (multiaddrs), ``num_cpus``, ``num_gpus``,
            ``resources``, ``object_store_bytes``.

    Raises:
        MissingExtraError: the ``node`` extra is not installed.
        PortInUseError, InsecureListenerError, NodeError: it did not start.
    """
    client = client or _default_client()
    place = directory or client.home / "nodes" / name
    make_node(place, name=name, kind=kind, wallet=client.wallet, settings=settings)
    return start(place, client=client)


def make_node(
    directory: Path,
    *,
    name: str,
    kind: Kind,
    wallet: Wallet,
    settings: Mapping[str, Any],
    owner_key: str | None = None,
) -> None:
    """Makes a node's directory and identity, and names its owner; what exists is left as it is.

    Without an ``owner_key`` the owner's key is made in the wallet; an empty one leaves
    the domain without an owner, until the next call names one.

    Raises:
        AddressError: an address of a network or peer cannot be read.
        SchemaError: a setting does not exist, or its value has the wrong type.
    """
    if not is_made(directory):
        _check_addresses(settings)
        chosen = {"name": name, "kind": kind, "port": free_port(), **settings}
        run_actors("init", directory, msgspec.json.encode(chosen).decode())
    if kind == "domain" and owner_key != "" and not (directory / "owner.pub").exists():
        peer_id = PeerId(run_actors("show", directory)["peer_id"])
        run_actors("own", directory, owner_key or _new_owner(wallet, peer_id, name))


def is_made(directory: Path) -> bool:
    """Whether a node lives in a directory."""
    return (directory / "node.json").exists()


def change_settings(directory: Path, *, name: str, kind: Kind, settings: Mapping[str, Any]) -> None:
    """Gives settings of an existing node other values, from its next start on.

    Raises:
        NodeError: the node in this directory has another name or is of the other kind.
        AddressError, SchemaError: as for ``make_node``.
    """
    _check_addresses(settings)
    chosen = {"name": name, "kind": kind, **settings}
    run_actors("set", directory, msgspec.json.encode(chosen).decode())


def join_network(directory: Path, address: str) -> dict[str, Any]:
    """Lists a domain at a network, from the domain's next start on; twice is as once.

    Raises:
        AddressError: the address cannot be read.
        NodeNotFoundError: no node was made in this directory.
    """
    _check_addresses({"networks": (address,)})
    return run_actors("join", directory, address)


def _check_addresses(settings: Mapping[str, Any]) -> None:
    for address in (*settings.get("networks", ()), *settings.get("bootstrap", ())):
        from p2pgrid.net.streams import peer_id_in  # noqa: PLC0415

        peer_id_in(address)


def _new_owner(wallet: Wallet, peer_id: PeerId, name: str) -> str:
    return wallet.new(peer_id, OWNER, name=name).public_key


def start(directory: Path, *, client: "Client | None" = None) -> Node:
    """Starts an existing node; one that runs is left as it is."""
    return Node(run_actors("start", directory), client or _default_client())


def _default_client() -> "Client":
    from p2pgrid.client.connect import default_client  # noqa: PLC0415

    return default_client()


def stop(directory: Path) -> None:
    """Ends a node's processes, and nobody else's; its data stays. Twice does no harm.

    Raises:
        NodeNotFoundError: no node was made in this directory.
    """
    run_actors("stop", directory)


def run_actors(command: str, directory: Path, *arguments: str) -> dict[str, Any]:
    """Runs ``python -m actors`` and reads its answer.

    Raises:
        P2PGridError: of the class whose code the command reported.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError(extra="node", needed_for="running a node")
    try:
        done = subprocess.run(  # noqa: S603 our own interpreter and module
            # -P: a directory "actors" or "ray" where the person stands is not the one we mean.
            [sys.executable, "-P", "-m", "actors", command, str(directory), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
    except subprocess.TimeoutExpired as late:
        raise NodeError(f"'actors {command}' did not end within {COMMAND_S:g} s") from late
    lines = done.stdout.splitlines()
    if not lines:
        raise NodeError(f"'actors {command}' ended with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, Any] = msgspec.json.decode(lines[-1])
    if "error" in answer:
        raise _error(answer["error"]["code"], answer["error"]["text"])
    return answer


def _error(code: int, text: str) -> P2PGridError:
    """The error again, with its class and its text."""
    kinds = [P2PGridError]
    while kinds:
        kind = kinds.pop()
        if kind.code == code:
            error = kind.__new__(kind)
            error.args = (text,)
            return error
        kinds.extend(kind.__subclasses__())
    return NodeError(text)
