"""The libp2p host: TCP, noise and yamux, with all else that py-libp2p 0.8.1 offers switched off.

Trust: noise proves that the other end holds the key of its peer id; nothing else is proved here.
Everything runs inside trio. py-libp2p reads without deadlines, so whoever calls sets them.
"""

import errno
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import trio
from libp2p import new_swarm
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.exceptions import StreamFailure
from libp2p.io.exceptions import IOException
from libp2p.io.trio import TrioTCPStream
from libp2p.network.auto_connector import AutoConnector
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection import swarm_connection
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.protocol_muxer.exceptions import MultiselectClientError
from libp2p.rcmgr.manager import ResourceLimits, ResourceManager
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE, Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX, Yamux, YamuxStream
from libp2p.transport.exceptions import OpenConnectionError
from libp2p.transport.tcp.tcp import TCP
from multiaddr import Multiaddr
from typing_extensions import override

from p2pgrid.errors import (
    IdentityMismatchError,
    NetworkError,
    NetworkKeyError,
    NodeError,
    PeerUnreachableError,
    PortInUseError,
    RemoteProtocolError,
    RemoteTimeoutError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.addresses import (
    NOWHERE,
    Route,
    is_dialable,
    parse_multiaddr,
    route_of,
    target_of,
)
from p2pgrid.net.groups import innermost
from p2pgrid.net.pipes import Pipes
from p2pgrid.net.pnet import StrangerError, Upgrader
from p2pgrid.net.splice import stream_over
from p2pgrid.protocol.secret import Secret

Cause = TypeVar("Cause", bound=Exception)

CONTROL_PROTOCOL = TProtocol("/p2pgrid/1")
MAX_CONNECTIONS = 1000
MAX_STREAMS = 10_000
MAX_PEERS = 1000
"""So many peers are known by address; the oldest are forgotten."""
MAX_ADDRESSES = 8
"""So many addresses of one peer are tried; a stranger's record may list more."""
STAGGER_S = 0.25
"""Head start of an address over the next one (RFC 8305, section 5)."""
ADDRESS_TTL_S = 3600
CLOSE_S = 2.0
REFUSE_S = 1.0

# Whatever a dial or a new stream raises, next to trio's own Cancelled.
_LINK_ERRORS = (
    SwarmException,
    StreamFailure,
    IOException,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


def build_host(
    seed: bytes,
    listen: Sequence[str],
    *,
    announce: Sequence[str] | None = (),
    pipes: Pipes | None = None,
    network_key: Secret | None = None,
) -> IHost:
    """A host that is not yet ``running``.

    Args:
        seed: 32-byte Ed25519 seed; the peer id is ``ids.peer_id_of`` of its public key.
        listen: Multiaddr texts such as ``/ip4/127.0.0.1/tcp/0``; empty to only dial.
        announce: What others are told instead; needed with ``/ip4/0.0.0.0`` or behind a NAT,
            because libp2p announces what it listens on, ``0.0.0.0`` included; None: nothing.
        pipes: How connections are made; default: straight.
        network_key: 32 bytes; then only hosts with the same key exchange anything with this one.

    Raises:
        AddressError: an address is not a TCP multiaddr.
        PortInUseError: another process listens there.
        NodeError: this machine does not let us listen there.
    """
    _quieten_libp2p()
    for text in listen:
        _refuse_used_port(parse_multiaddr(text))
    keys = create_new_key_pair(seed)
    # The defaults would offer plaintext as well, and mplex.
    security = {NOISE: Noise(keys, noise_privkey=create_noise_key_pair().private_key)}
    muxers = {TProtocol(YAMUX): Yamux}
    swarm = new_swarm(
        key_pair=keys,
        peerstore_opt=_Peerstore(ID.from_pubkey(keys.public_key)),
        sec_opt=security,
        muxer_opt=muxers,
        transports=[_RoutedTcp(pipes or Pipes())],
        # Its backoff is blind to refused ports and wrong keys; the caller knows when to repeat.
        retry_config=RetryConfig(max_retries=0),
        connection_config=_connection_config(),
        # The default one locks the whole node for a minute after five refused connections.
        resource_manager=ResourceManager(
            limits=ResourceLimits(max_connections=MAX_CONNECTIONS, max_streams=MAX_STREAMS),
            enable_circuit_breaker=False,
            enable_graceful_degradation=False,
            enable_connection_tracking=False,
        ),
    )
    swarm.upgrader = Upgrader(security, muxers, network_key=network_key)
    swarm.auto_connector = _NoAutoConnector(swarm)
    swarm.upgrade_inbound_raw_conn = _until_over(swarm.upgrade_inbound_raw_conn)
    announced = [parse_multiaddr(text) for text in announce or ()]
    if announce is None or (not listen and not announced):
        # Asked who it is, a host without addresses waits half a second for a first one.
        announced = [NOWHERE]
    host = _Host(
        network=swarm, enable_mDNS=False, enable_upnp=False, announce_addrs=announced or None
    )
    # Identify tells others that we speak it, also before (or without) anyone to serve it.
    host.set_stream_handler(CONTROL_PROTOCOL, _refuse)
    return host


@asynccontextmanager
async def running(host: IHost, listen: Sequence[str]) -> AsyncIterator[None]:
    """Listens while the context is open; at its end closes the listeners and every connection.

    Left to itself ``host.run`` cancels its own closing and leaks the sockets; a listener would
    even go on to take connections for as long as trio runs.
    """
    try:
        async with host.run(listen_addrs=[Multiaddr(text) for text in listen]):
            try:
                yield
            finally:
                with trio.move_on_after(CLOSE_S) as closing:
                    closing.shield = True
                    network = host.get_network()
                    async with trio.open_nursery() as nursery:
                        for it in (*network.listeners.values(), *network.get_connections()):
                            nursery.start_soon(it.close)
    except ExceptionGroup as group:
        # The nurseries of host.run wrap whatever leaves the context, three deep.
        raise innermost(group) from None


async def connect(
    host: IHost, peer: PeerId, addresses: Sequence[str], timeout_s: float = 10.0
) -> None:
    """Makes sure that there is a connection to ``peer``; an existing one is kept, even if frozen.

    Args:
        host: A running host.
        peer: Who has to answer.
        addresses: Multiaddr texts, with or without ``/p2p/``; the first ``MAX_ADDRESSES`` are
            tried, each ``STAGGER_S`` after the one before, until one answers.
        timeout_s: For all of it.

    Raises:
        AddressError: an address cannot be read.
        IdentityMismatchError: an address names, or is answered by, somebody else.
        NetworkKeyError: who answers is not in our closed network, or is in one, and we are not.
        PeerUnreachableError: no address answered within ``timeout_s``.
    """
    targets = [target_of(text, peer) for text in addresses[:MAX_ADDRESSES]]
    remote = ID.from_string(peer)
    if is_connected(host, peer):
        return
    # For 60 s after a failure libp2p would not even try; the peer may have restarted since.
    host.get_network().unblock_peer(remote)
    failures: list[SwarmException] = []
    with trio.move_on_after(timeout_s) as deadline:
        await _dial_any(host, remote, targets, failures)
    if not is_connected(host, peer):
        reason = f"no answer within {timeout_s:g} s" if deadline.cancelled_caught else ""
        raise _explain(peer, len(targets), failures, reason)


def is_connected(host: IHost, peer: PeerId) -> bool:
    """Whether a connection is registered; it may be dead for minutes before libp2p notices."""
    connections = host.get_network().get_connections(ID.from_string(peer))
    return any(not connection.is_closed for connection in connections)


async def hang_up(host: IHost, peer: PeerId, timeout_s: float = 1.0) -> None:
    """Closes the connections to ``peer``, so that the next ``connect`` dials again."""
    with trio.move_on_after(timeout_s):
        await host.disconnect(ID.from_string(peer))


async def open_stream(host: IHost, peer: PeerId, timeout_s: float = 10.0) -> INetStream:
    """Opens a ``/p2pgrid/1`` stream over the connection that ``connect`` made.

    Its ``read`` and ``write`` have no deadline of their own; ``reset`` it when done.

    Raises:
        RemoteTimeoutError: the peer did not answer within ``timeout_s``.
        RemoteProtocolError: it does not speak ``/p2pgrid/1``.
        PeerUnreachableError: the connection is gone.
    """
    try:
        with trio.fail_after(timeout_s):
            return await host.new_stream(ID.from_string(peer), [CONTROL_PROTOCOL])
    except trio.TooSlowError as error:
        raise RemoteTimeoutError(peer=peer, timeout_s=timeout_s) from error
    except _LINK_ERRORS as error:
        # libp2p tells these two apart only in the text of the cause.
        if _cause_of(error, MultiselectClientError, text="not supported"):
            raise RemoteProtocolError(f"{peer} does not speak {CONTROL_PROTOCOL}") from error
        if _cause_of(error, MultiselectClientError, text="timed out"):
            raise RemoteTimeoutError(peer=peer, timeout_s=timeout_s) from error
        raise PeerUnreachableError(peer=peer, addresses=1, reason="the link broke") from error


class _Host(BasicHost):  # type: ignore[misc]
    """Remembers on which route each connection that it dialled goes, and asks nobody who he is.

    libp2p would ask at once at both ends of every connection: a tenth of what a connection costs.
    Noise says who it is; what a peer speaks, the DHT asks the peers that it asks anything.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.routes: WeakKeyDictionary[Any, Route] = WeakKeyDictionary()

    @override
    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:
        return


class _RoutedTcp(TCP):  # type: ignore[misc]
    """libp2p's TCP, which dials by ``Pipes``: also through proxies and relays."""

    def __init__(self, pipes: Pipes) -> None:
        super().__init__()
        self._pipes = pipes

    @override
    def can_dial(self, maddr: Multiaddr) -> bool:
        return is_dialable(maddr)

    @override
    async def dial(self, maddr: Multiaddr) -> RawConnection:
        route = route_of(maddr)
        try:
            plain = await self._pipes.connect(route, "libp2p", port=route.port)
        except (OSError, NetworkError) as error:
            raise OpenConnectionError(f"no connection to {maddr}") from error
        return RawConnection(TrioTCPStream(stream_over(plain)), True)


class _Peerstore(PeerStore):  # type: ignore[misc]
    """Never forgets our own key when it makes room for other peers, and keeps few addresses each.

    libp2p's forgets it first, as that of a peer without addresses: after a thousand visitors a
    node could not say any more who it is, and every stream to it broke. And it keeps every address
    that a peer ever named.
    """

    def __init__(self, own: ID) -> None:
        super().__init__(max_peers=MAX_PEERS)
        self._own = own

    @override
    def add_addrs(self, peer_id: ID, addrs: Sequence[Multiaddr], ttl: int = 0) -> None:
        """What is added last is newest, though it was known before."""
        known = self.peer_data_map[peer_id].addrs if self.has_peer(peer_id) else []
        known[:] = [address for address in known if address not in addrs]
        super().add_addrs(peer_id, [*addrs][:MAX_ADDRESSES], ttl)
        if self.has_peer(peer_id):
            del self.peer_data_map[peer_id].addrs[:-MAX_ADDRESSES]

    @override
    def _enforce_peer_limit(self) -> None:
        ours = self.peer_data_map.pop(self._own)
        super()._enforce_peer_limit()
        self.peer_data_map[self._own] = ours


class _NoAutoConnector(AutoConnector):  # type: ignore[misc]
    """Keeps libp2p from connecting to every peer it has heard of.

    No setting does: with ``low_watermark=0`` it still aims for half of ``high_watermark``.
    """

    @override
    async def maybe_connect(self) -> None:
        return


def _until_over(upgrade: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Ends libp2p's task for a connection that came in when the connection is over.

    Left to itself the task waits for the end of the host, and holds one of the places for
    connections: the thousandth visitor of a node would be the last one.
    """

    async def upgraded(*args: object) -> None:
        connection = await upgrade(*args)
        await connection.event_closed.wait()
        raise SwarmException("the connection is over")

    return upgraded


def _connection_config() -> ConnectionConfig:
    return ConnectionConfig(
        max_connections=MAX_CONNECTIONS,
        high_watermark=MAX_CONNECTIONS,
        max_connections_per_peer=1,  # with more, every dial waits 250 ms for a second one
        min_connections=0,
        low_watermark=0,
    )


async def _credit_by_halves(stream: YamuxStream, *, bytes_read: int = 0) -> None:
    """Renews the peer's credit when half of it is used, as go-yamux does.

    py-libp2p 0.8.1 does so after every read: a second packet for each small message, in both
    directions, and a tenth of the time of an operation.
    """
    async with stream.window_lock:
        unread = len(stream.conn.stream_buffers.get(stream.stream_id, b""))
        used = stream.target_recv_window - (stream.recv_window + unread)
    if used >= stream._grow_threshold():  # noqa: SLF001 the rest is libp2p's
        await _libp2p_credit(stream, bytes_read=bytes_read)


_libp2p_credit = YamuxStream._auto_tune_and_send_window_update  # noqa: SLF001
YamuxStream._auto_tune_and_send_window_update = _credit_by_halves  # noqa: SLF001


def _quieten_libp2p() -> None:
    # Without a handler libp2p's warnings reach stderr, thousands of them; whoever wants them
    # adds a handler to this logger. LIBP2P_DEBUG must stay unset: it starts a thread and a file.
    logger = logging.getLogger("libp2p")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    # This module logs through logging.debug(), which would configure the root logger.
    swarm_connection.logging = logging.getLogger(swarm_connection.__name__)


def _refuse_used_port(address: Multiaddr) -> None:
    """libp2p listens with SO_REUSEPORT: two nodes on one port would share their callers."""
    port = int(address.value_for_protocol("tcp"))
    protocol = next(iter(address.protocols()))
    if port == 0 or protocol.name not in {"ip4", "ip6"}:
        return
    family = socket.AF_INET if protocol.name == "ip4" else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.value_for_protocol(protocol.name), port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(port=port) from error
            raise NodeError(f"cannot listen on {address}: {error.strerror}") from error


async def _dial_any(
    host: Any, remote: ID, targets: Sequence[Multiaddr], failures: list[SwarmException]
) -> None:
    """Dials one by one, not in libp2p's own way, which tries only one TCP address of a peer."""

    async def dial(target: Multiaddr, failed: trio.Event) -> None:
        try:
            connection = await host.get_network().dial_addr(target, remote)
            host.routes[connection.muxed_conn] = route_of(target)
            # Only where the peer was met: the others may be a stranger's word.
            host.get_peerstore().add_addrs(remote, [target], ADDRESS_TTL_S)
        except SwarmException as error:
            failures.append(error)
            failed.set()
        else:
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for target in targets:
            failed = trio.Event()
            nursery.start_soon(dial, target, failed)
            with trio.move_on_after(STAGGER_S):
                await failed.wait()


def _explain(
    peer: PeerId, addresses: int, failures: Sequence[SwarmException], reason: str
) -> PeerUnreachableError | IdentityMismatchError | NetworkKeyError:
    for failure in failures:
        if _cause_of(failure, PeerIDMismatchesPubkey):
            return IdentityMismatchError(f"somebody else answered at an address of {peer}")
        if stranger := _cause_of(failure, StrangerError):
            return NetworkKeyError(peer=peer, has_key=stranger.has_key)
    told = [_cause_of(failure, NetworkError) for failure in failures]
    why = next((error for error in told if error is not None), None)
    reason = reason or (str(why) if why else "refused or cut off")
    error = PeerUnreachableError(peer=peer, addresses=addresses, reason=reason)
    error.__cause__ = why or (failures[0] if failures else None)
    return error


def _cause_of(error: BaseException | None, kind: type[Cause], *, text: str = "") -> Cause | None:
    """The nearest cause of this kind, if there is one."""
    while error is not None:
        if isinstance(error, kind) and text in str(error):
            return error
        error = error.__cause__
    return None


async def _refuse(stream: INetStream) -> None:
    # A reset overtakes the answer that the protocol is spoken: the peer speaks first, or has time.
    with trio.move_on_after(REFUSE_S), suppress(*_LINK_ERRORS):
        await stream.read(1)
    await stream.reset()
