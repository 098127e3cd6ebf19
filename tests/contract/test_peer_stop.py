"""How peers start and stop: nothing waits for ever, nothing is left."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
import trio

from p2pgrid.config import DEFAULT_TIMING, Timing
from p2pgrid.errors import (
    AddressError,
    LocalProtocolError,
    P2PGridError,
    PortInUseError,
    TransportError,
)
from p2pgrid.net.link import Inbound
from p2pgrid.net.peer import Peer, libp2p_peer
from p2pgrid.net.portal import Portal
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import NodeRecord, sign
from p2pgrid.testing.network import MemoryNetwork
from tests.contract.peers import WAIT_S, Grid, ask, echo, link
from tests.contract.worlds import open_sockets, peer_of, seed_of


def ignore(_: Inbound) -> None:
    """Never answers."""


def live_threads() -> set[threading.Thread]:
    return set(threading.enumerate())


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
    futures = [links[0].request(Search(Query(exact_tags=(str(n),)))) for n in range(10)]
    one.stop()
    for future in futures:
        assert isinstance(future.exception(WAIT_S), TransportError)
    assert {grid.over.get(timeout=WAIT_S) for _ in links} == set(links)
    assert not any(each.is_open for each in links)
    with pytest.raises(TransportError):
        links[0].request(Search(Query()))
    links[0].close_soon("again")


def test_the_end_of_a_shared_thread_ends_its_peers(memory: MemoryNetwork) -> None:
    peers = [memory.peer(seed_of(number), on_request=ignore) for number in (1, 2)]
    for peer in peers:
        peer.start()
    pending = link(peers[0], peers[1]).request(Search(Query()))
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
