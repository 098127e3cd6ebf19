"""One question of Kademlia to one peer, over streams that stay open from question to question.

Every question ends, whatever the peer does. py-libp2p opens a stream for each question, waits ten
seconds for a frozen peer, and dials one address only.

Trust: none in any answer. Records carry signatures; providers and contacts are mere hints.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from weakref import WeakKeyDictionary

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import IHost, INetConn
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pgrid.errors import NetworkError, NetworkKeyError
from p2pgrid.ids import PeerId
from p2pgrid.net.host import ADDRESS_TTL_S, CONTROL_PROTOCOL, connect
from p2pgrid.net.kad_contacts import has_ed25519_key, usable
from p2pgrid.net.kad_stream import KadStream

MAX_ANSWER_BYTES = 1 << 20
MAX_IDENTIFY_BYTES = 1 << 16
STREAMS_PER_PEER = 2
"""So many questions to one peer at once; its server lets twice as many in."""
_OURS = frozenset({CONTROL_PROTOCOL, KAD_PROTOCOL})
_LOG = logging.getLogger(__name__)

# What a peer can do to us while it answers: hang up, refuse, or send nonsense.
_FAILURES = (
    BaseLibp2pError,
    NetworkError,
    DecodeError,
    ValueError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


class Said(NamedTuple):
    """What a peer says of itself, as far as it matters: it may send 64 KiB of it."""

    protocols: frozenset[str] = frozenset()
    """Those of the DHT and of p2pgrid that it speaks."""
    addresses: tuple[Multiaddr, ...] = ()


class _Streams:
    """The open streams of one connection that are not in use."""

    def __init__(self) -> None:
        self.turns = trio.CapacityLimiter(STREAMS_PER_PEER)
        self.idle: list[KadStream] = []


class Asker:
    """Asks on behalf of a host, and remembers per connection who speaks what."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        # libp2p keeps what a peer said about itself for good, also when the peer restarts as
        # something else; this dies with the connection.
        self._said: WeakKeyDictionary[INetConn, Said] = WeakKeyDictionary()
        self._streams: dict[INetConn, _Streams] = {}

    async def ask(self, contact: PeerInfo, question: Message, timeout_s: float) -> Message | None:
        """One question to one peer that speaks ``/p2pgrid/1``; dials it if need be.

        Returns:
            Its answer, unchecked, or None: unreachable, not p2pgrid, refused, too late.

        Raises:
            NetworkKeyError: it is not in our closed network, or we are not in its.
        """
        answer = None
        with trio.move_on_after(timeout_s):
            try:
                answer = await self._ask(contact, question, timeout_s)
            except NetworkKeyError:
                raise
            except _FAILURES as error:
                _LOG.debug("no answer", extra={"peer": str(contact.peer_id), "why": type(error)})
        return answer

    async def _ask(self, contact: PeerInfo, question: Message, timeout_s: float) -> Message | None:
        peer = contact.peer_id
        if self._connection(peer) is None:
            addresses = [str(address) for address in contact.addrs]
            await connect(self._host, PeerId(peer.to_base58()), addresses, timeout_s)
        said = await self.identify(peer)
        if CONTROL_PROTOCOL not in said.protocols:
            return None
        answer = await self._converse(peer, question)
        # libp2p forgets addresses with time, and would pass the peer on without any. Those that
        # others tell of it are not passed on unless it was reached there.
        self._remember(peer, said.addresses)
        return answer

    async def _converse(self, peer: ID, question: Message) -> Message | None:
        connection = self._connection(peer)
        if connection is None:
            return None
        streams = self._streams_of(connection)
        async with streams.turns:
            if streams.idle:
                try:
                    return await self._exchange(streams, streams.idle.pop(), question)
                except _FAILURES:
                    streams.idle.clear()  # the peer cuts what was idle too long
            return await self._exchange(streams, await self._open(peer, KAD_PROTOCOL), question)

    def _streams_of(self, connection: INetConn) -> _Streams:
        if connection not in self._streams:
            self._streams = {it: kept for it, kept in self._streams.items() if not it.is_closed}
            self._streams[connection] = _Streams()
        return self._streams[connection]

    async def _exchange(
        self, streams: _Streams, stream: KadStream, question: Message
    ) -> Message | None:
        async with _reset_unless_done(stream):
            await stream.send(question)
            answer = await stream.receive()
        if answer is not None:
            streams.idle.append(stream)
        return answer

    async def identify(self, peer: ID) -> Said:
        """What a connected peer says of itself; nothing if it does not say.

        Asks once per connection and has no deadline of its own.
        """
        connection = self._connection(peer)
        if connection is None or connection in self._said:
            return self.identified(peer)
        if not has_ed25519_key(peer.to_bytes()):
            return Said()
        told = Identify()
        try:
            stream = await self._open(peer, IDENTIFY, limit=MAX_IDENTIFY_BYTES)
            try:
                told.ParseFromString(await stream.receive_bytes() or b"")
            finally:
                await stream.reset()
        except _FAILURES:
            return Said()
        # Protobuf gives a text that is no UTF-8 as bytes.
        said = Said(_OURS.intersection(map(str, told.protocols)), usable(told.listen_addrs))
        self._said[connection] = said
        self._remember(peer, said.addresses)
        return said

    def identified(self, peer: ID) -> Said:
        """What ``identify`` learnt on the connection to a peer; nothing if it did not."""
        connection = self._connection(peer)
        return self._said.get(connection, Said()) if connection else Said()

    def _remember(self, peer: ID, addresses: Sequence[Multiaddr]) -> None:
        self._host.get_peerstore().add_addrs(peer, addresses, ADDRESS_TTL_S)

    def _connection(self, peer: ID) -> INetConn | None:
        alive = [c for c in self._host.get_network().get_connections(peer) if not c.is_closed]
        return alive[0] if alive else None

    async def _open(
        self, peer: ID, protocol: TProtocol, *, limit: int = MAX_ANSWER_BYTES
    ) -> KadStream:
        return KadStream(await self._host.new_stream(peer, [protocol]), limit=limit)


@asynccontextmanager
async def _reset_unless_done(stream: KadStream) -> AsyncIterator[None]:
    """What was cut off half way can carry no further question."""
    try:
        yield
    except BaseException:
        await stream.reset()
        raise
