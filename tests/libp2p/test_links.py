"""Links between real processes: killed, frozen, restarted, and with rude neighbours."""

import itertools
import json
import os
import queue
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil
import pytest
import trio
from libp2p import new_host
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from p2pgrid.config import Timing
from p2pgrid.errors import PeerUnreachableError, RemoteProtocolError, TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net.host import running
from p2pgrid.net.link import Inbound, Link, Reply
from p2pgrid.net.peer import Peer, libp2p_peer
from p2pgrid.net.streams import Libp2pTransport, peer_id_in
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol import codec
from p2pgrid.protocol.codec import Kind
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.queries import Query
from tests.contract.worlds import open_sockets

pytestmark = [pytest.mark.libp2p, pytest.mark.usefixtures("no_socket_left")]

ANY_PORT = "/ip4/127.0.0.1/tcp/0"
ROOT = Path(__file__).parents[2]
TEST_S = 60.0
MIB = 1 << 20

# Dials peers that fail; then echoes, unless it is asked to hold the answer back, until its stdin
# closes.
NODE = """
import json, sys
from p2pgrid.config import Timing
from p2pgrid.errors import NetworkError
from p2pgrid.net.peer import libp2p_peer
from p2pgrid.net.streams import peer_id_in

def answer(inbound):
    inbound.link.trust()
    if inbound.message.query.exact_tags != ("hold",):
        inbound.answer(inbound.message, inbound.buffers)

task = json.loads(sys.argv[1])
peer = libp2p_peer(
    bytes.fromhex(task["seed"]), listen=(task["listen"],), on_request=answer,
    timing=Timing(**task["timing"]),
)
peer.start()
for address in task["dial"]:
    try:
        peer.link_to(peer_id_in(address), (address,))
    except NetworkError:
        continue
    raise AssertionError(address)
print(json.dumps(peer.addresses), flush=True)
sys.stdin.read()
peer.stop()
"""


