"""The asking half of Kademlia: one question to one peer, or to the peers nearest to a key.

py-libp2p's own lookups answer from the local copy, wait ten seconds for each frozen peer, keep
nothing of what came before a deadline, and dial one address per peer. Here every question ends,
and an answer counts when it comes. Messages and distances are libp2p's.

Trust: none in any answer. Records carry signatures; providers and contacts are mere hints.
"""

import hashlib
import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from weakref import WeakKeyDictionary

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import IHost, INetConn, INetStream
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.identity.update import update_peerstore_from_identify
from libp2p.kad_dht.common import ALPHA, BUCKET_SIZE, PROTOCOL_ID as KAD_PROTOCOL
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStoreError
from libp2p.utils.varint import encode_uvarint, read_varint_prefixed_bytes_limited
from multiaddr import Multiaddr
from multiaddr.protocols import P_P2P

from p2pgrid.errors import NetworkError, NetworkKeyError
from p2pgrid.ids import PeerId, public_key_of
from p2pgrid.net.addresses import MULTIADDR_ERRORS, is_dialable
from p2pgrid.net.host import ADDRESS_TTL_S, CONTROL_PROTOCOL, MAX_ADDRESSES, connect

MAX_ANSWER_BYTES = 1 << 20
MAX_IDENTIFY_BYTES = 1 << 16
MAX_PEER_ID_BYTES = 64
"""Base58 takes the square of the length: a peer id of 1 MiB would take a quarter of an hour."""
RESET_S = 1.0
_LOG = logging.getLogger(__name__)

Ask = Callable[[PeerInfo], Awaitable[Message | None]]

