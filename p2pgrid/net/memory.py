"""A transport inside one trio loop, with faults on demand; it keeps the promises of a real one.

Faults are drawn from a seed, so a failing test prints the seed and repeats.
"""

import math
import random
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from p2pgrid.errors import NetworkKeyError, PeerUnreachableError, TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net.transport import Accept, FrameStream
from p2pgrid.protocol.codec import PREFIX_BYTES, Buffer, frame_size
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.relay import Service
from p2pgrid.protocol.secret import Secret

NOWHERE = "/ip4/192.0.2.1/tcp/1"
"""An address kept for documentation (RFC 5737): peers of a hub are found by their ids alone."""

WINDOW_FRAMES = 64
"""So many frames that nobody reads are taken; the next one waits."""
PIECE_S = 0.5


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances per frame, from 0 to 1; ``delay_s`` is the longest delay before a frame is sent."""

    drop: float = 0.0
    duplicate: float = 0.0
    disconnect: float = 0.0
    delay_s: float = 0.0
    bytes_per_s: float = math.inf


@dataclass
class MemoryHub:
    """The wire: who listens, and what goes wrong on the way."""

    seed: int = 0
    faults: Faults = Faults()
    accepts: dict[PeerId, Accept] = field(default_factory=dict)
    nurseries: dict[PeerId, trio.Nursery] = field(default_factory=dict)
    frozen: set[PeerId] = field(default_factory=set)
    keys: dict[PeerId, Secret | None] = field(default_factory=dict)
    records: dict[PeerId, bytes] = field(default_factory=dict)
    tags: dict[str, set[PeerId]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 faults, not keys

    def are_together(self, one: PeerId, other: PeerId) -> bool:
        """Whether two peers have the same network key, or none."""
        return self.keys[one] == self.keys[other]


class MemoryStream:
    """One end of a pair; a frame goes through the hub's faults when it is sent."""

    def __init__(self, hub: MemoryHub, peer: PeerId) -> None:
        self._hub = hub
        self._peer = peer
        self._heard_at = trio.current_time()
        self._is_over = False
        self._into, self._inbox = trio.open_memory_channel[bytes](WINDOW_FRAMES)
        self.other: MemoryStream

    @property
    def peer(self) -> PeerId:
        """Who is at the other end."""
        return self._peer

    @property
    def heard_at(self) -> float:
        """When the last byte came in, in trio's time."""
        return self._heard_at

    async def send(self, chunks: Sequence[Buffer]) -> None:
        """Delivers one frame, unless a fault strikes; waits while the other end does not read."""
        faults, chance = self._hub.faults, self._hub.chance
        frame = b"".join(chunks)
        await trio.sleep(chance.uniform(0, faults.delay_s))
        if chance.random() < faults.disconnect:
            await self.aclose()
        copies = 0 if chance.random() < faults.drop else 1
        copies += chance.random() < faults.duplicate
        try:
            for _ in range(copies):
                await self.other.take(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._is_over = True
        if self._is_over:
            raise TransportError(f"the link to {self._peer} broke while writing")

    async def take(self, frame: bytes) -> None:
        """Hears a frame piece by piece, at the speed of the wire; a frozen peer sends nothing."""
        left_s = len(frame) / self._hub.faults.bytes_per_s
        while left_s > 0 and self._peer not in self._hub.frozen:
            await trio.sleep(min(left_s, PIECE_S))
            left_s -= PIECE_S
            self._heard_at = trio.current_time()
        if self._peer not in self._hub.frozen:
            await self._into.send(frame)

    async def receive(self, *, limit: int) -> Buffer:
        """Reads one frame."""
        try:
            frame = await self._inbox.receive()
        except trio.EndOfChannel:
            raise TransportError(f"{self._peer} closed the link") from None
        self._heard_at = trio.current_time()
        frame_size(frame[:PREFIX_BYTES], limit=limit)
        return memoryview(frame)[PREFIX_BYTES:]

    async def connect(self, service: Service, port: int) -> socket.socket:
        """Fails: no socket leads to the other end."""
        del port
        raise ConnectionRefusedError(f"there is no {service} port on a hub")

    async def aclose(self) -> None:
        """Ends both directions."""
        self.hang_up()
        self.other.hang_up()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def hang_up(self) -> None:
        """Ends this end: what came in can still be read."""
        self._is_over = True
        self._into.close()


class MemoryTransport:
    """A peer on the hub; its only address is ``NOWHERE``."""

    def __init__(
        self, hub: MemoryHub, peer_id: PeerId, *, network_key: Secret | None = None
    ) -> None:
        self._hub = hub
        self._peer_id = peer_id
        hub.keys[peer_id] = network_key

    @property
    def peer_id(self) -> PeerId:
        """Who we are."""
        return self._peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Our only address."""
        return (f"{NOWHERE}/p2p/{self._peer_id}",)

    @asynccontextmanager
    async def serve(self, accept: Accept) -> AsyncIterator[None]:
        """Registers at the hub while the context is open."""
        async with trio.open_nursery() as nursery:
            self._hub.accepts[self._peer_id] = accept
            self._hub.nurseries[self._peer_id] = nursery
            try:
                yield
            finally:
                del self._hub.accepts[self._peer_id]
                nursery.cancel_scope.cancel()

    async def bring(self, pipe: Incoming, relays: Sequence[str], *, bulk_port: int | None) -> None:
        """Fails: there are no pipes on a hub."""
        del relays, bulk_port
        raise ConnectionRefusedError(f"there is no {pipe.service} port on a hub")

    async def dial(
        self, peer: PeerId, addresses: Sequence[str], *, timeout_s: float
    ) -> FrameStream:
        """Opens a pair of streams."""
        await trio.lowlevel.checkpoint()
        if peer in self._hub.frozen:
            await trio.sleep(timeout_s)
        if peer in self._hub.frozen or peer not in self._hub.accepts:
            raise PeerUnreachableError(peer=peer, addresses=len(addresses), reason="not there")
        if not self._hub.are_together(self._peer_id, peer):
            has_key = self._hub.keys[self._peer_id] is not None
            raise NetworkKeyError(peer=peer, has_key=has_key)
        ours, theirs = MemoryStream(self._hub, peer), MemoryStream(self._hub, self._peer_id)
        ours.other, theirs.other = theirs, ours
        self._hub.nurseries[peer].start_soon(self._hub.accepts[peer], theirs)
        return ours
