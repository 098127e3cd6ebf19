"""Peers that dial each other at once share one link."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import trio
from typing_extensions import override

from p2pgrid.errors import PeerUnreachableError, TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Inbound, Link
from p2pgrid.net.memory import MemoryHub, MemoryTransport
from p2pgrid.net.memory_discovery import MemoryDiscovery
from p2pgrid.net.peer import Peer
from p2pgrid.net.portal import Portal
from p2pgrid.net.transport import Discovery, FrameStream, Transport
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.queries import Query
from tests.contract.peers import WAIT_S, Grid, ask, echo, link
from tests.contract.worlds import peer_of


class HeldTransport(MemoryTransport):
    """Dials when the test lets it, and returns the stream when the test lets it."""

    def __init__(self, hub: MemoryHub, peer_id: PeerId) -> None:
        super().__init__(hub, peer_id)
        self.dialling, self.dialled = threading.Event(), threading.Event()
        self.may_dial, self.may_return = trio.Event(), trio.Event()
        self.dials = 0
        self.is_refused = False

    @override
    async def dial(
        self, peer: PeerId, addresses: Sequence[str], *, timeout_s: float
    ) -> FrameStream:
        self.dials += 1
        self.dialling.set()
        await self.may_dial.wait()
        if self.is_refused:
            raise PeerUnreachableError(peer=peer, addresses=1, reason="refused")
        stream = await super().dial(peer, addresses, timeout_s=timeout_s)
        self.dialled.set()
        await self.may_return.wait()
        return stream


class HeldPeer(Peer):
    """A peer on a ``HeldTransport``; ``asked_over`` has the links on which it was asked."""

    def __init__(self, hub: MemoryHub, number: int, portal: Portal) -> None:
        self.asked_over: list[Link] = []

        def make_transport() -> tuple[Transport, Discovery]:
            self.held = HeldTransport(hub, peer_of(number))
            return self.held, MemoryDiscovery(hub, peer_of(number))

        super().__init__(make_transport, on_request=self.answer, portal=portal)

    def answer(self, inbound: Inbound) -> None:
        self.asked_over.append(inbound.link)
        echo(inbound)


@pytest.fixture
def held_pair() -> Iterator[list[HeldPeer]]:
    portal, hub = Portal(), MemoryHub()
    pair = [HeldPeer(hub, number, portal) for number in (1, 2)]
    for peer in pair:
        peer.start()
    yield pair
    for peer in pair:
        peer.stop()
    portal.stop()


@pytest.mark.parametrize("first", [0, 1, None])
def test_crossed_dials_end_in_one_link_whoever_is_first(
    held_pair: list[HeldPeer], threads: ThreadPoolExecutor, first: int | None
) -> None:
    one, two = held_pair
    dials = [threads.submit(link, one, two), threads.submit(link, two, one)]
    for peer in held_pair:
        assert peer.held.dialling.wait(WAIT_S)
    for peer in held_pair:
        peer.soon(peer.held.may_dial.set)
    for peer in held_pair:
        assert peer.held.dialled.wait(WAIT_S)
    for index in (0, 1) if first is None else (first, 1 - first):
        held_pair[index].soon(held_pair[index].held.may_return.set)
        if first is not None:
            dials[index].result(WAIT_S)
    wait(dials, WAIT_S)
    expect_one_link(one, two, asked_over=(one.asked_over, two.asked_over))
    assert {dial.result(0) for dial in dials} == {link(one, two), link(two, one)}
    assert [peer.held.dials for peer in held_pair] == [1, 1]


def test_a_dial_that_is_refused_for_a_link_of_the_other_side_gives_that_link(
    held_pair: list[HeldPeer], threads: ThreadPoolExecutor
) -> None:
    one, two = held_pair
    one.held.is_refused = True
    dial = threads.submit(link, one, two)
    assert one.held.dialling.wait(WAIT_S)
    two.soon(two.held.may_dial.set)
    two.soon(two.held.may_return.set)
    ask(two, one)
    one.soon(one.held.may_dial.set)
    assert dial.result(WAIT_S) is one.asked_over[0]


def test_a_dial_that_succeeds_after_the_stop_makes_no_link(
    held_pair: list[HeldPeer], threads: ThreadPoolExecutor
) -> None:
    one, two = held_pair
    dial = threads.submit(link, one, two)
    one.soon(one.held.may_dial.set)
    assert one.held.dialled.wait(WAIT_S)
    one.stop()
    two.soon(one.held.may_return.set)
    assert isinstance(dial.exception(WAIT_S), TransportError)


@pytest.mark.libp2p
def test_peers_that_dial_each_other_at_once_share_one_link(
    libp2p: Grid, threads: ThreadPoolExecutor
) -> None:
    asked_over: tuple[list[Link], list[Link]] = ([], [])

    def note(side: int) -> Callable[[Inbound], None]:
        def answer(inbound: Inbound) -> None:
            asked_over[side].append(inbound.link)
            echo(inbound)

        return answer

    one, two = (libp2p.peer(side + 1, on_request=note(side)) for side in (0, 1))
    together = threading.Barrier(2)

    def dial(near: Peer, far: Peer) -> Link:
        together.wait(WAIT_S)
        return link(near, far)

    for _ in range(10):
        dials = [threads.submit(dial, one, two), threads.submit(dial, two, one)]
        for future in dials:
            future.result(WAIT_S)
        for near, far in ((one, two), (two, one)):  # may cross the choice of the link
            error = link(near, far).request(Search(Query(exact_tags=("early",)))).exception(WAIT_S)
            assert error is None or isinstance(error, TransportError)
        expect_one_link(one, two, asked_over=asked_over)
        ended = link(one, two)
        ended.close_soon("the next round")
        while libp2p.over.get(timeout=WAIT_S) is not ended:
            pass


def expect_one_link(one: Peer, two: Peer, *, asked_over: Sequence[list[Link]]) -> None:
    """Requests of both go over the same link."""
    for links in asked_over:
        links.clear()
    for near, far in ((one, two), (two, one)):
        ask(near, far)
    assert asked_over[0] == [link(one, two)]
    assert asked_over[1] == [link(two, one)]