# What a peer can do to us while it answers: hang up, refuse, or send nonsense.
_FAILURES = (
    BaseLibp2pError,
    NetworkError,
    DecodeError,
    PeerStoreError,
    ValueError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


class Asker:
    """Asks on behalf of a host, and remembers per connection who speaks what."""

    def __init__(self, host: IHost) -> None:
        self._host = host
        # libp2p keeps what a peer said about itself for good, also when the peer restarts as
        # something else; this dies with the connection.
        self._said: WeakKeyDictionary[INetConn, frozenset[str]] = WeakKeyDictionary()

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
        addresses = [str(address) for address in contact.addrs]
        await connect(self._host, PeerId(peer.to_base58()), addresses, timeout_s)
        if CONTROL_PROTOCOL not in await self.identify(peer):
            return None
        answer = Message()
        answer.ParseFromString(await self._exchange(peer, KAD_PROTOCOL, question, MAX_ANSWER_BYTES))
        # libp2p forgets addresses with time, and would pass the peer on without any.
        self._host.get_peerstore().add_addrs(peer, contact.addrs, ADDRESS_TTL_S)
        return answer

    async def identify(self, peer: ID) -> frozenset[str]:
        """The protocols that a connected peer says it speaks; empty if it does not say.

        Asks once per connection and has no deadline of its own.
        """
        connection = self._connection(peer)
        if connection is None or connection in self._said:
            return self.identified(peer)
        if not _has_ed25519_key(peer):
            return frozenset()
        said = Identify()
        try:
            said.ParseFromString(await self._exchange(peer, IDENTIFY, None, MAX_IDENTIFY_BYTES))
            await update_peerstore_from_identify(self._host.get_peerstore(), peer, said)
        except _FAILURES:
            return frozenset()
        # Protobuf gives a text that is no UTF-8 as bytes.
        self._said[connection] = frozenset(map(str, said.protocols))
        return self._said[connection]

    def identified(self, peer: ID) -> frozenset[str]:
        """What ``identify`` learnt on the connection to a peer; empty if nothing."""
        connection = self._connection(peer)
        return self._said.get(connection, frozenset()) if connection else frozenset()

    def _connection(self, peer: ID) -> INetConn | None:
        alive = [c for c in self._host.get_network().get_connections(peer) if not c.is_closed]
        return alive[0] if alive else None

    async def _exchange(
        self, peer: ID, protocol: TProtocol, question: Message | None, limit: int
    ) -> bytes:
        stream = await self._host.new_stream(peer, [protocol])
        try:
            if question is not None:
                body = question.SerializeToString()
                await stream.write(encode_uvarint(len(body)) + body)
            return bytes(await read_varint_prefixed_bytes_limited(stream, limit))
        finally:
            await reset(stream)


def known_contact(host: IHost, peer: ID) -> PeerInfo:
    """A peer with the addresses that are known, newest first."""
    try:
        addresses = host.get_peerstore().addrs(peer)
    except PeerStoreError:
        addresses = []
    return PeerInfo(peer, _usable(addresses[::-1]))


async def reset(stream: INetStream) -> None:
    """Ends a stream at once, also while being cancelled, and never waits for the peer."""
    with trio.move_on_after(RESET_S) as ending:
        ending.shield = True
        await stream.reset()


def contacts(peers: Iterable[Message.Peer]) -> list[PeerInfo]:
    """The peers of an answer, at most ``BUCKET_SIZE``, that have an Ed25519 key and addresses."""
    found = []
    for peer in list(peers)[:BUCKET_SIZE]:
        addresses = _usable(Multiaddr(raw) for raw in peer.addrs)
        if addresses and _has_ed25519_key(ID(peer.id)):
            found.append(PeerInfo(ID(peer.id), addresses))
    return found


def by_distance(target: bytes, contacts: Iterable[PeerInfo]) -> list[PeerInfo]:
    """The contacts, nearest to a key first."""
    goal = _position(target)
    return sorted(contacts, key=lambda contact: _position(contact.peer_id.to_bytes()) ^ goal)


async def walk(
    target: bytes,
    seeds: Iterable[PeerInfo],
    ask_one: Ask,
    *,
    local: ID,
    heard: Callable[[PeerInfo, Message], None],
) -> None:
    """Asks ever nearer peers until the ``BUCKET_SIZE`` nearest have answered or failed.

    Args:
        target: The key; at most 50 bytes, or py-libp2p refuses to look for it.
        seeds: Where to begin.
        ask_one: Puts the question to one peer; has to end by itself.
        local: Our own id, which is never asked.
        heard: Called with each answer as it comes, so that a cancelled walk is not for nothing.

    Source: Maymounkov and Mazieres 2002, section 2.3.
    """
    path = _Path(target, local)
    path.add(seeds)
    send, receive = trio.open_memory_channel[tuple[PeerInfo, Message | None]](math.inf)

    async def put_question(contact: PeerInfo) -> None:
        send.send_nowait((contact, await ask_one(contact)))

    async with trio.open_nursery() as nursery:
        in_flight = 0
        while True:
            for contact in path.take(ALPHA - in_flight):
                in_flight += 1
                nursery.start_soon(put_question, contact)
            if not in_flight:
                return
            contact, answer = await receive.receive()
            in_flight -= 1
            if answer is None:
                path.drop(contact)
            else:
                path.add(contacts(answer.closerPeers))
                heard(contact, answer)


class _Path:
    """The peers met on a walk; those that did not answer are gone, and make room for others."""

    def __init__(self, target: bytes, local: ID) -> None:
        self._target = target
        self._met: dict[ID, PeerInfo] = {}
        self._closed = {local}  # asked, or not to be asked

    def add(self, contacts: Iterable[PeerInfo]) -> None:
        for contact in contacts:
            if contact.peer_id not in self._closed:
                self._met.setdefault(contact.peer_id, contact)

    def take(self, count: int) -> list[PeerInfo]:
        near = by_distance(self._target, self._met.values())[:BUCKET_SIZE]
        unasked = [contact for contact in near if contact.peer_id not in self._closed][:count]
        self._closed.update(contact.peer_id for contact in unasked)
        return unasked

    def drop(self, contact: PeerInfo) -> None:
        del self._met[contact.peer_id]


def _usable(addresses: Iterable[Multiaddr]) -> list[Multiaddr]:
    """What we could dial of what a stranger sent; whose they are, noise will tell."""
    plain = dict.fromkeys(_without_peer(address) for address in addresses)
    return list(islice((address for address in plain if is_dialable(address)), MAX_ADDRESSES))


def _without_peer(address: Multiaddr) -> Multiaddr:
    try:
        return address.decapsulate_code(P_P2P)
    except MULTIADDR_ERRORS:
        return address


def _has_ed25519_key(peer: ID) -> bool:
    if len(peer.to_bytes()) > MAX_PEER_ID_BYTES:
        return False
    try:
        public_key_of(PeerId(peer.to_base58()))
    except ValueError:
        return False
    return True


def _position(key: bytes) -> int:
    return int.from_bytes(hashlib.sha256(key).digest(), "big")
