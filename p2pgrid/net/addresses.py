"""Multiaddrs, and the routes that they name: straight to a peer, or by a pipe through a relay.

``/ip4/192.0.2.7/tcp/4001/p2p/PEER``: straight. With ``/p2p-circuit`` the part before it names a
port of a relay, the part behind it the peer. With ``/tls/ws`` that port speaks WebSocket, and the
peer may be the relay itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrError
from multiaddr.protocols import P_P2P

from p2pgrid.errors import AddressError, IdentityMismatchError
from p2pgrid.ids import PeerId, public_key_of

NOWHERE = Multiaddr("/ip4/0.0.0.0/tcp/0")
"""What a host that cannot be dialled announces."""
# What py-multiaddr raises on a stranger's bytes: b"\xff" ends in a TypeError of ord().
MULTIADDR_ERRORS = (MultiaddrError, ValueError, TypeError)

_HOSTS = {"ip4", "ip6", "dns", "dns4", "dns6"}
_WEBSOCKET = ("tls", "ws")
_CIRCUIT = ("p2p", "p2p-circuit")


class Route(NamedTuple):
    """How to reach a peer: at ``host`` and ``port``, unless ``peer`` says to whom a relay leads."""

    host: str
    port: int
    peer: PeerId | None = None
    """The peer to ask the relay at this host and port for; None: the peer itself is there."""
    websocket: bool = False
    """Whether the relay's port speaks WebSocket over TLS."""

    @property
    def place(self) -> str:
        """Host and port, for people to read."""
        return f"{self.host}:{self.port}"


def parse_address(text: str) -> tuple[PeerId, Multiaddr]:
    """Splits ``/ip4/192.0.2.7/tcp/4001/p2p/12D3KooW...`` into peer id and the rest.

    Raises:
        AddressError: we could not dial it, or without the peer id of an Ed25519 key.
    """
    address = parse_multiaddr(text)
    peer = _last_peer(address)
    try:
        public_key_of(PeerId(peer))
    except ValueError as error:
        raise AddressError(address=text) from error
    return PeerId(peer), address.decapsulate_code(P_P2P)


def parse_multiaddr(text: str) -> Multiaddr:
    """A multiaddr that we could dial or listen on, with or without a peer id.

    Raises:
        AddressError: it is none.
    """
    try:
        address = Multiaddr(text)
    except MULTIADDR_ERRORS as error:
        raise AddressError(address=text) from error
    if not is_dialable(address):
        raise AddressError(address=text)
    return address


def is_dialable(address: Multiaddr) -> bool:
    """Whether we could dial an address that somebody sent us; it may be any bytes."""
    try:
        names = tuple(protocol.name for protocol in address.protocols())
    except MULTIADDR_ERRORS:
        return False
    if names[1:2] != ("tcp",) or names[0] not in _HOSTS or address == NOWHERE:
        return False
    way = names[4:] if names[2:4] == _WEBSOCKET else names[2:]
    return way in {(), ("p2p",), _CIRCUIT, (*_CIRCUIT, "p2p")}


def target_of(text: str, peer: PeerId) -> Multiaddr:
    """The address at which to dial a peer; it ends in the peer's id where a relay has to know it.

    Raises:
        AddressError: it cannot be read.
        IdentityMismatchError: it is one of another peer.
    """
    address = parse_multiaddr(text)
    names = [protocol.name for protocol in address.protocols()]
    if names[-1] == "p2p-circuit":  # what ``parse_address`` leaves of a circuit's address
        return Multiaddr(f"{address}/p2p/{peer}")
    if "p2p" not in names:
        return address
    if _last_peer(address) != peer:
        raise IdentityMismatchError(f"the address {text} is not one of {peer}")
    return address if names[2:] != ["p2p"] else address.decapsulate_code(P_P2P)


def route_of(address: Multiaddr) -> Route:
    """The route that a dialable address names."""
    parts = [(protocol.name, value) for protocol, value in address.items()]
    names = [name for name, _ in parts]
    websocket = "ws" in names
    peer = PeerId(_last_peer(address)) if websocket or "p2p-circuit" in names else None
    return Route(str(parts[0][1]), int(str(parts[1][1])), peer, websocket)


def host_in(text: str) -> str:
    """The IP address in a multiaddr to listen on.

    Raises:
        AddressError: it is none.
    """
    name, host = _first(text)
    if name not in {"ip4", "ip6"}:
        raise AddressError(address=text)
    return host


def relay_addresses(
    peer: PeerId, announced: Sequence[str], *, port: int | None, websocket_port: int | None
) -> tuple[str, ...]:
    """Where a relay takes pipes: its ports, at the host of its first announced address.

    An announced address with ``/tls/ws`` stands for the WebSocket port itself: behind a NAT or a
    server that passes it on, the port has another number or name.
    """
    name, host = _first(announced[0])
    own = [text for text in announced if "/tls/ws" in text]
    if websocket_port is not None and not own:
        own = [f"/{name}/{host}/tcp/{websocket_port}/tls/ws"]
    plain = [] if port is None else [f"/{name}/{host}/tcp/{port}"]
    return tuple(f"{text.partition('/p2p/')[0]}/p2p/{peer}" for text in (*plain, *own))


def circuits(relay: Sequence[str], peer: PeerId) -> tuple[str, ...]:
    """Addresses of a peer that has a place at a relay, from those at which the relay takes pipes.

    Raises:
        AddressError: an address of the relay cannot be read.
    """
    made = tuple(f"{address}/p2p-circuit/p2p/{peer}" for address in relay)
    for address in made:
        parse_address(address)
    return made


def _first(text: str) -> tuple[str, str]:
    protocol, value = next(iter(parse_multiaddr(text).items()))
    return str(protocol.name), str(value)


def _last_peer(address: Multiaddr) -> str:
    """The peer id at the end of an address; empty when it does not end in one."""
    protocol, value = list(address.items())[-1]
    return str(value) if protocol.code == P_P2P else ""
