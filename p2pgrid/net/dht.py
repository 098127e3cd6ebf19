"""Finding peers with no registry: signed records and tags on libp2p's Kademlia.

A node's ``NodeRecord`` lies under ``records.dht_key`` of its peer id, and it is a *provider* of
the key of each tag that it announces. Everything runs inside trio; every operation has a deadline.

Trust: peers that store records can withhold or delay them, not alter them. Providers are unsigned
hints until ``find`` has fetched and verified the provider's own record. Whoever guesses a tag
sees who announces it.
"""

import logging
import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import trio
from libp2p.abc import IHost
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pgrid.errors import (
    ExpiredRecordError,
    LocalProtocolError,
    NetworkError,
    PeerUnreachableError,
    StaleRecordError,
)
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.addresses import parse_address
from p2pgrid.net.host import is_connected
from p2pgrid.net.kad_asker import Asker
from p2pgrid.net.kad_cache import Found, RecordCache
from p2pgrid.net.kad_client import QUORUM, KadClient
from p2pgrid.net.kad_contacts import contacts, known_contact
from p2pgrid.net.kad_server import KadServer
from p2pgrid.net.kad_store import check
from p2pgrid.protocol.records import NodeRecord, SignedRecord, dht_key, newer, tag_key

REPUBLISH_S = 240.0
REFRESH_S = 120.0
FRESH_S = 30.0
VERIFIED_AT_ONCE = 8
KEY_BYTES = 32
_LOG = logging.getLogger(__name__)


