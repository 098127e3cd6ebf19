"""Opens connections to peers: straight, through an HTTP proxy, by a pipe through a relay.

Whoever asks gets a plain socket, which leads to a port of the peer; what is said there is
end-to-end encrypted and proves who is there. Neither proxy nor relay is trusted with more than
sizes and times. Rule: with a proxy every connection goes through it, without exception.
"""

import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import (
    BusyError,
    NetworkError,
    ProxyRefusedError,
    RelayRefusedError,
    RemoteProtocolError,
)
from p2pgrid.net.addresses import Route
from p2pgrid.net.counters import Counters
from p2pgrid.net.groups import innermost
from p2pgrid.net.splice import BROKEN, Stream, socket_of, splice, stream_over
from p2pgrid.net.websocket import open_websocket
from p2pgrid.protocol.proxy import (
    ANSWER_END,
    MAX_ANSWER_BYTES,
    Proxy,
    decode_answer,
    encode_connect,
)
from p2pgrid.protocol.relay import (
    REASONS,
    Dial,
    Hello,
    Service,
    Take,
    Verdict,
    decode_verdict,
    encode_hello,
)

log = logging.getLogger(__name__)


class Pipes:
    """Makes connections, from inside trio; WebSockets are open while ``serving`` is."""

    def __init__(
        self,
        proxy: Proxy | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._proxy = proxy
        self._limit, self._idle_s = limits.pipes, timing.pipe_idle_s
        self._nursery: trio.Nursery

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Carries the bytes of WebSockets while the context is open."""
        try:
            async with trio.open_nursery() as self._nursery:
                yield
                self._nursery.cancel_scope.cancel()
        except ExceptionGroup as group:
            raise innermost(group) from None

    async def connect(self, route: Route, service: Service, *, port: int) -> socket.socket:
        """A connection to a service of a peer; ``port`` is where it listens on its own machine.

        Raises:
            OSError: nobody is there, or whoever is hung up.
            ProxyRefusedError, RelayRefusedError: somebody on the way does not want it.
            RemoteProtocolError: somebody on the way is not what he should be.
        """
        if route.peer is None:
            return socket_of(await self.dial(route.host, port))
        return await self._open(route, Dial(route.peer, service))

    async def bring(self, relays: Sequence[Route], ticket: bytes, *, to: tuple[str, int]) -> None:
        """Brings the pipe that a relay asked us for, and leads it to a port of our own.

        Args:
            relays: where the relay takes pipes; the first that works is used.
            ticket: what the relay sent.
            to: host and port of the service that is asked for.

        Raises:
            BusyError: there are too many.
            OSError, TransportError, RemoteProtocolError: as ``connect``, at the last of ``relays``.
        """
        if len(self._nursery.child_tasks) >= self._limit:
            raise BusyError(limit=self._limit)
        near = await trio.open_tcp_stream(*to)
        try:
            far = await self._first_of(relays, Take(ticket))
        except BaseException:
            await trio.aclose_forcefully(near)
            raise
        self._nursery.start_soon(self._carry, far, near)

    async def _first_of(self, relays: Sequence[Route], hello: Hello) -> Stream:
        for relay in relays[:-1]:
            try:
                return await self._begun(relay, hello)
            except (OSError, NetworkError) as error:
                log.info("no pipe", extra={"relay": relay.place, "cause": str(error)})
        return await self._begun(relays[-1], hello)

    async def _open(self, relay: Route, hello: Hello) -> socket.socket:
        pipe = await self._begun(relay, hello)
        if isinstance(pipe, trio.SocketStream):
            return socket_of(pipe)
        ours, theirs = socket.socketpair()
        self._nursery.start_soon(self._carry, pipe, stream_over(ours))
        return theirs

    async def _carry(self, pipe: Stream, near: Stream) -> None:
        await splice(pipe, near, idle_s=self._idle_s, counters=Counters())

    async def _begun(self, relay: Route, hello: Hello) -> Stream:
        """A pipe to a relay that the relay has welcomed."""
        plain = await self.dial(relay.host, relay.port)
        async with _closed_on_error(plain, f"the relay at {relay.place}"):
            pipe = await open_websocket(plain, relay.host) if relay.websocket else plain
            await pipe.send_all(encode_hello(hello))
            verdict = decode_verdict(await pipe.receive_some(1))
            if verdict is not Verdict.WELCOME:
                peer = hello.peer if isinstance(hello, Dial) else "who waits for us"
                raise RelayRefusedError(relay=relay.place, peer=peer, reason=REASONS[verdict])
        return pipe

    async def dial(self, host: str, port: int) -> trio.SocketStream:
        """A TCP connection to a port, through the proxy if there is one.

        Raises:
            OSError: nobody is there.
            ProxyRefusedError, RemoteProtocolError: the proxy does not want it, or is none.
        """
        proxy = self._proxy
        if proxy is None:
            return await _open_tcp(host, port)
        stream = await _open_tcp(proxy.host, proxy.port)
        async with _closed_on_error(stream, f"the proxy {proxy.name}"):
            await stream.send_all(encode_connect(proxy, host, port))
            if answer := decode_answer(await _read_head(stream)):
                raise ProxyRefusedError(proxy=proxy.name, target=f"{host}:{port}", answer=answer)
        return stream


async def _open_tcp(host: str, port: int) -> trio.SocketStream:
    try:
        return await trio.open_tcp_stream(host, port)
    except ValueError as error:  # a stranger's address may name anything
        raise OSError(f"{host!r} is no name of a host") from error


@asynccontextmanager
async def _closed_on_error(stream: trio.SocketStream, who: str) -> AsyncIterator[None]:
    try:
        yield
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error, BROKEN):
            raise ConnectionResetError(f"{who} hung up") from error
        raise


async def _read_head(stream: trio.SocketStream) -> bytes:
    """The head of a proxy's answer, and no byte of what comes through the tunnel behind it."""
    head = bytearray()
    while not head.endswith(ANSWER_END):
        piece = await stream.receive_some(1)
        if not piece or len(head) == MAX_ANSWER_BYTES:
            raise RemoteProtocolError("what answered at the address of the proxy is no HTTP proxy")
        head += piece
    return bytes(head)
