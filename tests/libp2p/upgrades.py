"""Peers that move their links to TLS, and what the tests put in their way."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from p2pgrid.net.streams import Libp2pTransport
from p2pgrid.net.tls import TlsConnection
from p2pgrid.net.tls_listener import TlsListener
from p2pgrid.net.transport import FrameStream
from tests.contract import worlds
from tests.contract.worlds import MIB, Libp2p, Served, peer_of, raw

HERE = "127.0.0.1"
ONE, TWO, THREE = (peer_of(number) for number in (1, 2, 3))
SOON_S = 0.3
"""Instead of the seconds of the defaults."""
MARK = b"a word that nobody on the way may read"

Handler = Callable[[trio.SocketStream], Awaitable[None]]


def run(work: Callable[[], Awaitable[None]]) -> None:
    worlds.run(Libp2p(), work)


class Relay:
    """A TCP port that passes everything on to another one, and remembers it."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.passed = bytearray()
        self.came = 0
        self.cut = trio.Event()

    async def __call__(self, near: trio.SocketStream) -> None:
        self.came += 1
        far = await trio.open_tcp_stream(HERE, self.to)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, near, far)
            nursery.start_soon(self._pass_on, far, near)
            await self.cut.wait()
            nursery.cancel_scope.cancel()

    async def _pass_on(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for piece in source:
                self.passed += piece
                await sink.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.cut.set()


@asynccontextmanager
async def at_a_port(handler: Handler) -> AsyncIterator[int]:
    """A TCP server of the test, and its port."""
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, handler, 0, host=HERE))
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def tls_of(one: Served) -> TlsListener:
    assert isinstance(one.transport, Libp2pTransport)
    listener = one.transport._upgrades._listener
    assert listener is not None
    return listener


def offer_port(one: Served, port: int) -> int:
    """From now on this peer's offers name another port; its own one."""
    own, tls_of(one)._port = tls_of(one)._port, port
    return own


async def echoes(near: FrameStream, far: FrameStream, size: int = 1000) -> None:
    body = MARK + bytes(size)
    for source, sink in ((near, far), (far, near)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.send, raw(body))
            assert await sink.receive(limit=64 * MIB) == body


async def linked(one: Served, two: Served, kind: type) -> tuple[FrameStream, FrameStream]:
    """Both ends of a new stream, which works and is of this kind."""
    near = await one.dial(two)
    far = await two.came.receive()
    assert (type(near), type(far)) == (kind, kind)
    await echoes(near, far)
    return near, far


async def close(*ends: FrameStream) -> None:
    for end in ends:
        await end.aclose()


async def ended(connection: TlsConnection) -> bool:
    """Whether the other end hangs up; waits for it."""
    try:
        return await connection.receive(1) == b""
    except OSError:
        return True


def open_streams(*peers: Served) -> int:
    """How many streams libp2p holds open at these peers, in its own books and in yamux."""
    count = 0
    for peer in peers:
        assert isinstance(peer.transport, Libp2pTransport)
        for connection in peer.transport.host.get_network().get_connections():
            count += len(connection.muxed_conn.streams) + len(connection.get_streams())
    return count


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await trio.lowlevel.checkpoint()
