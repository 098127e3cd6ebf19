"""A peer of the DHT that lies: what it says is dropped, what honest peers say is found in time."""

import secrets
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest
import trio
from libp2p.kad_dht.common import BUCKET_SIZE
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pgrid.errors import PeerUnreachableError
from p2pgrid.ids import PEER_ID_PREFIX, PeerId
from p2pgrid.net.host import MAX_ADDRESSES, hang_up
from p2pgrid.net.kad_contacts import by_distance, known_contact
from p2pgrid.protocol.records import dht_key, tag_key
from tests.libp2p.dht_nodes import Node, dataset_of, forged, network, node, peer_of, record_of, run

pytestmark = pytest.mark.libp2p

HONEST, LIAR, READER = 2, 3, 4
TIMEOUT_S = 4.0
TAG = "mnist"

Answer = Callable[[Message], Message]


LIES: dict[str, Callable[[], bytes]] = {
    "signed by another key": lambda: record_of(LIAR, seq=9).encode(),
    "with another's signature": lambda: forged(record_of(HONEST, seq=9)).encode(),
    "stale": lambda: record_of(HONEST, seq=1).encode(),
    "expired": lambda: record_of(HONEST, seq=9, ttl_s=-1).encode(),
    "good for ever": lambda: record_of(HONEST, seq=9, ttl_s=10**9).encode(),
    "oversized": lambda: record_of(HONEST, seq=9, addresses=("x" * 256,) * 16).encode(),
    "huge": lambda: bytes(900_000),
    "garbage": lambda: b"\xc1 garbage",
    "of a dataset": lambda: dataset_of(HONEST).encode(),
    "nothing": lambda: b"",
}


def lie(liar: Node, answer: Answer) -> None:
    """From now on the node answers all questions like this."""

    def answered(_: ID, question: Message) -> Message:
        return answer(question)

    liar.dht._kad.store.answer = answered  # type: ignore[method-assign, assignment]


def with_record(value: bytes) -> Answer:
    def answer(question: Message) -> Message:
        told = Message(type=question.type, key=question.key)
        told.record.CopyFrom(Record(key=question.key, value=value))
        return told

    return answer


def invented(place: Multiaddr, *, near: bytes = b"", count: int = BUCKET_SIZE) -> list[PeerInfo]:
    """Peers that do not exist, all of them at one place; of many, those nearest to a key."""
    made = [ID(PEER_ID_PREFIX + secrets.token_bytes(32)) for _ in range(20 * count)]
    return by_distance(near, [PeerInfo(peer, [place]) for peer in made])[:count]


def told(peers: Sequence[PeerInfo]) -> list[Message.Peer]:
    return [
        Message.Peer(id=it.peer_id.to_bytes(), addrs=[place.to_bytes() for place in it.addrs])
        for it in peers
    ]


@pytest.fixture
def silent() -> Iterator[Multiaddr]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield Multiaddr(f"/ip4/127.0.0.1/tcp/{server.getsockname()[1]}")


# --- records ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", LIES)
def test_a_lie_about_a_record_hides_no_honest_answer(what: str) -> None:
    async def work() -> None:
        async with network(1, HONEST, LIAR, READER, timeout_s=TIMEOUT_S) as nodes:
            _, honest, liar, reader = nodes
            await honest.dht.put(record_of(HONEST, seq=5))
            lie(liar, with_record(LIES[what]()))
            for _ in range(3):
                assert (await reader.dht.get(honest.peer, again=True)).seq == 5

    run(work)


@pytest.mark.parametrize("what", [what for what in LIES if what != "stale"])
def test_a_lie_alone_is_as_good_as_no_answer(what: str) -> None:
    async def work() -> None:
        async with network(LIAR, READER, timeout_s=TIMEOUT_S) as (liar, reader):
            lie(liar, with_record(LIES[what]()))
            with trio.fail_after(TIMEOUT_S), pytest.raises(PeerUnreachableError):
                await reader.dht.get(peer_of(HONEST))
            assert reader.dht._kad.store.records == {}

    run(work)


def test_a_replayed_record_brings_nobody_back() -> None:
    """Signatures cannot tell that a record was replaced: who saw the newer one remembers it."""

    async def work() -> None:
        async with network(LIAR, HONEST, READER, timeout_s=TIMEOUT_S) as (liar, honest, reader):
            await honest.dht.put(record_of(HONEST, seq=5))
            assert (await reader.dht.get(honest.peer)).seq == 5
            for each in (reader, honest):
                each.dht._kad.store.records.clear()
            lie(liar, with_record(record_of(HONEST, seq=1).encode()))
            assert (await reader.dht.get(honest.peer, again=True)).seq == 5
            assert (await honest.dht.get(honest.peer, again=True)).seq == 5

    run(work)


# --- lookups ---------------------------------------------------------------------------------


def test_invented_peers_around_a_key_hide_nothing(silent: Multiaddr) -> None:
    async def work() -> None:
        async with network(1, HONEST, LIAR, READER, timeout_s=8.0) as nodes:
            _, honest, liar, reader = nodes
            key = dht_key(peer_of(99)).encode()

            def eclipse(question: Message) -> Message:
                crowd = invented(silent, near=question.key)
                return Message(type=question.type, key=question.key, closerPeers=told(crowd))

            lie(liar, eclipse)
            await honest.dht.put(record_of(99, seq=5))
            assert (await reader.dht.get(peer_of(99))).seq == 5
            assert set(reader.dht.table) <= {peer_of(number) for number in (1, HONEST, LIAR)}
            near = await reader.dht._client.near(key)
            assert honest.peer in {contact.peer_id.to_base58() for contact in near}

    run(work)


