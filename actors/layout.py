"""The files of a node's directory, which only its owner may enter.

``node.json`` settings; ``identity`` the node's key; ``network.key`` that of its closed network;
``owner.pub`` the public key of the first owner; ``node.db`` state; ``registry.db`` a network's
index; ``objects/`` tensors; ``exports/`` exported actor classes; ``ray/`` the cluster and its
logs, when the node has one of its own.
"""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
from msgspec import Struct, structs
from nacl.signing import SigningKey

from actors.logs import Level
from p2pgrid.errors import DuplicateError, NodeError, NodeNotFoundError, SchemaError
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net import key_file
from p2pgrid.net.bulk_files import sync_directory
from p2pgrid.net.key_file import read_key
from p2pgrid.protocol import network_key
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.proxy import parse_proxy
from p2pgrid.protocol.secret import Secret

Kind = Literal["domain", "network"]
SEED_BYTES = 32
OWNER_KEY = re.compile("[0-9a-f]{64}")
Isolation = Literal["cluster", "actors", "packed"]
"""``cluster``: in a Ray cluster of its own. In one that it shares with others, ``actors``: as
processes of its own; ``packed``: in a process of many. Only ``cluster`` is a trust boundary."""
OF_A_CLUSTER = ("num_cpus", "num_gpus", "resources", "object_store_bytes")
LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 refused unless the operator says what to announce


class NodeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the operator chose; read at every start."""

    name: str
    kind: Kind
    host: str = LOOPBACK
    port: int
    bulk_port: int = 0
    """Where large arrays come and go, on the same host; 0: any, told to who asks for a transfer."""
    announce: tuple[str, ...] = ()
    """Multiaddrs to tell others instead of ``host`` and ``port``: behind a NAT, or for 0.0.0.0."""
    networks: tuple[str, ...] = ()
    """Multiaddrs of networks to join; they also bootstrap the DHT."""
    network_key: str = ""
    """The key file of its closed network, which is copied into the node's directory; empty: it is
    open. A closed node does not start without its key."""
    bootstrap: tuple[str, ...] = ()
    """Multiaddrs of other peers that bootstrap the DHT."""
    signup: Literal["closed", "open"] = "closed"
    """``open``: people may make accounts for themselves at a domain, with a password."""
    relayed: bool = False
    """A domain that takes no connections: others reach it by the relays of its networks."""
    relay_port: int | None = None
    """Where a network takes the pipes of relayed domains; 0: any; None: nowhere."""
    websocket_port: int | None = None
    """The same by WebSocket over TLS, for those whom only HTTPS passes: 443 is best."""
    proxy: str = ""
    """URL of an HTTP proxy through which all connections to others go."""
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    resources: dict[str, float] = {}
    object_store_bytes: int = 80_000_000
    metrics_port: int = 0
    """On loopback; 0 takes a free one."""
    http_host: str = LOOPBACK
    http_port: int = 0
    """Where it serves its document over HTTP, if it is open; 0 takes a free port."""
    log_level: Level = "info"
    """``debug`` has a line for every request."""
    isolation: Isolation = "cluster"
    embedded: str = ""
    """The directory of the Ray cluster that it shares with others, unless it has its own."""

    @property
    def listen(self) -> str:
        """The multiaddr to listen on."""
        return f"/ip4/{self.host}/tcp/{self.port}"

    @property
    def is_relay(self) -> bool:
        """Whether it relays for others."""
        return self.relay_port is not None or self.websocket_port is not None


def settings_from(fields: Mapping[str, object]) -> NodeSettings:
    """Settings from plain values.

    Raises:
        SchemaError: one does not exist, is missing, or has the wrong type; or a node that
            listens everywhere says nowhere how others reach it.
    """
    try:
        settings = msgspec.convert(fields, NodeSettings)
    except msgspec.ValidationError as error:
        raise SchemaError(field="settings of a node", problem=str(error)) from error
    if settings.host == EVERYWHERE and not settings.announce:
        raise SchemaError(field="announce", problem=f"is needed with host {EVERYWHERE}")
    if settings.relayed and settings.kind != "domain":
        raise SchemaError(field="relayed", problem="is for domains")
    if settings.signup != "closed" and settings.kind != "domain":
        raise SchemaError(field="signup", problem="is for domains")
    if settings.is_relay and settings.kind != "network":
        raise SchemaError(field="relay_port, websocket_port", problem="are for networks")
    if settings.network_key and (settings.http_port or settings.http_host != LOOPBACK):
        raise SchemaError(field="http_port, http_host", problem="are for open nodes")
    if settings.proxy:
        parse_proxy(settings.proxy)
    _check_isolation(settings)
    return settings


def _check_isolation(settings: NodeSettings) -> None:
    own_cluster = settings.isolation == "cluster"
    if own_cluster != (settings.embedded == ""):
        problem = f"does not go with isolation {settings.isolation}"
        raise SchemaError(field="embedded", problem=problem)
    plain = NodeSettings(name=settings.name, kind=settings.kind, port=settings.port)
    for field in OF_A_CLUSTER:
        if not own_cluster and getattr(settings, field) != getattr(plain, field):
            raise SchemaError(field=field, problem="is for nodes with isolation cluster")


class NodeStatus(Struct, frozen=True):
    """What an operator asks of a node."""

    name: str
    kind: Kind
    peer_id: str
    directory: str
    isolation: Isolation
    closed: bool
    """Whether only members of its network reach it."""
    running: bool = False
    addresses: tuple[str, ...] = ()
    gateway_pid: int = 0
    setup_token: str = ""
    """Of a domain without an owner that has just been started, and never again; see ``setup``."""
    metrics: str = ""
    """Where processes of this machine read the node's metrics."""
    url: str = ""
    """Where its document is, for ``connect`` and ``save_network``; a closed node has none."""


