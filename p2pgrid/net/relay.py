"""The relay of a network: joins two connections, both opened to it, and passes bytes between them.

A domain that takes no connections keeps a link to its network and has a place there. Who dials it
opens a pipe here; the relay tells the domain over its link, the domain brings a pipe of its own,
and the two are joined. Noise or TLS 1.3 runs through them from end to end: the relay sees who
talks to whom, when and how much, and can delay or cut it, but it can read and change nothing.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

import trio

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import RemoteProtocolError, TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net.addresses import relay_addresses
from p2pgrid.net.certificate import Certificate
from p2pgrid.net.counters import Counters
from p2pgrid.net.link import Link, Reply
from p2pgrid.net.listening import Strangers, listen_on
from p2pgrid.net.relay_places import Places, RefusedError, Waiting
from p2pgrid.net.splice import BROKEN, Stream, splice
from p2pgrid.net.websocket import accept_websocket
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.relay import Dial, Hello, Service, Take, Verdict, decode_hello

log = logging.getLogger(__name__)

Ports = Mapping[Service, tuple[str, int]]
"""Where a node's own services listen."""

MAX_STRANGERS = 64


class RelayPorts(NamedTuple):
    """Where a relay takes pipes; None: not there."""

    plain: int | None = None
    websocket: int | None = None


class Relay:
    """Takes pipes at its ports, joins them and bounds them; see the head of the module."""

    def __init__(
        self,
        host: str,
        ports: RelayPorts,
        *,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.counters = Counters()
        """Bytes that went through it, both ways."""
        self._host, self._ports = host, ports
        self._timing = timing
        self._places = Places(limits)
        self._strangers = Strangers(limit=MAX_STRANGERS, wait_s=timing.hello_s)
        self._certificate = Certificate()
        self.addresses: tuple[str, ...] = ()
        """Where it takes pipes, with our peer id; known once it serves."""
        self._own = PeerId("")
        self._services: Ports = {}

    def reserve(self, link: Link) -> tuple[str, ...]:
        """Gives the domain at the other end of a link a place; where it is to bring pipes.

        Raises:
            BusyError: all places are taken.
        """
        self._places.reserve(link)
        return self.addresses

    @asynccontextmanager
    async def serving(
        self, own: PeerId, announced: Sequence[str], services: Ports
    ) -> AsyncIterator[None]:
        """Takes pipes while the context is open.

        Args:
            own: the peer whose relay this is.
            announced: multiaddrs at which others are told to dial it.
            services: where its own services listen, for those who come by a pipe.

        Raises:
            PortInUseError, NodeError: it cannot listen.
        """
        self._own, self._services = own, services
        with ExitStack() as stack:
            plain = self._listener(self._ports.plain, stack)
            websocket = self._listener(self._ports.websocket, stack)
            self.addresses = relay_addresses(
                own, announced, port=_port_of(plain), websocket_port=_port_of(websocket)
            )
            async with trio.open_nursery() as nursery:
                for listener, context in ((plain, None), (websocket, self._certificate.context)):
                    if listener is not None:
                        meet = partial(self._meet, context=context)
                        nursery.start_soon(trio.serve_listeners, meet, [listener])
                yield
                nursery.cancel_scope.cancel()

    def _listener(self, port: int | None, stack: ExitStack) -> trio.SocketListener | None:
        if port is None:
            return None
        listening = stack.enter_context(listen_on(self._host, port))
        return trio.SocketListener(trio.socket.from_stdlib_socket(listening))

    async def _meet(self, plain: trio.SocketStream, *, context: ssl.SSLContext | None) -> None:
        """Serves one pipe, from its first byte to its last."""
        hello: Hello | None = None
        try:
            async with plain:
                origin = str(plain.socket.getpeername()[0])
                with self._strangers.admitted():
                    pipe = plain if context is None else await accept_websocket(plain, context)
                    hello = await _read_hello(pipe)
                if hello is not None:
                    await self._serve(pipe, hello, origin)
        except (*BROKEN, RemoteProtocolError) as error:
            log.debug("a pipe broke", extra={"cause": type(error).__name__})

    async def _serve(self, pipe: Stream, hello: Hello, origin: str) -> None:
        try:
            if isinstance(hello, Take):
                await self._take(pipe, hello)
            else:
                with self._places.pipe(to=hello.peer, origin=origin):
                    await self._dial(pipe, hello)
        except RefusedError as refused:
            log.debug("pipe refused", extra={"verdict": refused.verdict.name})
            await pipe.send_all(bytes([refused.verdict]))

    async def _take(self, pipe: Stream, hello: Take) -> None:
        waiting = self._places.give(hello.ticket, pipe)
        await waiting.over.wait()

    async def _dial(self, pipe: Stream, hello: Dial) -> None:
        if hello.peer == self._own:
            await self._join(pipe, await self._own_service(hello.service))
            return
        link = self._places.link_to(hello.peer)
        with self._places.waiting() as waiting:
            far = await self._summon(link, hello.service, waiting)
            await far.send_all(bytes([Verdict.WELCOME]))
            await self._join(pipe, far)

    async def _own_service(self, service: Service) -> Stream:
        if service not in self._services:
            raise RefusedError(Verdict.NO_PLACE)
        return await trio.open_tcp_stream(*self._services[service])

    async def _summon(self, link: Link, service: Service, waiting: Waiting) -> Stream:
        """The pipe that a peer brings when it is asked to."""

        def on_answer(answer: "Future[Reply]") -> None:
            if answer.exception() is not None:
                waiting.settled.set()

        wait_s = self._timing.hello_s
        try:
            asked = link.request(Incoming(waiting.ticket, service), timeout_s=wait_s)
        except TransportError:
            raise RefusedError(Verdict.NOT_COME) from None
        asked.add_done_callback(on_answer)
        with trio.move_on_after(wait_s):
            await waiting.settled.wait()
        if waiting.pipe is None:
            raise RefusedError(Verdict.NOT_COME)
        return waiting.pipe

    async def _join(self, near: Stream, far: Stream) -> None:
        async with far:
            await near.send_all(bytes([Verdict.WELCOME]))
            idle_s = self._timing.pipe_idle_s
            await splice(near, far, idle_s=idle_s, counters=self.counters)


async def _read_hello(pipe: Stream) -> Hello | None:
    """The first bytes of a pipe; None when it ended before."""
    size = await pipe.receive_some(1)
    body = bytearray()
    while size and len(body) < size[0]:
        piece = await pipe.receive_some(size[0] - len(body))
        if not piece:
            return None
        body += piece
    return decode_hello(bytes(body))


def _port_of(listener: trio.SocketListener | None) -> int | None:
    return None if listener is None else int(listener.socket.getsockname()[1])
