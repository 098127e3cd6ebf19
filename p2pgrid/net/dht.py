"""Finding peers with no registry: signed records and tags on libp2p's Kademlia.

A node's ``NodeRecord`` lies under ``records.dht_key`` of its peer id, and it is a *provider* of
the key of each tag that it announces. Everything runs inside trio; every operation has a deadline.

Trust: peers that store records can withhold or delay them, not alter them. Providers are unsigned
hints until ``find`` has fetched and verified the provider's own record. Whoever guesses a tag
sees who announces it.
"""

import logging
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio
from libp2p.abc import IHost
from libp2p.kad_dht.common import BUCKET_SIZE
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pgrid.errors import (
    ExpiredRecordError,
    LocalProtocolError,
    NetworkError,
    NetworkKeyError,
    PeerUnreachableError,
    StaleRecordError,
)
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.addresses import parse_address
from p2pgrid.net.kad_server import KadServer, check
from p2pgrid.net.kademlia import Asker, by_distance, contacts, known_contact, walk
from p2pgrid.protocol.records import NodeRecord, SignedRecord, dht_key, newer, tag_key

GRACE_S = 1.0
"""How long a search goes on after its first hit: for a newer record, or for more providers."""
REPUBLISH_S = 240.0
REFRESH_S = 120.0
VERIFIED_AT_ONCE = 8
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A verified record, with the signed bytes that prove it."""

    record: NodeRecord
    signed: SignedRecord


class Dht:
    """One peer's view of the DHT.

    Args:
        host: A host of ``net.host``; running when the first operation is called.
        server: Whether to hold records for others. A client only asks, and enters no table.
        now: Unix seconds.
        timeout_s: Deadline of each operation.
        republish_s: How often ``run`` repeats what was put and announced.
        refresh_s: How often ``run`` looks for new peers and drops dead ones.
    """

    def __init__(
        self,
        host: IHost,
        *,
        server: bool,
        now: Callable[[], float],
        timeout_s: float = 10.0,
        republish_s: float = REPUBLISH_S,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._host, self._now, self._timeout_s = host, now, timeout_s
        self._server, self._republish_s, self._refresh_s = server, republish_s, refresh_s
        self._local: ID = host.get_id()
        # Half of the walk's own deadline: a frozen peer costs a slot for a while, not the walk.
        self._ask_s = timeout_s / 4
        self._asker = Asker(host)
        self._kad = KadServer(host, self._asker, serve=server, now=now)
        self._bootstrap: dict[ID, PeerInfo] = {}
        self._strangers: dict[ID, NetworkKeyError] = {}
        self._records: dict[str, SignedRecord] = {}
        self._tags: set[str] = set()

    @property
    def table(self) -> tuple[PeerId, ...]:
        """The peers that we would ask first; all of them serve p2pgrid's DHT."""
        return tuple(PeerId(peer.to_base58()) for peer in self._kad.routing_table.get_peer_ids())

    async def run(self) -> None:
        """Keeps the table fresh and what was put or announced alive, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_every, self._refresh_s, self.refresh)
            nursery.start_soon(_every, self._republish_s, self._republish)

    async def join(self, addresses: Sequence[str]) -> int:
        """Connects to known peers and learns about others from them.

        Returns:
            How many peers answered; one that does not serve p2pgrid's DHT never does.

        Raises:
            AddressError: an address cannot be read.
            NetworkKeyError: none answered, and at least one is not in our closed network.
        """
        by_peer: dict[PeerId, list[Multiaddr]] = {}
        for peer, address in map(parse_address, addresses):
            by_peer.setdefault(peer, []).append(address)
        contacts = [PeerInfo(ID.from_string(peer), found) for peer, found in by_peer.items()]
        self._bootstrap |= {contact.peer_id: contact for contact in contacts}
        answered = await self._walk(self._local.to_bytes(), "FIND_NODE", more=contacts)
        known = {contact.peer_id for contact in contacts}
        if not answered and (strangers := known & self._strangers.keys()):
            raise self._strangers[strangers.pop()]
        return len(known & {contact.peer_id for contact in answered})

    async def refresh(self) -> None:
        """Looks for peers near ourselves, drops those that are gone, and forgets old records."""
        await self._walk(self._local.to_bytes(), "FIND_NODE")
        self._kad.sweep(now=self._now())

    async def put(self, record: SignedRecord) -> None:
        """Stores our record with the peers nearest to its key, and again every ``republish_s``.

        With nobody to store it, it is kept until there is.

        Raises:
            LocalProtocolError: not a ``NodeRecord``.
            RecordError: forged, expired or oversized; ``StaleRecordError`` if we or the network
                know a newer one: use a higher ``seq``.
        """
        if not isinstance(record.body(), NodeRecord):
            raise LocalProtocolError("the DHT holds node records only")
        key = dht_key(peer_id_of(record.public_key))
        body = check(key, record.encode(), now=self._now())
        if (known := self._known(key)) is not None and newer(known.record, body):
            raise _stale(known.record, body)
        self._records[key] = record
        if self._server:
            self._kad.hold(key, record.encode())
        await self._store(key, Found(body, record))

    async def get(self, peer: PeerId) -> NodeRecord:
        """The newest verified record of a peer that the network has; see ``get_signed``."""
        return (await self.get_signed(peer)).record

    async def get_signed(self, peer: PeerId) -> Found:
        """Asks the network, and keeps the local copy only if nobody has a newer one.

        Raises:
            PeerUnreachableError: no valid record was found before the deadline.
        """
        key = dht_key(peer)
        found = [known] if (known := self._known(key)) else []

        itself = known_contact(self._host, ID.from_string(peer))

        def heard(contact: PeerInfo, answer: Message) -> float:
            if not (hit := self._read(key, answer)):
                return math.inf
            found.extend(hit)
            # Nobody knows a peer's record better than the peer.
            return 0 if contact.peer_id == itself.peer_id else GRACE_S

        await self._walk(key.encode(), "GET_VALUE", heard, more=[itself])
        if not found:
            raise PeerUnreachableError(
                peer=peer, addresses=0, reason="the DHT has no valid record of it"
            )
        return max(found, key=_seq)

    async def announce(self, tag: str) -> None:
        """Says that we have something with this tag, and again every ``republish_s``.

        Raises:
            LocalProtocolError: we do not listen, so nobody could come.
            SchemaError: not a tag.
        """
        key = tag_key(tag)
        ourselves = PeerInfo(self._local, self._host.get_addrs())
        if not self._host.get_transport_addrs():
            raise LocalProtocolError("a peer that does not listen cannot announce a tag")
        self._tags.add(tag)
        if self._server:
            self._kad.provider_store.add_provider(key, ourselves)
        question = _question("ADD_PROVIDER", key)
        question.providerPeers.add(
            id=self._local.to_bytes(), addrs=[address.to_bytes() for address in ourselves.addrs]
        )
        await self._spread(question, await self._walk(key, "FIND_NODE"))

    async def providers(self, tag: str) -> tuple[PeerId, ...]:
        """Who claims to have something with this tag: hints, unsigned; ``find`` verifies them.

        A peer remembers at most 20 per tag, so of a crowded tag an arbitrary part is found.
        """
        return tuple(await self._providers(tag))

    async def find(self, tag: str) -> tuple[tuple[PeerId, NodeRecord], ...]:
        """The providers of a tag, each with its verified record; the others are dropped."""
        hints = await self._providers(tag)
        found: dict[PeerId, NodeRecord] = {}
        turns = trio.CapacityLimiter(VERIFIED_AT_ONCE)

        async def fetch(peer: PeerId, contact: PeerInfo) -> None:
            async with turns:
                try:
                    found[peer] = await self._fetch(peer, contact)
                except PeerUnreachableError:
                    _LOG.debug("a provider without a record", extra={"peer": peer})

        with trio.move_on_after(self._timeout_s / 2):
            async with trio.open_nursery() as nursery:
                for peer, contact in hints.items():
                    nursery.start_soon(fetch, peer, contact)
        return tuple(found.items())

    async def _fetch(self, peer: PeerId, contact: PeerInfo) -> NodeRecord:
        """From the provider itself if it answers: one question instead of a walk."""
        key = dht_key(peer)
        if contact.peer_id != self._local:
            answer = await self._ask(contact, _question("GET_VALUE", key.encode()))
            if answer is not None and (hit := self._read(key, answer)):
                return hit[0].record
        return await self.get(peer)

    async def _providers(self, tag: str) -> dict[PeerId, PeerInfo]:
        key = tag_key(tag)
        hints = list(self._kad.provider_store.get_providers(key))

        def heard(_: PeerInfo, answer: Message) -> float:
            told = contacts(answer.providerPeers)
            hints.extend(told)
            return GRACE_S if told else math.inf

        await self._walk(key, "GET_PROVIDERS", heard)
        return {PeerId(hint.peer_id.to_base58()): hint for hint in hints}

    async def _store(self, key: str, ours: Found) -> None:
        """Asks for the record before it stores it: the answers show the newest ``seq``."""
        newest = ours.record

        def heard(_: PeerInfo, answer: Message) -> float:
            nonlocal newest
            newest = max([newest, *(hit.record for hit in self._read(key, answer))], key=_seq_of)
            return math.inf

        near = await self._walk(key.encode(), "GET_VALUE", heard)
        if newer(newest, ours.record):
            raise _stale(newest, ours.record)
        question = _question("PUT_VALUE", key.encode())
        question.record.CopyFrom(Record(key=key.encode(), value=ours.signed.encode()))
        await self._spread(question, near)

    async def _spread(self, question: Message, near: Sequence[PeerInfo]) -> None:
        stored: list[ID] = []

        async def hand_over(contact: PeerInfo) -> None:
            if await self._answer(contact, question) is not None:
                stored.append(contact.peer_id)

        with trio.move_on_after(self._timeout_s / 2):
            async with trio.open_nursery() as nursery:
                for contact in near[:BUCKET_SIZE]:
                    nursery.start_soon(hand_over, contact)
        _LOG.info("stored", extra={"stored": len(stored), "asked": len(near)})

    async def _republish(self) -> None:
        for key in tuple(self._records):
            record = self._records[key]
            try:
                await self._store(key, Found(check(key, record.encode(), now=self._now()), record))
            except ExpiredRecordError:
                del self._records[key]
            except StaleRecordError:
                _LOG.warning("a newer record than ours is about", extra={"key": key})
        for tag in tuple(self._tags):
            await self.announce(tag)

    async def _walk(
        self,
        target: bytes,
        kind: str,
        heard: Callable[[PeerInfo, Message], float] = lambda *_: math.inf,
        *,
        more: Sequence[PeerInfo] = (),
    ) -> list[PeerInfo]:
        """Walks for half the deadline; ``heard`` says how many seconds more, after an answer.

        Returns:
            The peers that answered, nearest first.
        """
        question = _question(kind, target)
        answered: list[PeerInfo] = []
        table = self._kad.routing_table.find_local_closest_peers(target, BUCKET_SIZE)
        # Whoever lost all its peers, or was cut off for a while, begins again where it joined.
        seeds = [known_contact(self._host, peer) for peer in table] or self._bootstrap.values()

        async def ask_one(contact: PeerInfo) -> Message | None:
            return await self._ask(contact, question)

        with trio.move_on_after(self._timeout_s / 2) as deadline:

            def on_answer(contact: PeerInfo, answer: Message) -> None:
                answered.append(contact)
                more_s = heard(contact, answer)
                deadline.deadline = min(deadline.deadline, trio.current_time() + more_s)

            await walk(target, [*more, *seeds], ask_one, local=self._local, heard=on_answer)
        return by_distance(target, answered)

    async def _ask(self, contact: PeerInfo, question: Message) -> Message | None:
        answer = await self._answer(contact, question)
        if answer is None:
            self._kad.routing_table.remove_peer(contact.peer_id)
        else:
            await self._kad.routing_table.add_peer(contact)
        return answer

    async def _answer(self, contact: PeerInfo, question: Message) -> Message | None:
        """None also from a peer outside our network; of those we joined by, it is remembered."""
        self._strangers.pop(contact.peer_id, None)
        try:
            return await self._asker.ask(contact, question, self._ask_s)
        except NetworkKeyError as error:
            if contact.peer_id in self._bootstrap:
                self._strangers[contact.peer_id] = error
            return None

    def _known(self, key: str) -> Found | None:
        """The newest valid record that we hold ourselves."""
        ours = self._records.get(key)
        values = [self._kad.held(key), ours.encode() if ours else b""]
        found = [found for value in values for found in self._believe(key, value)]
        return max(found, key=_seq, default=None)

    def _read(self, key: str, answer: Message) -> list[Found]:
        return self._believe(key, answer.record.value)

    def _believe(self, key: str, value: bytes) -> list[Found]:
        """The record in ``value``, or nothing if it is not to be believed."""
        try:
            return [Found(check(key, value, now=self._now()), SignedRecord.decode(value))]
        except NetworkError:
            return []


def _seq(found: Found) -> int:
    return found.record.seq


def _seq_of(record: NodeRecord) -> int:
    return record.seq


def _stale(known: NodeRecord, ours: NodeRecord) -> StaleRecordError:
    return StaleRecordError(
        f"a record with seq {known.seq} is known, ours has {ours.seq}; sign one with a higher seq"
    )


def _question(kind: str, key: bytes) -> Message:
    return Message(type=kind, key=key)


async def _every(interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        # Peers that started together need not go on in step.
        await trio.sleep(interval_s * random.uniform(0.75, 1.25))  # noqa: S311
        await work()
