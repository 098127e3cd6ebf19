"""The four rules of a lookup, whatever peers answer and in whatever order."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from libp2p.kad_dht.common import BUCKET_SIZE
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pgrid.net.kad_contacts import distance, position
from p2pgrid.net.kad_lookup import ASIDE, SLOW_S, Lookup

TARGET = b"/p2pgrid/key"
PLACE = Multiaddr("/ip4/127.0.0.1/tcp/4001")
PEERS = [ID(bytes([0, number])) for number in range(60)]
LOCAL = PEERS[0]
FAR = {peer: distance(position(TARGET), peer) for peer in PEERS}


def contact(peer: ID) -> PeerInfo:
    return PeerInfo(peer, [PLACE])


def nearest(peers: Iterable[ID]) -> list[ID]:
    return sorted(peers, key=FAR.__getitem__)


def lookup(**settings: object) -> Lookup:
    made = Lookup(TARGET, **{"local": LOCAL, "choose": lambda _: 0, **settings})
    made.add(map(contact, PEERS))
    return made


class LookupMachine(RuleBasedStateMachine):
    """A peer answers, fails, or says nothing while time goes by."""

    @initialize(
        width=st.integers(1, 5),
        enough=st.sampled_from([1, 3, math.inf]),
        suspects=st.sets(st.sampled_from(PEERS)),
        connected=st.sets(st.sampled_from(PEERS)),
        place=st.integers(0, 1000),
    )
    def begin(
        self, width: int, enough: float, suspects: set[ID], connected: set[ID], place: int
    ) -> None:
        self.now, self.width, self.enough = 0.0, width, enough
        self.suspects = suspects
        self.known: set[ID] = set()
        self.asked: list[ID] = []
        self.failed: set[ID] = set()
        self.waiting: dict[ID, float] = {}
        self.hits = 0
        self.lookup = Lookup(
            TARGET,
            local=LOCAL,
            choose=lambda count: place % count,
            suspects=suspects,
            connected=connected,
            width=width,
            enough=enough,
        )

    @rule(peers=st.lists(st.sampled_from(PEERS), max_size=30))
    def told(self, peers: list[ID]) -> None:
        self.lookup.add(map(contact, peers))
        self.known.update(peers)

    @rule()
    def ask(self) -> None:
        taken = [it.peer_id for it in self.lookup.take(now=self.now)]
        for peer in taken:
            near = self._near()
            assert peer in near
            trusted = [it for it in near if it not in self.suspects and it not in self.asked]
            assert peer not in self.suspects or not trusted
            self.asked.append(peer)
            self.waiting[peer] = self.now
        assert len(set(self.asked)) == len(self.asked)
        assert LOCAL not in self.asked

    @rule(choice=st.integers(0, 100), hits=st.sampled_from([None, 0, 0, 1]))
    def hear(self, choice: int, hits: int | None) -> None:
        if not self.waiting:
            return
        peer = sorted(self.waiting, key=ID.to_bytes)[choice % len(self.waiting)]
        del self.waiting[peer]
        if hits is None:
            self.lookup.failed(peer)
            self.failed.add(peer)
        else:
            self.lookup.answered(peer, hits=hits)
            self.hits += hits

    @rule(seconds=st.sampled_from([SLOW_S / 3, SLOW_S]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_more_than_width_are_in_flight_and_not_slow(self) -> None:
        quick = [peer for peer, at in self.waiting.items() if at + SLOW_S > self.now]
        assert len(quick) <= self.width
        assert set(self.lookup.laggards(now=self.now)) == self.waiting.keys() - set(quick)
        turns = [self.waiting[peer] + SLOW_S for peer in quick]
        assert self.lookup.wake_at(now=self.now) == min(turns, default=math.inf)

    @invariant()
    def it_is_over_with_enough_hits_or_when_all_near_have_answered(self) -> None:
        unasked = set(self._near()) - set(self.asked)
        assert self.lookup.over == (self.hits >= self.enough or not (self.waiting or unasked))

    def _near(self) -> list[ID]:
        alive = nearest(self.known - self.failed - {LOCAL})
        return sorted(alive, key=lambda peer: peer in self.suspects)[:BUCKET_SIZE]


TestLookup = LookupMachine.TestCase


def test_the_nearest_are_asked_first() -> None:
    taken = [it.peer_id for it in lookup(width=5).take(now=0.0)]
    assert taken == nearest(PEERS[1:])[:5]


def test_of_the_near_the_connected_are_asked_first() -> None:
    near = nearest(PEERS[1:])
    connected = {near[7], near[12], near[BUCKET_SIZE + 3]}
    taken = [it.peer_id for it in lookup(width=3, connected=connected).take(now=0.0)]
    assert taken == [near[7], near[12], near[0]]


def test_one_question_in_three_goes_to_anybody_near() -> None:
    taken = [it.peer_id for it in lookup(width=6, choose=lambda count: count - 1).take(now=0.0)]
    near = nearest(PEERS[1:])[:BUCKET_SIZE]
    aside = [index for index, peer in enumerate(taken, 1) if peer in near[-2:]]
    assert aside == [ASIDE, 2 * ASIDE]


@pytest.mark.parametrize("wait_s", [0.0, SLOW_S / 2])
def test_a_slow_question_holds_up_nobody(wait_s: float) -> None:
    search = lookup(width=2)
    first = search.take(now=0.0)
    assert search.take(now=wait_s) == []
    assert len(search.take(now=SLOW_S)) == 2
    assert search.laggards(now=SLOW_S) == [it.peer_id for it in first]


def test_who_fails_makes_room_for_the_next() -> None:
    search = lookup(width=BUCKET_SIZE)
    for contact_ in search.take(now=0.0):
        search.failed(contact_.peer_id)
    taken = [it.peer_id for it in search.take(now=0.0)]
    assert taken == nearest(PEERS[1:])[BUCKET_SIZE : 2 * BUCKET_SIZE]


def test_suspects_are_asked_last() -> None:
    near = nearest(PEERS[1:21])
    search = Lookup(
        TARGET,
        local=LOCAL,
        choose=lambda count: count - 1,
        suspects=near[:2],
        connected=near[:2],
        width=BUCKET_SIZE,
    )
    search.add(map(contact, near))
    taken = [it.peer_id for it in search.take(now=0.0)]
    assert set(taken[-2:]) == set(near[:2])
