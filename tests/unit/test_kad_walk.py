"""A whole lookup over simulated peers, on a virtual clock: what the dead and the frozen cost."""

import functools
import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass, field

import trio
from libp2p.kad_dht.common import BUCKET_SIZE
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr
from trio.testing import MockClock

from p2pgrid.ids import PEER_ID_PREFIX
from p2pgrid.net.kad_contacts import by_distance
from p2pgrid.net.kad_lookup import SLOW_S, Lookup
from p2pgrid.net.kademlia import walk

KEY = b"/p2pgrid/key"
PLACE = Multiaddr("/ip4/127.0.0.1/tcp/4001")
ANSWER_S = 0.02
TIMEOUT_S = 2.5
QUORUM = 3


PEERS = [
    PeerInfo(ID(PEER_ID_PREFIX + hashlib.sha256(bytes([number])).digest()), [PLACE])
    for number in range(120)
]
NEAR = by_distance(KEY, PEERS)


@functools.cache
def known(peer: ID) -> list[PeerInfo]:
    """Whom a peer would name: as buckets do, some of everywhere, and those nearest to itself."""
    like_it = by_distance(peer.to_bytes(), PEERS)
    return by_distance(KEY, like_it[:15] + like_it[15::7])[:BUCKET_SIZE]


@dataclass
class World:
    """Peers of which each knows 30 others; the nearest to the key hold the record."""

    dead: Collection[ID] = ()
    frozen: Collection[ID] = ()
    asked: list[ID] = field(default_factory=list)
    hits: int = 0

    holders: Collection[ID] = frozenset(contact.peer_id for contact in NEAR[:BUCKET_SIZE])

    async def ask(self, contact: PeerInfo) -> Message | None:
        peer = contact.peer_id
        self.asked.append(peer)
        if peer in self.dead:
            return None
        await trio.sleep(TIMEOUT_S if peer in self.frozen else ANSWER_S)
        if peer in self.frozen:
            return None
        answer = Message(type=Message.GET_VALUE)
        for near in known(peer):
            answer.closerPeers.add(id=near.peer_id.to_bytes(), addrs=[PLACE.to_bytes()])
        return answer

    def heard(self, contact: PeerInfo, _: Message) -> int:
        self.hits += contact.peer_id in self.holders
        return contact.peer_id in self.holders

    def search(self, *, suspects: Collection[ID] = (), quorum: int | None = QUORUM) -> float:
        """How many seconds it takes."""
        everybody = math.inf if quorum is None else quorum
        lookup = Lookup(
            KEY,
            local=ID(b"we"),
            choose=lambda count: count // 2,
            suspects=suspects,
            width=10 if quorum is None else quorum,
            enough=everybody,
        )
        lookup.add(NEAR[-20:])

        async def timed() -> float:
            began = trio.current_time()
            await walk(lookup, self.ask, self.heard)
            return trio.current_time() - began

        return trio.run(timed, clock=MockClock(autojump_threshold=0))


def test_a_record_is_found_with_few_questions() -> None:
    world = World()
    took_s = world.search()
    assert world.hits >= QUORUM
    assert len(world.asked) < BUCKET_SIZE
    assert took_s < 10 * ANSWER_S


def test_everybody_near_is_asked_when_no_number_is_enough() -> None:
    world = World()
    world.search(quorum=None)
    assert set(world.holders) <= set(world.asked)


def test_dead_peers_cost_next_to_nothing() -> None:
    world = World(dead={contact.peer_id for contact in NEAR[:BUCKET_SIZE:3]})
    assert world.search() < 15 * ANSWER_S
    assert world.hits >= QUORUM


def test_frozen_peers_cost_less_than_their_timeout() -> None:
    world = World(frozen={contact.peer_id for contact in NEAR[:BUCKET_SIZE:2]})
    assert world.search() < 5 * SLOW_S + 15 * ANSWER_S < TIMEOUT_S
    assert world.hits >= QUORUM


def test_suspects_cost_nothing_the_second_time() -> None:
    frozen = {contact.peer_id for contact in NEAR[:BUCKET_SIZE:2]}
    world = World(frozen=frozen)
    assert world.search(suspects=frozen) < 10 * ANSWER_S
    assert world.hits >= QUORUM
    assert not frozen & set(world.asked)


def test_a_search_for_nothing_ends_when_all_near_have_answered() -> None:
    world = World(holders=())
    took_s = world.search()
    assert world.hits == 0
    assert {contact.peer_id for contact in NEAR[:BUCKET_SIZE]} <= set(world.asked)
    assert took_s < 40 * ANSWER_S


def test_suspects_are_asked_when_nobody_else_is_left() -> None:
    world = World()
    world.search(suspects={contact.peer_id for contact in PEERS})
    assert world.hits >= QUORUM
