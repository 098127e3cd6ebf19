"""A relay with one domain at it, over real sockets, the domain in the hands of the tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import (
    RelayRefusedError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.addresses import Route
from p2pgrid.net.pipes import Pipes
from p2pgrid.net.relay import Relay, RelayPorts
from p2pgrid.net.splice import stream_over
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.proxy import Proxy
from tests.contract.worlds import innermost, peer_of

TEST_S = 20.0
HERE = "127.0.0.1"
RELAY, BOB, EVE = (peer_of(number) for number in (1, 2, 3))
TIMING = replace(DEFAULT_TIMING, hello_s=1.0)
QUICK = replace(DEFAULT_TIMING, hello_s=0.2)
BY = pytest.mark.parametrize("websocket", [False, True], ids=["tcp", "websocket"])


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(TEST_S):
            await work()

    try:
        trio.run(bounded)
    except ExceptionGroup as group:
        raise innermost(group) from None


@dataclass
class Bob:
    """A domain with a place; it brings the pipes that it is asked for, to a port that echoes."""

    peer: PeerId = BOB
    is_open: bool = True
    asked: list[Incoming] = field(default_factory=list)
    bring: Callable[[Incoming], Awaitable[None]] | None = None
    nursery: Any = None

    def request(self, message: Incoming, *, timeout_s: float) -> "Future[Any]":
        assert timeout_s > 0
        self.asked.append(message)
        answer: Future[Any] = Future()
        if self.bring is not None:
            self.nursery.start_soon(self._bring, message, answer)
        return answer

    async def _bring(self, message: Incoming, answer: "Future[Any]") -> None:
        assert self.bring is not None
        try:
            await self.bring(message)
        except TransportError as error:
            answer.set_exception(error)


@dataclass
class World:
    """A relay, whom it knows, and how to get there."""

    relay: Relay
    bob: Bob
    pipes: Pipes
    port: int
    websocket: bool
    echo: tuple[str, int]

    def route(self, peer: PeerId = BOB) -> Route:
        return Route(HERE, self.port, peer, self.websocket)

    async def dial(self, peer: PeerId = BOB) -> trio.SocketStream:
        return stream_over(await self.pipes.connect(self.route(peer), "libp2p", port=1))

    async def bring(self, message: Incoming) -> None:
        await self.pipes.bring([self.route()], message.ticket, to=self.echo)


async def echo(stream: trio.SocketStream) -> None:
    async with stream:
        try:
            async for piece in stream:
                await stream.send_all(piece)
        except trio.BrokenResourceError:
            return


@asynccontextmanager
async def at_a_port(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncIterator[tuple[str, int]]:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host=HERE)
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield HERE, int(listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def world(
    *,
    websocket: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = TIMING,
    proxy: Proxy | None = None,
) -> AsyncIterator[World]:
    """A relay at which Bob has a place; he brings what he is asked for."""
    ports = RelayPorts(None, 0) if websocket else RelayPorts(0, None)
    relay = Relay(HERE, ports, limits=limits, timing=timing)
    pipes = Pipes(proxy, limits=limits, timing=timing)
    told = [f"/ip4/{HERE}/tcp/1"]
    async with at_a_port(echo) as place, pipes.serving(), trio.open_nursery() as nursery:
        async with relay.serving(RELAY, told, {"libp2p": place}):
            port = int(relay.addresses[0].split("/")[4])
            bob = Bob(nursery=nursery)
            made = World(relay, bob, pipes, port, websocket, place)
            bob.bring = made.bring
            relay.reserve(bob)  # type: ignore[arg-type]
            yield made
        nursery.cancel_scope.cancel()


async def says(stream: trio.SocketStream, text: bytes) -> None:
    await stream.send_all(text)
    heard = bytearray()
    while len(heard) < len(text):
        heard += await stream.receive_some(1 << 16)
    assert heard == text


async def refused(world: World, peer: PeerId = BOB) -> str:
    """Why the relay refuses a pipe."""
    with pytest.raises(RelayRefusedError) as error:
        await world.dial(peer)
    return error.value.reason
