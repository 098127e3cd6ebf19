"""Where the laws of ``net`` have to hold: memory, and libp2p on loopback with TLS and without."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psutil
import trio
from nacl.signing import SigningKey
from trio.abc import Clock
from trio.testing import MockClock

from p2pgrid.errors import TransportError
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.memory import MemoryHub, MemoryTransport
from p2pgrid.net.splice import socket_of
from p2pgrid.net.streams import Libp2pTransport
from p2pgrid.net.tls import TlsConnection, take_up
from p2pgrid.net.transport import FrameStream, Transport
from p2pgrid.protocol import codec
from p2pgrid.protocol.codec import Buffer, Frame, Kind
from p2pgrid.protocol.messages import Message
from p2pgrid.protocol.upgrade import Offer

LISTEN = ("/ip4/127.0.0.1/tcp/0",)
TEST_S = 60.0
DAY_S = 86_400.0
MIB = 1 << 20


def seed_of(number: int) -> bytes:
    return bytes([number]) * 32


def peer_of(number: int) -> PeerId:
    return peer_id_of(bytes(SigningKey(seed_of(number)).verify_key))


class World(Protocol):
    """Makes transports that reach each other; equal numbers are equal identities."""

    def transport(self, number: int) -> Transport: ...

    def clock(self) -> Clock | None: ...


@dataclass
class Memory:
    """Its clock is virtual: it stands still while something can run, and jumps when nothing can."""

    hub: MemoryHub = field(default_factory=MemoryHub)

    def transport(self, number: int) -> Transport:
        return MemoryTransport(self.hub, peer_of(number))

    def clock(self) -> Clock:
        return MockClock(autojump_threshold=0)


class Libp2p:
    """Streams go over TLS, as they do wherever its port is reachable."""

    tls_port: int | None = 0

    def transport(self, number: int) -> Transport:
        return Libp2pTransport(seed_of(number), LISTEN, tls_port=self.tls_port)

    def clock(self) -> None:
        return None


class Libp2pOnly(Libp2p):
    """Nobody makes an offer: streams stay on libp2p."""

    tls_port: int | None = None


def open_sockets() -> set[Any]:
    """The sockets of this process."""
    return set(psutil.Process().net_connections())


def run(world: World, work: Callable[[], Awaitable[None]]) -> None:
    """Runs a test of ``world``; one that waits for ever fails."""
    clock = world.clock()

    async def bounded() -> None:
        with trio.fail_after(DAY_S if clock else TEST_S):
            await work()

    try:
        trio.run(bounded, clock=clock)
    except ExceptionGroup as group:
        raise innermost(group) from None


def innermost(error: Exception) -> Exception:
    """What the nurseries on the way wrapped."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@dataclass(frozen=True)
class Served:
    """A transport that listens, and the streams that came in."""

    transport: Transport
    came: "trio.MemoryReceiveChannel[FrameStream]"

    async def dial(self, other: "Served", *, timeout_s: float = TEST_S) -> FrameStream:
        transport = other.transport
        return await self.transport.dial(
            transport.peer_id, transport.addresses, timeout_s=timeout_s
        )


@asynccontextmanager
async def served(world: World, *numbers: int) -> AsyncIterator[list[Served]]:
    """Transports that listen; a stream that comes in stays open until the test ends it."""
    if not numbers:
        yield []
        return
    into, came = trio.open_memory_channel[FrameStream](100)

    async def accept(stream: FrameStream) -> None:
        await into.send(stream)
        await trio.sleep_forever()

    transport = world.transport(numbers[0])
    async with transport.serve(accept), served(world, *numbers[1:]) as others:
        yield [Served(transport, came), *others]


@asynccontextmanager
async def streams(world: World) -> AsyncIterator[tuple[FrameStream, FrameStream]]:
    """Both ends of a stream from peer 1 to peer 2."""
    async with served(world, 1, 2) as (one, two):
        near = await one.dial(two)
        far = await two.came.receive()
        yield near, far
        await near.aclose()
        await far.aclose()


async def dial_tls(host: str, offer: Offer, proof: bytes) -> TlsConnection:
    """Comes to the TLS port of an offer."""
    stream = await trio.open_tcp_stream(host, offer.port)
    return await take_up(socket_of(stream), offer, proof)


def raw(body: bytes) -> Sequence[Buffer]:
    """The chunks of a frame with this body, be it a message or not."""
    return [len(body).to_bytes(4, "little") + body]


class RawPeer:
    """One end of a stream in the hands of a test: it keeps to no rule of ``Link``."""

    def __init__(self, stream: FrameStream) -> None:
        self.stream = stream

    async def send(
        self,
        kind: Kind,
        number: int,
        message: Message | None = None,
        buffers: Sequence[Buffer] = (),
    ) -> None:
        await self.stream.send(codec.encode(kind, number, message, buffers, limit=64 * MIB))

    async def receive(self, kind: Kind) -> Frame:
        """The next frame of a kind; others are skipped."""
        while True:
            frame = codec.decode(await self.stream.receive(limit=64 * MIB))
            if frame.envelope.kind is kind:
                return frame

    async def until_over(self) -> None:
        """Reads until the other end hangs up."""
        try:
            while True:
                await self.stream.receive(limit=64 * MIB)
        except TransportError:
            return