@dataclass(frozen=True)
class Node:
    """A peer in a process of its own; everything it says is in ``errors``."""

    popen: "subprocess.Popen[bytes]"
    addresses: list[str]
    errors: IO[bytes]

    @property
    def peer(self) -> PeerId:
        return peer_id_in(self.addresses[0])

    @property
    def place(self) -> str:
        return self.addresses[0].split("/p2p/")[0]

    def send(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(TEST_S)

    def finish(self) -> tuple[int, bytes]:
        """Ends it in peace: its exit status, and all that it wrote to stderr."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        status = self.popen.wait(TEST_S)
        self.errors.seek(0)
        return status, self.errors.read()


StartNode = Callable[..., Node]


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[StartNode]:
    with ExitStack() as stack:

        def start(
            *,
            seed: bytes = b"n" * 32,
            listen: str = ANY_PORT,
            dial: Sequence[str] = (),
            **timing: float,
        ) -> Node:
            task = json.dumps(
                {"seed": seed.hex(), "listen": listen, "dial": dial, "timing": timing}
            )
            errors = stack.enter_context((tmp_path / secrets.token_hex(4)).open("w+b"))
            popen = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-W", "error", "-c", NODE, task],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=ROOT,
                )
            )
            stack.callback(popen.kill)
            assert popen.stdout is not None
            readable, _, _ = select.select([popen.stdout], [], [], TEST_S)
            assert readable, "the process did not start"
            return Node(popen, json.loads(popen.stdout.readline()), errors)

        yield start


class Here:
    """A peer in this process, and its links that have ended."""

    def __init__(self, **timing: float) -> None:
        self.over: queue.Queue[Link] = queue.Queue()
        self.asked: list[Inbound] = []
        self.peer: Peer = libp2p_peer(
            secrets.token_bytes(32),
            listen=(ANY_PORT,),
            on_request=self.asked.append,
            on_over=self.over.put,
            timing=Timing(**timing),
        )
        self.peer.start()

    def link(self, node: Node) -> Link:
        return self.peer.link_to(node.peer, node.addresses)

    def ask(self, node: Node) -> Reply:
        return self.link(node).request(Search(Query(exact_tags=("hello",)))).result(TEST_S)


@contextmanager
def here(**timing: float) -> Iterator[Here]:
    it = Here(**timing)
    try:
        yield it
    finally:
        it.peer.stop()


HOLD = Search(Query(exact_tags=("hold",)))


def test_a_peer_that_is_killed_ends_its_requests_at_once(start_node: StartNode) -> None:
    with here() as me:
        node = start_node()
        me.ask(node)
        pending = [me.link(node).request(HOLD) for _ in range(10)]
        node.kill()
        killed_at = time.monotonic()
        for future in pending:
            assert isinstance(future.exception(TEST_S), TransportError)
        assert time.monotonic() - killed_at < 2
        with pytest.raises(PeerUnreachableError):
            me.link(node)


def test_a_peer_that_restarts_is_reachable_at_once(start_node: StartNode) -> None:
    # libp2p itself would not dial it again for a minute after the refused dial.
    with here() as me:
        node = start_node()
        me.ask(node)
        node.kill()
        me.over.get(timeout=TEST_S)
        with pytest.raises(PeerUnreachableError):
            me.link(node)
        again = start_node(listen=node.place)
        assert again.addresses == node.addresses
        me.ask(again)


# The defaults (8 s of silence) pass the same laws by the virtual clock.
TIMING = {"ping_every_s": 0.5, "silent_after_s": 3.0, "dial_s": 4.0}


def test_a_frozen_peer_is_noticed_and_linked_again_when_it_thaws(start_node: StartNode) -> None:
    with here(**TIMING) as me:
        node = start_node(**TIMING)
        me.ask(node)
        node.send(signal.SIGSTOP)
        frozen_at = time.monotonic()
        link = me.link(node)
        pending = [link.request(HOLD, [bytes(size)]) for size in (0, 8 * MIB, 0)]
        for future in pending:
            assert isinstance(future.exception(TEST_S), TransportError)
        assert me.over.get(timeout=TEST_S) is link
        assert time.monotonic() - frozen_at < 10
        with pytest.raises(PeerUnreachableError):
            me.link(node)
        node.send(signal.SIGCONT)
        me.ask(node)


def test_a_peer_that_moved_is_reachable_though_its_old_place_is_silent(
    start_node: StartNode,
) -> None:
    # Nobody tells libp2p that the old connection is dead: it would use it again and again.
    with here(**TIMING) as me:
        old = start_node()
        me.ask(old)
        old.send(signal.SIGSTOP)
        moved = start_node()
        me.over.get(timeout=TEST_S)
        me.ask(moved)


def test_hundreds_of_links_leak_nothing(start_node: StartNode) -> None:
    # libp2p lets 256 streams of a connection be open, and then waits without a deadline.
    with here() as me:
        node = start_node()
        me.ask(node)
        both = [psutil.Process(), psutil.Process(node.popen.pid)]
        before = [process.num_fds() for process in both]
        sockets = open_sockets()
        for _ in range(300):
            link = me.link(node)
            assert link.request(Search(Query(exact_tags=("hello",)))).exception(TEST_S) is None
            link.close_soon("the next one")
            assert me.over.get(timeout=TEST_S) is link
        me.ask(node)
        assert [process.num_fds() for process in both] == before
        assert len(open_sockets()) == len(sockets)


def test_garbage_connections_do_not_disturb_service(start_node: StartNode) -> None:
    with here() as me, ExitStack() as stack:
        node = start_node()
        me.ask(node)
        process = psutil.Process(node.popen.pid)
        before = process.num_fds()
        for number in range(60):
            rude = stack.enter_context(tcp_to(node))
            rude.sendall(secrets.token_bytes(1 + 100 * number) if number % 3 else b"")
            if number % 20 == 0:
                me.ask(node)
        with here() as newcomer:
            newcomer.ask(node)
        me.ask(node)
        stack.pop_all().close()
        until(lambda: process.num_fds() == before)
        me.ask(node)
        assert node.finish() == (0, b"")


def test_a_flooding_peer_does_not_starve_another_link(start_node: StartNode) -> None:
    node = start_node()
    pings = b"".join(map(bytes, codec.encode(Kind.PING, 0, None, limit=MIB))) * 5000
    flooding, enough = threading.Event(), threading.Event()

    async def flood() -> None:
        transport = Libp2pTransport(b"f" * 32, ())
        async with transport.serve(never):
            stream = await transport.dial(node.peer, node.addresses, timeout_s=TEST_S)
            for count in itertools.count():
                await stream.send([pings])
                if count == 200:  # more than sockets hold: from here on the node is behind
                    flooding.set()
                if enough.is_set():
                    break
            await stream.aclose()

    with here() as me, ThreadPoolExecutor() as threads:
        me.ask(node)
        flooder = threads.submit(trio.run, flood)
        try:
            assert flooding.wait(TEST_S)
            for _ in range(20):
                asked_at = time.monotonic()
                me.ask(node)
                assert time.monotonic() - asked_at < 5
            assert not flooder.done()
        finally:
            enough.set()
        flooder.result(TEST_S)


async def never(_: FrameStream) -> None:
    raise AssertionError("nobody dials the flooder")


def tcp_to(node: Node) -> socket.socket:
    place = Multiaddr(node.place)
    address = (place.value_for_protocol("ip4"), int(place.value_for_protocol("tcp")))
    return socket.create_connection(address, timeout=TEST_S)


def until(is_so: Callable[[], bool]) -> None:
    """Returns when something has come about in another process."""
    deadline = time.monotonic() + TEST_S
    while not is_so():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_plain_libp2p_peer_gets_nothing() -> None:
    with here() as me:
        address = me.peer.addresses[0]

        async def work() -> None:
            # What everybody gets from libp2p: its own protocols, and ours not.
            host = new_host(listen_addrs=[Multiaddr(ANY_PORT)])
            async with running(host, [ANY_PORT]):
                remote = ID.from_string(me.peer.peer_id)
                place = Multiaddr(address.split("/p2p/")[0])
                await host.connect(PeerInfo(remote, [place]))
                for protocol in ("/p2pgrid/0", "/p2pgrid/2", "/chat/1.0.0", "/ipfs/bitswap/1.2.0"):
                    with pytest.raises(StreamFailure):
                        await host.new_stream(remote, [TProtocol(protocol)])
                theirs = [str(each) for each in host.get_addrs()]
                with pytest.raises(RemoteProtocolError):
                    await trio.to_thread.run_sync(
                        me.peer.link_to, PeerId(host.get_id().to_base58()), theirs
                    )

        trio.run(within, work)
        assert not me.asked
        assert me.over.empty()


async def within(work: Callable[[], Awaitable[None]]) -> None:
    with trio.fail_after(TEST_S):
        await work()


def test_a_connect_does_not_wait_for_a_second_connection() -> None:
    # With two or more per peer, libp2p waits 250 ms in every dial; see also test_host.
    config = Libp2pTransport(b"x" * 32, ()).host.get_network().connection_config
    assert config.max_connections_per_peer == 1


def test_a_node_says_nothing_of_dead_frozen_and_rude_peers(start_node: StartNode) -> None:
    dead, frozen, impostor = (start_node(seed=bytes([number]) * 32) for number in range(3))
    dead.kill()
    frozen.send(signal.SIGSTOP)
    wrong = f"{impostor.place}/p2p/{dead.peer}"
    node = start_node(dial=[dead.addresses[0], frozen.addresses[0], wrong], dial_s=3.0)
    with here() as me, tcp_to(node) as rude:
        rude.sendall(secrets.token_bytes(1000))
        too_much = me.link(node).request(HOLD, [bytes(2 * MIB)])
        me.over.get(timeout=TEST_S)
        assert isinstance(too_much.exception(TEST_S), TransportError)
        me.ask(node)
    assert node.finish() == (0, b"")
    assert impostor.finish() == (0, b"")
