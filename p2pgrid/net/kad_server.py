"""The answering half of Kademlia: py-libp2p's ``KadDHT``, closed to everybody but p2pgrid peers.

py-libp2p answers anyone on the public Kademlia protocol, and takes whoever asks into its table.
Here a peer that does not speak ``/p2pgrid/1`` gets no answer, and only peers that serve too enter
the table. This is the one file that uses private names of libp2p 0.8.1, with the reason beside.

Trust: stored records prove their signer, no more; peers can withhold records, not alter them.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio
from libp2p.abc import IHost, INetStream
from libp2p.io.exceptions import IncompleteReadError
from libp2p.kad_dht.common import PROTOCOL_ID as KAD_PROTOCOL, format_time_rfc3339
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.kad_dht.routing_table import RoutingTable
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.records.validator import NamespacedValidator, Validator
from libp2p.utils.varint import encode_uvarint, read_varint_prefixed_bytes_limited
from typing_extensions import override

from p2pgrid.errors import BusyError, ForgedRecordError, P2PGridError, RemoteProtocolError
from p2pgrid.net.host import CONTROL_PROTOCOL, MAX_ADDRESSES
from p2pgrid.net.kademlia import MAX_PEER_ID_BYTES, Asker, reset
from p2pgrid.protocol.records import (
    DHT_NAMESPACE,
    DHT_RECORD_BYTES,
    NodeRecord,
    SignedRecord,
    dht_key,
    verify,
)

SERVE_S = 5.0
"""After this a stream is cut: a silent peer would hold its turn for good."""
TURNS = 12
TURNS_PER_PEER = 4
MAX_QUESTION_BYTES = 16 * 1024
"""A record and some addresses; py-libp2p would read 4 MiB."""
MAX_KEY_BYTES = 128
MAX_TAGS = 4096
"""Tags of others that are remembered here, each for two days; py-libp2p knows no limit."""
PROVIDERS_PER_10_S = 100
"""Tags that one peer may announce here in ten seconds; py-libp2p's 10 lose a domain's eleventh."""


def check(key: str, value: bytes, *, now: float) -> NodeRecord:
    """The verified record of a DHT entry.

    Raises:
        RecordError: forged, expired, oversized, or stored under another peer's key.
        RemoteProtocolError: not a signed ``NodeRecord``.
    """
    body, signer = verify(value, now=now, max_bytes=DHT_RECORD_BYTES)
    if not isinstance(body, NodeRecord):
        raise RemoteProtocolError(f"the DHT holds node records, not {type(body).__name__}")
    if dht_key(signer) != key:
        raise ForgedRecordError(f"a record of {signer} lies under the key of somebody else")
    return body


class RecordValidator(Validator):  # type: ignore[misc]
    """What py-libp2p asks before it stores a record."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    @override
    def validate(self, key: str, value: bytes) -> None:
        check(key, value, now=self._now())

    @override
    def select(self, key: str, values: Sequence[bytes]) -> int:
        """The index of the newest; the later of two equals, so that a repeat is accepted."""
        return max(range(len(values)), key=lambda index: (*_age(values[index]), index))


class PeerTable(RoutingTable):  # type: ignore[misc]
    """A routing table that holds only peers which told us that they serve p2pgrid's DHT."""

    def __init__(self, host: IHost, asker: Asker) -> None:
        # No limit per subnet: the domains of one institute share one, and what the limit is
        # against, a crowd of forged peers around a key, cannot forge a record.
        super().__init__(host.get_id(), host, max_peers_per_subnet=0)
        self._asker = asker

    @override
    async def add_peer(
        self, peer_obj: PeerInfo | ID, *, skip_server_mode_check: bool = False
    ) -> bool:
        peer = peer_obj.peer_id if isinstance(peer_obj, PeerInfo) else peer_obj
        if not {CONTROL_PROTOCOL, KAD_PROTOCOL} <= self._asker.identified(peer):
            return False
        return bool(await super().add_peer(peer_obj, skip_server_mode_check=True))


