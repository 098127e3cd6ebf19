"""What a server of the DHT takes from strangers, and what it refuses."""

import pytest
from libp2p.kad_dht.pb.kademlia_pb2 import Message, Record
from libp2p.kad_dht.routing_table import RoutingTable
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from p2pgrid.ids import PEER_ID_PREFIX, peer_id_of
from p2pgrid.net import kad_store
from p2pgrid.net.host import build_host
from p2pgrid.net.kad_store import LEFT_PER_WINDOW, MAX_KEY_BYTES, WINDOW_S, KadStore
from p2pgrid.protocol.records import NodeRecord, SignedRecord, dht_key, sign

PLACE = Multiaddr("/ip4/127.0.0.1/tcp/4001")
ASKER, OTHER = (ID(PEER_ID_PREFIX + bytes([number]) * 32) for number in (1, 2))


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def store(clock: list[float]) -> KadStore:
    host = build_host(bytes(32), ())
    return KadStore(host, RoutingTable(host.get_id(), host), now=lambda: clock[0])


def announcement(*peers: ID, key: bytes = b"tag") -> Message:
    question = Message(type=Message.ADD_PROVIDER, key=key)
    for peer in peers:
        question.providerPeers.add(id=peer.to_bytes(), addrs=[PLACE.to_bytes()])
    return question


def test_nobody_announces_for_others(store: KadStore) -> None:
    assert store.answer(ASKER, announcement(OTHER, ASKER)) is not None
    answer = store.answer(OTHER, Message(type=Message.GET_PROVIDERS, key=b"tag"))
    assert answer is not None
    assert [peer.id for peer in answer.providerPeers] == [ASKER.to_bytes()]


def test_a_peer_announces_so_many_tags_at_once(store: KadStore, clock: list[float]) -> None:
    tags = [str(number).encode() for number in range(LEFT_PER_WINDOW + 1)]
    taken = [store.answer(ASKER, announcement(ASKER, key=tag)) is not None for tag in tags]
    assert taken == [True] * LEFT_PER_WINDOW + [False]
    assert store.answer(OTHER, announcement(OTHER)) is not None
    clock[0] += WINDOW_S
    assert store.answer(ASKER, announcement(ASKER, key=tags[-1])) is not None


def placement(number: int, *, seq: int = 1) -> Message:
    """A question that stores a valid record of a peer of this number."""
    body = NodeRecord("domain", "clinic", (), seq=seq, expires=2000)
    record = sign(body, signing_key=number.to_bytes(32, "big"))
    key = dht_key(peer_id_of(record.public_key)).encode()
    return Message(type=Message.PUT_VALUE, key=key, record=Record(key=key, value=record.encode()))


def test_records_are_bounded_and_the_one_that_was_stored_longest_ago_goes(
    store: KadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys cost nothing: whoever likes may sign a million valid records."""
    monkeypatch.setattr(kad_store, "MAX_RECORDS", 3)
    placements = [placement(number) for number in range(5)]
    for question in (*placements[:3], placements[0], *placements[3:]):
        assert store.answer(ASKER, question) is not None
    held = [bool(store.held(question.key.decode())) for question in placements]
    assert held == [True, False, False, True, True]


def test_a_peer_stores_so_many_records_at_once(store: KadStore, clock: list[float]) -> None:
    question = placement(1)
    for _ in range(LEFT_PER_WINDOW):
        assert store.answer(ASKER, question) is not None
    assert store.answer(ASKER, placement(2)) is None
    assert store.answer(OTHER, placement(2)) is not None
    clock[0] += WINDOW_S
    assert store.answer(ASKER, placement(3)) is not None


def test_a_replayed_record_replaces_no_newer_one(store: KadStore) -> None:
    assert store.answer(ASKER, placement(1, seq=2)) is not None
    assert store.answer(OTHER, placement(1, seq=1)) is None
    answer = store.answer(OTHER, Message(type=Message.GET_VALUE, key=placement(1).key))
    assert answer is not None
    assert SignedRecord.decode(answer.record.value).body().seq == 2


@pytest.mark.parametrize(
    "question",
    [
        Message(type=Message.GET_VALUE, key=bytes(MAX_KEY_BYTES + 1)),
        Message(type=Message.PUT_VALUE, key=b"\xff"),
        Message(type=Message.PUT_VALUE, key=b"key"),
        Message(type=Message.ADD_PROVIDER),
        Message.FromString(b"\x08\x63"),
    ],
)
def test_what_makes_no_sense_is_refused(store: KadStore, question: Message) -> None:
    assert store.answer(ASKER, question) is None