class NodeDirectory:
    """The paths of one node."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.settings_file = self.path / "node.json"
        self.identity_file = self.path / "identity"
        self.database = self.path / "node.db"
        self.objects = self.path / "objects"
        self.exports = self.path / "exports"
        self.registry = self.path / "registry.db"
        self.ray = self.path / "ray"
        self.owner_file = self.path / "owner.pub"

    def create(self, settings: NodeSettings) -> None:
        """Makes the directory, the identity and the settings.

        Raises:
            DuplicateError: a node lives here already.
            NetworkKeyFileError: the network's key cannot be read; nothing was made.
        """
        if self.settings_file.exists():
            raise DuplicateError(what="node in", name=str(self.path))
        key = self._key_of(settings)
        for folder in (self.path, self.objects):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        write_private(self.identity_file, secrets.token_bytes(32))
        self._write(settings, key)

    def settings(self) -> NodeSettings:
        """The settings.

        Raises:
            NodeNotFoundError: no node was ever made here.
            NodeError: the file is damaged.
        """
        if not self.settings_file.exists():
            raise NodeNotFoundError(directory=str(self.path))
        try:
            return msgspec.json.decode(self.settings_file.read_bytes(), type=NodeSettings)
        except MALFORMED as error:
            raise NodeError(f"{self.settings_file} is damaged ({error}); mend it") from error

    def cluster(self) -> Path:
        """The directory of the Ray cluster in which the node runs."""
        embedded = self.settings().embedded
        return Path(embedded) if embedded else self.ray

    def change(self, fields: Mapping[str, object]) -> None:
        """Gives some settings other values; a running node has them from its next start on.

        Raises:
            NodeError: another name, kind or isolation: what is meant is another node.
            NetworkKeyFileError: the network's key cannot be read; nothing was changed.
            NodeNotFoundError, SchemaError: see ``settings`` and ``settings_from``.
        """
        old = self.settings()
        if fields.get("isolation", old.isolation) != old.isolation:
            raise NodeError(f"{old.name} was made with isolation {old.isolation}; make another")
        new = settings_from({**structs.asdict(old), **fields})
        if (new.name, new.kind) != (old.name, old.kind):
            raise NodeError(f"in {self.path} lives the {old.kind} {old.name!r}; choose another")
        if new.embedded != old.embedded:
            raise NodeError(f"{old.name} was made in the cluster {old.embedded}; make another")
        self._write(new, self._key_of(new))

    def join(self, network: str) -> None:
        """Adds the multiaddr of a network, from the next start on; twice is as once."""
        networks = dict.fromkeys((*self.settings().networks, network))
        self.change({"networks": tuple(networks)})

    def status(self) -> NodeStatus:
        """What the files tell: all but whether the node runs, and where."""
        settings = self.settings()
        return NodeStatus(
            name=settings.name,
            kind=settings.kind,
            peer_id=self.peer_id(),
            directory=str(self.path),
            isolation=settings.isolation,
            closed=settings.network_key != "",
        )

    def network_key(self) -> Secret | None:
        """The key of the closed network that the node is in; None: it is open.

        Raises:
            NetworkKeyFileError: the file is missing or damaged.
        """
        return self._key_of(self.settings())

    def _key_of(self, settings: NodeSettings) -> Secret | None:
        return read_key(self.path / settings.network_key) if settings.network_key else None

    def _write(self, settings: NodeSettings, key: Secret | None) -> None:
        if key is not None:
            write_private(self.path / key_file.NAME, network_key.encode(key))
            settings = structs.replace(settings, network_key=key_file.NAME)
        write_private(self.settings_file, msgspec.json.format(msgspec.json.encode(settings)))

    def seed(self) -> bytes:
        """The 32 secret bytes of the node's Ed25519 key.

        Raises:
            NodeError: the file is damaged.
        """
        seed = self.identity_file.read_bytes()
        if len(seed) != SEED_BYTES:
            raise NodeError(
                f"{self.identity_file} has {len(seed):,} bytes instead of {SEED_BYTES}; "
                "put a copy of it back: without it this node is somebody else"
            )
        return seed

    def set_owner(self, public_key: str) -> None:
        """Names the first owner; ``owner_key`` has it from the next start on.

        Raises:
            SchemaError: not 64 hexadecimal characters.
        """
        if not OWNER_KEY.fullmatch(public_key):
            raise SchemaError(field="owner key", problem="expected 64 hexadecimal characters")
        write_private(self.owner_file, public_key.encode())

    def owner_key(self) -> bytes | None:
        """The 32-byte public key of the first owner, when one was named.

        Raises:
            NodeError: the file is damaged.
        """
        if not self.owner_file.exists():
            return None
        text = self.owner_file.read_bytes().decode("ascii", errors="replace")
        if not OWNER_KEY.fullmatch(text):
            raise NodeError(f"{self.owner_file} is damaged; name the owner again, with --owner-key")
        return bytes.fromhex(text)

    def peer_id(self) -> PeerId:
        """The node's peer id; raises as ``seed`` does."""
        return peer_id_of(bytes(SigningKey(self.seed()).verify_key))


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that only its owner may read; on leaving it is whole and durable, or absent."""
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read, durably and all at once."""
    with private_file(path) as file:
        file.write(content)