class KadServer(KadDHT):  # type: ignore[misc]
    """Holds records and tags for others, if it serves; its table and store are there anyway.

    Its own service loop (``run``) and lookups stay unused; see ``dht`` and ``kademlia``.
    """

    def __init__(self, host: IHost, asker: Asker, *, serve: bool, now: Callable[[], float]) -> None:
        super().__init__(
            host,
            DHTMode.SERVER if serve else DHTMode.CLIENT,
            validator=NamespacedValidator({DHT_NAMESPACE: RecordValidator(now)}),
            validator_changed=True,  # or it would also store ipns and public key records
            strict_validation=True,
        )
        self.routing_table = PeerTable(host, asker)
        self.peer_routing.routing_table = self.routing_table
        self._provider_rate_max = PROVIDERS_PER_10_S  # private: there is no argument for it
        self._asker = asker
        self._turns = trio.CapacityLimiter(TURNS)
        self._turns_of: dict[ID, trio.CapacityLimiter] = {}

    @override
    async def handle_stream(self, stream: INetStream) -> None:
        """Answers a p2pgrid peer in its turn and resets everybody else."""
        peer = stream.muxed_conn.peer_id
        with trio.move_on_after(SERVE_S):
            async with self._turn_of(peer):
                if CONTROL_PROTOCOL in await self._asker.identify(peer):
                    # KadDHT resets what exceeds its own limit of 12; here they queue.
                    async with self._turns:
                        await super().handle_stream(_Questions(stream, self._has_room))
                    return
        await reset(stream)

    def _has_room(self, tag: bytes) -> bool:
        known = self.provider_store.providers
        return tag in known or len(known) < MAX_TAGS

    def hold(self, key: str, value: bytes) -> None:
        """Keeps a checked record for whoever asks for it."""
        raw = key.encode()
        self.value_store.put_record(
            raw, Record(key=raw, value=value, timeReceived=format_time_rfc3339())
        )

    def held(self, key: str) -> bytes:
        """The local copy under a key, or nothing."""
        record = self.value_store.get(key.encode())
        return bytes(record.value) if record else b""

    def sweep(self, *, now: float) -> None:
        """Forgets expired records and providers."""
        for raw, (record, _) in list(self.value_store.store.items()):
            try:
                check(raw.decode(), record.value, now=now)
            except P2PGridError:
                self.value_store.remove(raw)
        self.provider_store.cleanup_expired()

    @asynccontextmanager
    async def _turn_of(self, peer: ID) -> AsyncIterator[None]:
        turns = self._turns_of.setdefault(peer, trio.CapacityLimiter(TURNS_PER_PEER))
        try:
            async with turns:
                yield
        finally:
            if not turns.borrowed_tokens and not turns.statistics().tasks_waiting:
                self._turns_of.pop(peer, None)


class _Questions:
    """A stream on which py-libp2p meets only questions whose answer takes no time.

    It puts peer ids into texts, also those that it refuses, and base58 takes the square of their
    length. Its signed peer records, which nobody here needs, are left out.
    """

    def __init__(self, stream: INetStream, has_room: Callable[[bytes], bool]) -> None:
        self.muxed_conn = stream.muxed_conn
        self._has_room = has_room
        self.write, self.reset, self.close = stream.write, stream.reset, stream.close
        self._stream = stream
        self._ahead = b""

    async def read(self, size: int) -> bytes:
        if not self._ahead:
            self._ahead = await self._next()
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return taken

    async def _next(self) -> bytes:
        """The next question with its length before it; nothing at the end of the stream."""
        try:
            body = await read_varint_prefixed_bytes_limited(self._stream, MAX_QUESTION_BYTES)
        except IncompleteReadError as end:
            if end.received_bytes:
                raise
            return b""
        question = Message()
        question.ParseFromString(body)
        peers = (*question.providerPeers, *question.closerPeers)
        if len(question.key) > MAX_KEY_BYTES or any(len(it.id) > MAX_PEER_ID_BYTES for it in peers):
            raise RemoteProtocolError("a question of the DHT has an endless key or peer id")
        if question.type == Message.ADD_PROVIDER and not self._has_room(question.key):
            raise BusyError(limit=MAX_TAGS)
        question.ClearField("senderRecord")
        for peer in peers:
            peer.ClearField("signedRecord")
            del peer.addrs[MAX_ADDRESSES:]
        clean = question.SerializeToString()
        return bytes(encode_uvarint(len(clean))) + clean


def _age(value: bytes) -> tuple[int, bytes]:
    record = SignedRecord.decode(value)
    return record.body().seq, record.payload
