"""Laws of ``Peer``: blocking calls from any thread, one link per pair, and an end that is one."""

import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from typing import Any

import psutil
import pytest
import trio
from typing_extensions import override

from p2pgrid.config import DEFAULT_TIMING, Timing
from p2pgrid.errors import (
    AddressError,
    InternalError,
    LocalProtocolError,
    P2PGridError,
    PeerUnreachableError,
    PortInUseError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Inbound, Link, Reply
from p2pgrid.net.memory import MemoryHub, MemoryTransport
from p2pgrid.net.memory_discovery import MemoryDiscovery
from p2pgrid.net.peer import Peer, libp2p_peer
from p2pgrid.net.portal import Portal
from p2pgrid.net.transport import Discovery, FrameStream, Transport
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.records import NodeRecord, sign
from p2pgrid.testing.network import MemoryNetwork
from tests.contract.worlds import LISTEN, peer_of, seed_of

WAIT_S = 30.0


def echo(inbound: Inbound) -> None:
    inbound.answer(inbound.message, inbound.buffers)


def ignore(_: Inbound) -> None:
    """Never answers."""


class Grid:
    """Makes peers, and stops at the end what still runs."""

    def __init__(self, make_peer: Callable[..., Peer]) -> None:
        self._make_peer = make_peer
        self._peers: list[Peer] = []
        self.over: queue.Queue[Link] = queue.Queue()

    def unstarted(self, number: int, **settings: Any) -> Peer:
        settings = {
            "listen": LISTEN, "on_request": echo, "on_over": self.over.put, **settings
        }  # fmt: skip
        peer = self._make_peer(seed_of(number), **settings)
        self._peers.append(peer)
        return peer

    def peer(self, number: int, **settings: Any) -> Peer:
        peer = self.unstarted(number, **settings)
        peer.start()
        return peer

    def stop(self) -> None:
        for peer in self._peers:
            peer.stop()


@pytest.fixture
def memory() -> Iterator[MemoryNetwork]:
    network = MemoryNetwork()
    yield network
    network.close()


@pytest.fixture
def libp2p() -> Iterator[Grid]:
    grid = Grid(libp2p_peer)
    yield grid
    grid.stop()


@pytest.fixture(params=["memory", pytest.param("libp2p", marks=pytest.mark.libp2p)])
def grid(request: pytest.FixtureRequest) -> Iterator[Grid]:
    if request.param == "libp2p":
        yield request.getfixturevalue("libp2p")
        return
    grid = Grid(request.getfixturevalue("memory").peer)
    yield grid
    grid.stop()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def link(near: Peer, far: Peer) -> Link:
    return near.link_to(far.peer_id, far.addresses)


def ask(near: Peer, far: Peer, text: str = "hello") -> Reply:
    return link(near, far).request(Search(tags=(text,))).result(WAIT_S)


def test_a_peer_asks_another_and_is_answered(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2)
    assert ask(one, two).message == Search(tags=("hello",))
    assert ask(two, one).message == Search(tags=("hello",))
    assert (one.peer_id, two.peer_id) == (peer_of(1), peer_of(2))


def test_one_link_serves_both_and_is_kept(grid: Grid) -> None:
    asked_over: list[Link] = []

    def note(inbound: Inbound) -> None:
        asked_over.append(inbound.link)
        echo(inbound)

    one, two = grid.peer(1), grid.peer(2, on_request=note)
    for _ in range(3):
        ask(one, two)
    assert set(asked_over) == {link(two, one)}
    assert link(one, two) is link(one, two)


def test_a_handler_that_raises_is_told_as_a_reference_and_ends_nothing(
    grid: Grid, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Inbound) -> None:
        raise RuntimeError("a mistake of the layer above")

    one, two = grid.peer(1), grid.peer(2, on_request=fail)
    with pytest.raises(InternalError) as told:
        ask(one, two)
    assert told.value.reference in {it.__dict__.get("reference") for it in caplog.records}
    assert "mistake of the layer" not in str(told.value)
    assert link(one, two).is_open
    ask(two, one)


def test_a_link_that_broke_is_made_again(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2)
    for near, far in ((one, two), (two, one), (one, two)):
        ask(near, far)
        broken = link(near, far)
        broken.close_soon("for the test")
        assert {grid.over.get(timeout=WAIT_S).peer for _ in "12"} == {one.peer_id, two.peer_id}
        assert link(near, far) is not broken
        ask(near, far)
    assert grid.over.empty()


def test_a_peer_that_came_back_is_linked_again(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2)
    ask(one, two)
    two.stop()
    grid.over.get(timeout=WAIT_S)
    grid.over.get(timeout=WAIT_S)
    with pytest.raises(PeerUnreachableError):
        link(one, two)
    ask(one, grid.peer(2))


def test_nobody_can_dial_himself(grid: Grid) -> None:
    one = grid.peer(1)
    with pytest.raises(LocalProtocolError):
        link(one, one)


def test_many_threads_share_one_link(grid: Grid, threads: ThreadPoolExecutor) -> None:
    asked_over: set[Link] = set()
    handled: list[str] = []

    def note(inbound: Inbound) -> None:
        asked_over.add(inbound.link)
        assert isinstance(inbound.message, Search)
        handled.append(inbound.message.tags[0])
        echo(inbound)

    one, two = grid.peer(1), grid.peer(2, on_request=note)
    together = threading.Barrier(8)

    def work(number: int) -> list[Reply]:
        together.wait(WAIT_S)
        return [ask(one, two, f"{number} {turn}") for turn in range(20)]

    for number, replies in enumerate(threads.map(work, range(8))):
        expected = [Search(tags=(f"{number} {turn}",)) for turn in range(20)]
        assert [reply.message for reply in replies] == expected
    assert len(handled) == len(set(handled)) == 160
    assert len(asked_over) == 1


def test_answers_may_come_from_any_thread(grid: Grid, threads: ThreadPoolExecutor) -> None:
    one = grid.peer(1)
    two = grid.peer(2, on_request=lambda inbound: threads.submit(echo, inbound))
    futures = [link(one, two).request(Search(tags=(str(n),))) for n in range(50)]
    assert [future.result(WAIT_S).message for future in futures] == [
        Search(tags=(str(n),)) for n in range(50)
    ]


# Both dial at once


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
            error = link(near, far).request(Search(tags=("early",))).exception(WAIT_S)
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


# Start and stop


def live_threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def open_sockets() -> set[Any]:
    return set(psutil.Process().net_connections())


@pytest.mark.libp2p
def test_a_stop_leaves_no_thread_and_no_socket() -> None:
    threads_before, sockets_before = live_threads(), open_sockets()
    grid = Grid(libp2p_peer)
    peers = [grid.peer(number) for number in (1, 2, 3)]
    for near in peers:
        for far in peers:
            if near is not far:
                ask(near, far)
    assert live_threads() > threads_before
    assert open_sockets() > sockets_before
    grid.stop()
    assert live_threads() == threads_before
    assert open_sockets() == sockets_before


def test_a_stop_ends_all_requests_and_links(grid: Grid) -> None:
    one, two = grid.peer(1), grid.peer(2, on_request=ignore)
    links = [link(one, two), link(two, one)]
    futures = [links[0].request(Search(tags=(str(n),))) for n in range(10)]
    one.stop()
    for future in futures:
        assert isinstance(future.exception(WAIT_S), TransportError)
    assert {grid.over.get(timeout=WAIT_S) for _ in links} == set(links)
    assert not any(each.is_open for each in links)
    with pytest.raises(TransportError):
        links[0].request(Search(tags=()))
    links[0].close_soon("again")


def test_the_end_of_a_shared_thread_ends_its_peers(memory: MemoryNetwork) -> None:
    peers = [memory.peer(seed_of(number), on_request=ignore) for number in (1, 2)]
    for peer in peers:
        peer.start()
    pending = link(peers[0], peers[1]).request(Search(tags=()))
    memory.close()
    assert isinstance(pending.exception(WAIT_S), TransportError)
    for peer in peers:
        peer.stop()


RECORD = sign(
    NodeRecord(seq=1, expires=2**40, kind="domain", name="clinic", addresses=()),
    signing_key=seed_of(1),
)
CALLS: dict[str, Callable[[Peer], object]] = {
    "link_to": lambda peer: peer.link_to(peer_of(2), (f"/ip4/127.0.0.1/tcp/1/p2p/{peer_of(2)}",)),
    "join": lambda peer: peer.join(()),
    "put": lambda peer: peer.put(RECORD),
    "get": lambda peer: peer.get(peer_of(2)),
    "announce": lambda peer: peer.announce("tag"),
    "find": lambda peer: peer.find("tag"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_without_a_running_peer_is_an_error_at_once(
    memory: MemoryNetwork, call: Callable[[Peer], object]
) -> None:
    own_thread = libp2p_peer(seed_of(1), listen=(), on_request=echo)
    shared_thread = memory.peer(seed_of(1), on_request=echo)
    for peer in (own_thread, shared_thread):
        with pytest.raises(LocalProtocolError):
            call(peer)
        peer.start()
        peer.stop()
        with pytest.raises(LocalProtocolError):
            call(peer)
        peer.stop()
    memory.close()
    with pytest.raises(LocalProtocolError):
        call(shared_thread)
    shared_thread.stop()


@pytest.mark.libp2p
def test_a_stop_ends_a_dial_that_waits(libp2p: Grid, threads: ThreadPoolExecutor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        peer = libp2p.peer(1, timing=Timing(dial_s=1000))
        place = f"/ip4/127.0.0.1/tcp/{silent.getsockname()[1]}"
        dial = threads.submit(peer.link_to, peer_of(2), (place,))
        with closing(silent.accept()[0]):
            peer.stop()
        assert isinstance(dial.exception(WAIT_S), TransportError)


def test_calls_while_the_peer_stops_end(grid: Grid, threads: ThreadPoolExecutor) -> None:
    for _ in range(5):
        one, two = grid.peer(1), grid.peer(2)
        started = threading.Barrier(7)

        def work(one: Peer = one, two: Peer = two, started: threading.Barrier = started) -> None:
            started.wait(WAIT_S)
            while True:
                ask(one, two)
                one.join(two.addresses)

        futures: list[Future[None]] = [threads.submit(work) for _ in range(6)]
        started.wait(WAIT_S)
        one.stop()
        for future in futures:
            assert isinstance(future.exception(WAIT_S), P2PGridError)
        two.stop()


def test_a_dial_that_gets_no_end_is_given_up(
    memory: MemoryNetwork, threads: ThreadPoolExecutor
) -> None:
    memory.hub.frozen.add(peer_of(2))
    peer = memory.peer(seed_of(1), on_request=echo, timing=Timing(dial_s=0.2))
    peer.start()
    dials = [threads.submit(peer.link_to, peer_of(2), ()) for _ in range(4)]
    for dial in dials:
        assert isinstance(dial.exception(WAIT_S), TransportError)
    peer.stop()


@pytest.mark.libp2p
def test_a_port_in_use_is_named_and_nothing_is_left_running() -> None:
    threads_before, sockets_before = live_threads(), open_sockets()
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        listen = (f"/ip4/127.0.0.1/tcp/{port}",)
        peer = libp2p_peer(seed_of(1), listen=listen, on_request=echo)
        with pytest.raises(PortInUseError, match=str(port)):
            peer.start()
    assert live_threads() == threads_before
    assert open_sockets() == sockets_before
    with pytest.raises(LocalProtocolError):
        peer.find("tag")
    peer.stop()
    again = libp2p_peer(seed_of(1), listen=listen, on_request=echo)
    again.start()
    again.stop()


@pytest.mark.libp2p
def test_two_peers_cannot_share_a_port(libp2p: Grid) -> None:
    place = libp2p.peer(1).addresses[0].split("/p2p/")[0]
    with pytest.raises(PortInUseError):
        libp2p.peer(2, listen=(place,))


@pytest.mark.libp2p
def test_an_address_that_cannot_be_read_is_named_and_nothing_is_left_running() -> None:
    before = live_threads()
    with pytest.raises(AddressError, match="nowhere"):
        libp2p_peer(seed_of(1), listen=("nowhere",), on_request=echo).start()
    assert live_threads() == before


def test_a_call_that_takes_too_long_is_cancelled() -> None:
    portal = Portal()
    cancelled = threading.Event()

    async def for_ever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        portal.call(for_ever, timeout_s=0.05)
    assert cancelled.wait(WAIT_S)
    portal.stop()


def test_whatever_is_started_while_the_thread_stops_ends() -> None:
    async def nothing() -> int:
        await trio.lowlevel.checkpoint()
        return 1

    for _ in range(20):
        portal = Portal()
        futures: list[Future[int]] = []
        stopper = threading.Thread(target=portal.stop)
        stopper.start()
        with suppress(LocalProtocolError):
            while True:
                futures.append(portal.start(nothing))
        stopper.join()
        assert all(future.done() for future in futures)


def test_the_defaults_find_a_frozen_peer_in_ten_seconds() -> None:
    assert DEFAULT_TIMING.silent_after_s + DEFAULT_TIMING.ping_every_s <= 10
