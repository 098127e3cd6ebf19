"""Targets: what is read from libp2p's streams, by the code that reads it in a node."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.peer.id import ID
from libp2p.utils.varint import encode_uvarint
from multiaddr import Multiaddr
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request

from p2pgrid.errors import PeerUnreachableError, RemoteProtocolError, TransportError
from p2pgrid.ids import peer_id_of
from p2pgrid.net.dht import Dht
from p2pgrid.net.host import CONTROL_PROTOCOL, MAX_ADDRESSES, build_host
from p2pgrid.net.kad_asker import Asker, Said
from p2pgrid.net.kad_server import KadServer
from p2pgrid.net.streams import Libp2pStream
from p2pgrid.net.websocket import WebSocketStream
from p2pgrid.protocol.records import NodeRecord, dht_key, sign, tag_key
from tests.fuzz.wire import NOW, PEER, SEED, frames

MIB = 1 << 20
TARGET_S = 10.0
REMOTE = ID.from_string(PEER)
PLACE = Multiaddr("/ip4/127.0.0.1/tcp/4001")


class Sent:
    """A libp2p stream of a peer that sends these bytes, in pieces, and ends."""

    def __init__(self, data: bytes, *, piece: int = 1 << 20) -> None:
        self.muxed_conn = self
        self.peer_id = REMOTE
        self.written = 0
        self._data, self._piece = memoryview(data), piece

    async def read(self, size: int | None = None) -> bytes:
        size = min(self._piece, len(self._data) if size is None else size)
        taken, self._data = bytes(self._data[:size]), self._data[size:]
        return taken

    async def write(self, data: bytes) -> None:
        self.written += len(data)

    async def reset(self) -> None:
        self._data = memoryview(b"")

    close = reset


class Connected:
    """A connection that lives; weakly referenced by whoever asks over it."""

    is_closed = False


def _run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(TARGET_S):
            await work()

    trio.run(bounded)


def stream(data: bytes) -> None:
    """Frames come out as they were sent, in whatever pieces, or the stream ends typed."""
    piece = 1 + (data[0] if data else 0)

    async def work() -> None:
        incoming = Libp2pStream(Sent(data[1:], piece=piece))
        bodies = b""
        try:
            while True:
                body = await incoming.receive(limit=MIB)
                bodies += len(body).to_bytes(4, "little") + body
        except (RemoteProtocolError, TransportError):
            assert data[1:].startswith(bodies)

    _run(work)


def streams() -> list[bytes]:
    """Seeds: all golden frames one after the other, in small and in large pieces."""
    return [bytes([piece]) + b"".join(frames()) for piece in (0, 7, 255)]


def websocket(data: bytes) -> None:
    """Whatever comes to the WebSocket port: bytes, then an end, or a broken connection."""

    async def work() -> None:
        far, near = trio.testing.memory_stream_pair()
        await far.send_all(data)
        await far.send_eof()
        server = WebSocketStream(near, ConnectionType.SERVER)
        received = 0
        try:
            await server.accept()
            while piece := await server.receive_some():
                received += len(piece)
        except trio.BrokenResourceError:
            pass
        assert received <= len(data)
        await trio.aclose_forcefully(server)

    _run(work)


def websockets() -> list[bytes]:
    """Seeds: a handshake, with bytes, an end, a ping and a closing behind it."""
    client = WSConnection(ConnectionType.CLIENT)
    opening = client.send(Request(host="relay.example", target="/p2pgrid"))
    frames_ = [
        *(b"\x82\x83\0\0\0\0abc", b"\x82\x80\0\0\0\0", b"\x89\x81\0\0\0\0x"),
        *(b"\x88\x82\0\0\0\0\x03\xe8", b"\x81\x81\0\0\0\0a", b"\x02\x81\0\0\0\0a"),
    ]
    return [opening, opening + b"".join(frames_), *(opening + frame for frame in frames_)]


def _host() -> Any:
    """A host that is connected to everybody, though it has no socket."""
    host = build_host(b"h" * 32, ())
    connection = Connected()
    host.get_network().get_connections = lambda *_: [connection]
    host.get_network().unblock_peer = lambda _: None
    return host


def identify(data: bytes) -> None:
    """Whatever a peer says that it speaks, we know some protocols of it, or none."""

    async def work() -> None:
        host = _host()
        host.new_stream = _answers(identify=data)
        said = await Asker(host).identify(REMOTE)
        assert said.protocols <= set(OURS.protocols)
        assert len(said.addresses) <= MAX_ADDRESSES

    _run(work)


def identities() -> list[bytes]:
    """Seeds: a peer of ours, and one with addresses and a record that is none."""
    full = Identify(
        protocol_version="ipfs/0.1.0",
        agent_version="py-libp2p",
        public_key=b"\x08\x01\x12\x20" + bytes(32),
        listen_addrs=[PLACE.to_bytes(), b"\xff"],
        observed_addr=PLACE.to_bytes(),
        protocols=[CONTROL_PROTOCOL, KAD_PROTOCOL],
        signedPeerRecord=b"\x0a\x00",
    )
    return [_prefixed(OURS), _prefixed(full)]


OURS = Identify(protocols=[CONTROL_PROTOCOL, KAD_PROTOCOL])


def dht_answer(data: bytes) -> None:
    """Whatever peers answer, a search of the DHT ends with a verified record or as unreachable."""

    async def work() -> None:
        host = _host()
        host.new_stream = _answers(identify=_prefixed(OURS), question=data)
        dht = Dht(host, server=False, now=lambda: NOW, timeout_s=2.0)
        try:
            found = await dht.get_signed(PEER)
        except PeerUnreachableError:
            pass
        else:
            assert peer_id_of(found.signed.public_key) == PEER
        for provider in await dht.providers("heart"):
            assert len(provider) <= 64

    _run(work)


def dht_answers() -> list[bytes]:
    """Seeds: a record, providers, and nearer peers."""
    value = Message(type="GET_VALUE", key=dht_key(PEER).encode())
    value.record.CopyFrom(_stored())
    near = Message(type="FIND_NODE")
    providers = Message(type="GET_PROVIDERS", key=tag_key("heart"))
    for peers in (near.closerPeers, providers.providerPeers):
        peers.add(id=REMOTE.to_bytes(), addrs=[PLACE.to_bytes()])
        peers.add(id=b"\x12\x20" + bytes(32), addrs=[b"\xff", PLACE.to_bytes()])
    return [_prefixed(message) for message in (value, near, providers)]


def dht_question(data: bytes) -> None:
    """Whatever a peer asks the DHT, it is answered in bounded size or its stream is reset."""

    async def work() -> None:
        sent = Sent(data)
        await _server().handle_stream(sent)
        assert sent.written < 64 * 1024 + 8 * len(data)

    _run(work)


def dht_questions() -> list[bytes]:
    """Seeds: one question of each type, and all of them on one stream."""
    key = dht_key(PEER).encode()
    put = Message(type="PUT_VALUE", key=key)
    put.record.CopyFrom(_stored())
    add = Message(type="ADD_PROVIDER", key=tag_key("heart"))
    add.providerPeers.add(id=REMOTE.to_bytes(), addrs=[PLACE.to_bytes()])
    find = Message(type="FIND_NODE", key=REMOTE.to_bytes(), senderRecord=b"\x0a\x00")
    messages = [
        *(put, add, find, Message(type="FIND_NODE", key=b"k" * 32), Message(type="PING")),
        *(Message(type="GET_VALUE", key=key), Message(type="GET_PROVIDERS", key=tag_key("heart"))),
    ]
    each = [_prefixed(message) for message in messages]
    return [*each, b"".join(each[:2] + each[3:])]


@functools.cache
def _server() -> KadServer:
    host = _host()
    asker = Asker(host)
    asker._said[host.get_network().get_connections()[0]] = Said(frozenset(OURS.protocols))
    return KadServer(host, asker, serve=True, now=lambda: NOW)


def _answers(*, identify: bytes, question: bytes = b"") -> Callable[..., Awaitable[Sent]]:
    async def new_stream(_: ID, protocols: list[str]) -> Sent:
        return Sent(identify if protocols == [IDENTIFY] else question)

    return new_stream


def _prefixed(message: Any) -> bytes:
    body: bytes = message.SerializeToString()
    return bytes(encode_uvarint(len(body))) + body


def _stored() -> Record:
    body = NodeRecord("domain", "clinic", (f"{PLACE}/p2p/{PEER}",), seq=7, expires=NOW + 600)
    signed = sign(body, signing_key=SEED)
    return Record(key=dht_key(PEER).encode(), value=signed.encode())
