"""Links over TLS: how they break, what passes, and that they leave nothing behind."""

import socket
import ssl

import pytest
import trio
from typing_extensions import override

from p2pgrid.errors import PortInUseError, TransportError
from p2pgrid.net.certificate import Certificate, client_context
from p2pgrid.net.framing import FRAMES_PER_TURN
from p2pgrid.net.streams import Libp2pTransport
from p2pgrid.net.tls import TlsConnection, TlsStream
from p2pgrid.net.transport import FrameStream
from tests.contract.worlds import (
    LISTEN,
    MIB,
    Libp2p,
    Libp2pOnly,
    open_sockets,
    raw,
    seed_of,
    served,
    streams,
)
from tests.libp2p.upgrades import (
    HERE,
    Relay,
    at_a_port,
    close,
    linked,
    offer_port,
    open_streams,
    run,
    tls_of,
    until,
)

pytestmark = [pytest.mark.libp2p, pytest.mark.usefixtures("no_socket_left")]


def test_a_connection_that_breaks_ends_the_link_and_the_next_one_works() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            relay = Relay(tls_of(two)._port)
            async with at_a_port(relay) as port:
                offer_port(two, port)
                near, far = await linked(one, two, TlsStream)
                relay.cut.set()
                for end in (near, far):
                    with pytest.raises(TransportError):
                        await end.receive(limit=100)
                    with pytest.raises(TransportError):
                        await end.send(raw(b"hello"))
                relay.cut = trio.Event()
                await close(near, far, *await linked(one, two, TlsStream))
                assert relay.came == 2

    run(work)


def test_the_largest_frames_pass_each_other() -> None:
    async def work() -> None:
        async with streams(Libp2p()) as ends, trio.open_nursery() as nursery:
            body = bytes(64 * MIB)
            for end in ends:
                nursery.start_soon(end.send, raw(body))
            for end in ends:
                nursery.start_soon(expect, end, body)

    run(work)


async def expect(end: FrameStream, body: bytes) -> None:
    assert await end.receive(limit=64 * MIB) == body


class Flood(socket.socket):
    """A connection on which more waits than is ever read; it counts the pieces that were."""

    left, pieces = b"", 0

    @override
    def recv(self, size: int, flags: int = 0, /) -> bytes:
        if not self.left:
            return super().recv(size, flags)
        self.pieces += 1
        piece, self.left = self.left[:size], self.left[size:]
        return piece


def ticketed(connection: TlsConnection) -> bytes:
    """Shakes hands, and returns what a listener sends then: a thousand session tickets."""
    context = Certificate().context
    context.num_tickets = 1000
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    listener = context.wrap_bio(incoming, outgoing, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        connection._tls.do_handshake()
    incoming.write(connection._to_send.read())
    with pytest.raises(ssl.SSLWantReadError):
        listener.do_handshake()
    connection._came.write(outgoing.read())
    connection._tls.do_handshake()
    incoming.write(connection._to_send.read())
    listener.do_handshake()
    return outgoing.read()


def test_bytes_without_data_leave_others_their_turn() -> None:
    # OpenSSL itself reads on until data comes.
    async def work() -> None:
        plain, other = socket.socketpair()
        flood = Flood(socket.AF_UNIX, fileno=plain.detach())
        connection = TlsConnection(flood, client_context(), server_side=False)
        flood.left = ticketed(connection)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while flood.left:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            nursery.start_soon(connection.receive, 1)
            await until(lambda: not flood.left)
            assert flood.pieces > 10
            assert turns >= flood.pieces - 1
            nursery.cancel_scope.cancel()
        connection.close()
        other.close()

    run(work)


@pytest.mark.parametrize("world", [Libp2p, Libp2pOnly])
def test_frames_that_came_in_one_piece_leave_others_their_turn(world: type[Libp2p]) -> None:
    async def work() -> None:
        async with streams(world()) as (near, far), trio.open_nursery() as nursery:
            await near.send([b"".join(raw(b"ping")) * 1000])
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await trio.lowlevel.checkpoint()

            await far.receive(limit=100)
            nursery.start_soon(count)
            before = turns
            for _ in range(999):
                await far.receive(limit=100)
            assert turns - before >= 999 // FRAMES_PER_TURN - 1
            nursery.cancel_scope.cancel()

    run(work)


def test_hundreds_of_links_leave_no_stream_task_or_socket() -> None:
    async def work() -> None:
        async with served(Libp2p(), 1, 2) as (one, two):
            await close(*await linked(one, two, TlsStream))
            before = open_sockets(), tasks()
            for number in range(300):
                near, far = await one.dial(two), await two.came.receive()
                assert type(near) is TlsStream
                await close(*((near, far) if number % 2 else (far, near)))
            await until(lambda: open_streams(one, two) == 0)
            await until(lambda: open_sockets() == before[0])
            # ``served`` keeps the task of every stream that came.
            assert tasks() - before[1] <= 300
            assert tls_of(two)._tickets == {}

    run(work)


def tasks() -> int:
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, left = 0, [root]
    while left:
        task = left.pop()
        found += 1
        left.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
    return found


def test_a_tls_port_in_use_is_named_and_nothing_is_left_running() -> None:
    async def work() -> None:
        with socket.create_server((HERE, 0)) as used:
            port = used.getsockname()[1]
            transport = Libp2pTransport(seed_of(1), LISTEN, tls_port=port)
            with pytest.raises(PortInUseError, match=str(port)):
                async with transport.serve(close):
                    pass

    run(work)


def test_a_transport_that_is_never_served_takes_no_port() -> None:
    before = open_sockets()
    Libp2pTransport(seed_of(1), LISTEN, tls_port=0)
    assert open_sockets() == before