def test_nearer_and_nearer_peers_without_end_end_at_the_deadline() -> None:
    async def work() -> None:
        async with network(LIAR, READER, timeout_s=1.0) as (liar, reader):
            # At an address of the liar, who cannot prove any of these keys.
            place = liar.contact.addrs[0].decapsulate(Multiaddr(f"/p2p/{liar.peer}"))

            def endless(question: Message) -> Message:
                crowd = invented(place, near=question.key)
                return Message(type=question.type, key=question.key, closerPeers=told(crowd))

            lie(liar, endless)
            began = trio.current_time()
            with pytest.raises(PeerUnreachableError):
                await reader.dht.get(peer_of(99))
            assert trio.current_time() - began < 2.0  # twice the deadline: two cores, shared
            assert reader.dht.table == (liar.peer,)

    run(work)


def test_a_liar_cannot_move_an_honest_peer() -> None:
    """Whoever is met is met where it said itself, whatever others say of it meanwhile."""

    async def work() -> None:
        async with network(HONEST, LIAR, READER, timeout_s=TIMEOUT_S) as (honest, liar, reader):
            places = [Multiaddr(f"/ip4/127.0.0.1/tcp/{port}") for port in range(1, 9)]
            moved = PeerInfo(honest.host.get_id(), places)

            def mislead(question: Message) -> Message:
                return Message(type=question.type, key=question.key, closerPeers=told([moved]))

            lie(liar, mislead)
            reader.dht._kad.table.remove_peer(moved.peer_id)  # so that the liar's word is all
            await reader.dht._client.near(secrets.token_bytes(32))
            found = known_contact(reader.host, honest.host.get_id())
            assert not set(map(str, found.addrs)) & set(map(str, places))
            await hang_up(reader.host, honest.peer)
            await honest.dht.put(record_of(HONEST, seq=5))
            assert (await reader.dht.get(honest.peer)).seq == 5

    run(work)


def test_what_a_peer_says_of_itself_is_bounded() -> None:
    async def work() -> None:
        async with node(LIAR) as liar, node(READER) as reader:
            for number in range(1000):
                liar.host.set_stream_handler(f"/protocol/{number}", None)
            places = [Multiaddr(f"/ip4/127.0.0.1/tcp/{port}") for port in range(1, 500)]
            liar.host._addrs_factory = lambda addresses: [*places, *addresses]
            address = f"{liar.host.get_transport_addrs()[0]}/p2p/{liar.peer}"
            assert await reader.dht.join([address]) == 1
            said = reader.dht._asker.identified(liar.host.get_id())
            assert len(said.protocols) == 2
            assert len(said.addresses) == MAX_ADDRESSES
            assert len(reader.host.get_peerstore().addrs(liar.host.get_id())) <= MAX_ADDRESSES

    run(work)


# --- tags ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [BUCKET_SIZE, 10_000])
def test_invented_providers_hold_up_nobody(count: int, silent: Multiaddr) -> None:
    async def work() -> None:
        async with network(1, HONEST, LIAR, READER, timeout_s=TIMEOUT_S) as nodes:
            _, honest, liar, reader = nodes
            await honest.dht.put(record_of(HONEST, seq=5))
            await honest.dht.announce(TAG)
            crowd = told(invented(silent, count=BUCKET_SIZE)) * (count // BUCKET_SIZE)

            def crowded(question: Message) -> Message:
                return Message(type=question.type, key=question.key, providerPeers=crowd)

            lie(liar, crowded)
            # Of such a crowd some may be known here, too; each peer announces only itself.
            for one in invented(silent):
                reader.dht._kad.store.providers.add_provider(tag_key(TAG), one)
            assert len(await reader.dht.providers(TAG)) <= 1 + 2 * BUCKET_SIZE
            began = trio.current_time()
            assert [peer for peer, _ in await reader.dht.find(TAG)] == [honest.peer]
            assert trio.current_time() - began < 2 * TIMEOUT_S

    run(work)


def test_a_provider_that_moved_is_found_at_its_new_place() -> None:
    """The record that the reader remembers is outdated: it asks again, past its cache."""

    async def work() -> None:
        async with network(1, READER, timeout_s=TIMEOUT_S) as (first, reader):
            async with node(HONEST) as honest:
                await honest.dht.join(first.addresses)
                await honest.dht.put(record_of(HONEST, seq=1))
                await honest.dht.announce(TAG)
                assert [record.seq for _, record in await reader.dht.find(TAG)] == [1]
            first.dht._kad.store.hold(dht_key(honest.peer), record_of(HONEST, seq=2).encode())
            assert [record.seq for _, record in await reader.dht.find(TAG)] == [2]

    run(work)


def test_a_liar_is_not_asked_for_the_record_of_another() -> None:
    """A provider that shows another's record is no provider."""

    async def work() -> None:
        async with network(1, HONEST, LIAR, READER, timeout_s=TIMEOUT_S) as nodes:
            first, honest, liar, reader = nodes
            await honest.dht.put(record_of(HONEST))
            await liar.dht.announce(TAG)
            lie(liar, with_record(record_of(HONEST).encode()))
            assert first.dht._kad.store.held(dht_key(PeerId(liar.peer))) == b""
            assert await reader.dht.find(TAG) == ()

    run(work)