class Dht:
    """One peer's view of the DHT.

    Args:
        host: A host of ``net.host``; running when the first operation is called.
        server: Whether to hold records for others. A client only asks, and enters no table.
        now: Unix seconds.
        timeout_s: Deadline of each operation.
        republish_s: How often ``run`` repeats what was put and announced.
        refresh_s: How often ``run`` looks for new peers and drops dead ones.
        fresh_s: For so long a record that the network gave is not asked for again: a peer that
            moves is looked for at its old place until then.
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
        fresh_s: float = FRESH_S,
    ) -> None:
        self._host, self._now, self._timeout_s = host, now, timeout_s
        self._server, self._republish_s, self._refresh_s = server, republish_s, refresh_s
        self._local: ID = host.get_id()
        self._asker = Asker(host)
        self._kad = KadServer(host, self._asker, serve=server, now=now)
        self._client = KadClient(host, self._asker, self._kad.table, timeout_s=timeout_s)
        self._cache = RecordCache(fresh_s=fresh_s)
        self._records: dict[str, SignedRecord] = {}
        self._tags: set[str] = set()

    @property
    def table(self) -> tuple[PeerId, ...]:
        """The peers that we would ask first; all of them serve p2pgrid's DHT."""
        return tuple(PeerId(peer.to_base58()) for peer in self._kad.table.get_peer_ids())

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
        named = [PeerInfo(ID.from_string(peer), found) for peer, found in by_peer.items()]
        known = {contact.peer_id: contact for contact in named}
        self._client.bootstrap |= known
        answered = await self._client.near(self._local.to_bytes(), more=named)
        if not answered:
            self._client.raise_for_strangers(known)
        return len(known.keys() & {contact.peer_id for contact in answered})

    async def refresh(self) -> None:
        """Looks for peers near us and a few elsewhere, drops the dead, forgets old records."""
        await self._client.near(self._local.to_bytes())
        await self._client.near(secrets.token_bytes(KEY_BYTES), quorum=QUORUM)
        self._kad.store.sweep()

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
        peer = peer_id_of(record.public_key)
        key = dht_key(peer)
        body = check(key, record.encode(), now=self._now())
        if (known := self._known(peer)) is not None and newer(known.record, body):
            raise _stale(known.record, body)
        self._records[key] = record
        if self._server:
            self._kad.store.hold(key, record.encode())
        await self._store(peer, Found(body, record))

    async def get(self, peer: PeerId, *, again: bool = False) -> NodeRecord:
        """The newest verified record of a peer that the network has; see ``get_signed``."""
        return (await self.get_signed(peer, again=again)).record

    async def get_signed(self, peer: PeerId, *, again: bool = False) -> Found:
        """Asks several peers near the record, unless the network gave it ``fresh_s`` ago.

        The newest of what they gave and what is known here counts. All of those asked would have
        to miss, or withhold, a newer record: then an older one that has not expired is returned.

        Args:
            peer: Whose record.
            again: Ask in any case: the peer was not where the last one says.

        Raises:
            PeerUnreachableError: no valid record was found before the deadline.
        """
        known = self._known(peer)
        if known is not None and not again and self._cache.is_fresh(peer, now=self._now()):
            return known
        itself = known_contact(self._host, ID.from_string(peer))
        can_be_asked = itself.addrs or is_connected(self._host, peer)
        heard: list[Found] = []

        def hits(contact: PeerInfo, answer: Message) -> int:
            found = self._read(peer, answer)
            heard.extend(found)
            # Nobody knows a peer's record better than the peer.
            return len(found) * (QUORUM if contact.peer_id == itself.peer_id else 1)

        question = Message(type=Message.GET_VALUE, key=dht_key(peer).encode())
        more = [itself] if can_be_asked else []
        await self._client.search(question, hits, more=more, quorum=QUORUM)
        newest = max([*heard, *([known] if known else [])], key=_seq, default=None)
        if newest is None:
            raise PeerUnreachableError(
                peer=peer, addresses=0, reason="the DHT has no valid record of it"
            )
        if heard:
            self._cache.keep(peer, newest, now=self._now())
        return newest

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
            self._kad.store.providers.add_provider(key, ourselves)
        question = Message(type=Message.ADD_PROVIDER, key=key)
        question.providerPeers.add(
            id=self._local.to_bytes(), addrs=[address.to_bytes() for address in ourselves.addrs]
        )
        await self._client.spread(question, await self._client.near(key))

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
            try:
                found[peer] = await self._fetch(peer, contact)
            except PeerUnreachableError:
                _LOG.debug("a provider without a record", extra={"peer": peer})
            finally:
                turns.release_on_behalf_of(peer)

        with trio.move_on_after(self._timeout_s / 2):
            async with trio.open_nursery() as nursery:
                for peer, contact in hints.items():
                    await turns.acquire_on_behalf_of(peer)  # in this order
                    nursery.start_soon(fetch, peer, contact)
        return tuple(found.items())

    async def _fetch(self, peer: PeerId, contact: PeerInfo) -> NodeRecord:
        """From the provider itself if it answers: one question instead of a walk."""
        if contact.peer_id != self._local:
            question = Message(type=Message.GET_VALUE, key=dht_key(peer).encode())
            answer = await self._client.ask(contact, question)
            if answer is not None and (hit := self._read(peer, answer)):
                self._cache.keep(peer, hit[0], now=self._now())
                return hit[0].record
        return await self.get(peer, again=True)

    async def _providers(self, tag: str) -> dict[PeerId, PeerInfo]:
        """Those first that most peers tell of: one liar's inventions hold up nobody."""
        key = tag_key(tag)
        hints: dict[ID, PeerInfo] = {}
        tellers: Counter[ID] = Counter()

        def take(told: Sequence[PeerInfo]) -> int:
            hints.update((hint.peer_id, hint) for hint in told)
            tellers.update({hint.peer_id for hint in told})
            return len(told)

        take(self._kad.store.providers.get_providers(key))
        question = Message(type=Message.GET_PROVIDERS, key=key)
        await self._client.search(question, lambda _, answer: take(contacts(answer.providerPeers)))
        return {PeerId(peer.to_base58()): hints[peer] for peer, _ in tellers.most_common()}

    async def _store(self, peer: PeerId, ours: Found) -> None:
        """Asks for the record before it stores it: the answers show the newest ``seq``."""
        key = dht_key(peer).encode()
        known = [ours]

        def heard(_: PeerInfo, answer: Message) -> int:
            known.extend(self._read(peer, answer))
            return 0

        near = await self._client.search(Message(type=Message.GET_VALUE, key=key), heard)
        newest = max(known, key=_seq)
        if newer(newest.record, ours.record):
            raise _stale(newest.record, ours.record)
        record = Record(key=key, value=ours.signed.encode())
        question = Message(type=Message.PUT_VALUE, key=key, record=record)
        await self._client.spread(question, near)

    async def _republish(self) -> None:
        for key in tuple(self._records):
            record = self._records[key]
            try:
                body = check(key, record.encode(), now=self._now())
                await self._store(peer_id_of(record.public_key), Found(body, record))
            except ExpiredRecordError:
                del self._records[key]
            except StaleRecordError:
                _LOG.warning("a newer record than ours is about", extra={"key": key})
        for tag in tuple(self._tags):
            await self.announce(tag)

    def _known(self, peer: PeerId) -> Found | None:
        """The newest valid record that we have ourselves."""
        key = dht_key(peer)
        ours, cached = self._records.get(key), self._cache.newest(peer, now=self._now())
        values = [self._kad.store.held(key), ours.encode() if ours else b""]
        found = [found for value in values for found in self._believe(key, value)]
        return max([*found, *([cached] if cached else [])], key=_seq, default=None)

    def _read(self, peer: PeerId, answer: Message) -> list[Found]:
        return self._believe(dht_key(peer), answer.record.value)

    def _believe(self, key: str, value: bytes) -> list[Found]:
        """The record in ``value``, or nothing if it is not to be believed."""
        try:
            return [Found(check(key, value, now=self._now()), SignedRecord.decode(value))]
        except NetworkError:
            return []


def _seq(found: Found) -> int:
    return found.record.seq


def _stale(known: NodeRecord, ours: NodeRecord) -> StaleRecordError:
    return StaleRecordError(
        f"a record with seq {known.seq} is known, ours has {ours.seq}; sign one with a higher seq"
    )


async def _every(interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        # Peers that started together need not go on in step.
        await trio.sleep(interval_s * random.uniform(0.75, 1.25))  # noqa: S311
        await work()
