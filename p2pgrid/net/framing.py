"""Frames over any ordered stream of bytes; reads ahead, so that a small frame costs one read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import trio

from p2pgrid.errors import TransportError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.codec import PREFIX_BYTES, Buffer, frame_size

READ_BYTES = 1 << 18
JOIN_BELOW = 1 << 16
FRAMES_PER_TURN = 64
"""So many frames may be read ahead in one piece before others get their turn."""


class FramedStream(ABC):
    """The part of a ``FrameStream`` that does not depend on what carries the bytes."""

    def __init__(self, peer: PeerId) -> None:
        self._peer = peer
        self._ahead = bytearray()
        self._received = 0
        self._heard_at = trio.current_time()

    @property
    def peer(self) -> PeerId:
        """Who is at the other end; the transport has proved it."""
        return self._peer

    @property
    def heard_at(self) -> float:
        """When the last byte came in, in trio's time."""
        return self._heard_at

    async def send(self, chunks: Sequence[Buffer]) -> None:
        """Writes one frame; small ones in a single write."""
        if sum(len(chunk) for chunk in chunks) < JOIN_BELOW:
            chunks = (b"".join(chunks),)
        for chunk in chunks:
            await self._write(chunk)

    async def receive(self, *, limit: int) -> Buffer:
        """Reads one frame; memory grows with the bytes that came, not with those claimed."""
        self._received += 1
        if self._received % FRAMES_PER_TURN == 0:
            await trio.lowlevel.checkpoint()
        await self._fill(PREFIX_BYTES)
        size = frame_size(bytes(self._ahead[:PREFIX_BYTES]), limit=limit)
        await self._fill(PREFIX_BYTES + size)
        if len(self._ahead) == PREFIX_BYTES + size:
            body, self._ahead = self._ahead, bytearray()
            return memoryview(body)[PREFIX_BYTES:]
        body = bytearray(memoryview(self._ahead)[PREFIX_BYTES : PREFIX_BYTES + size])
        del self._ahead[: PREFIX_BYTES + size]
        return memoryview(body)

    async def _fill(self, size: int) -> None:
        while len(self._ahead) < size:
            piece = await self._read(READ_BYTES)
            if not piece:
                raise TransportError(f"{self._peer} closed the link")
            self._heard_at = trio.current_time()
            self._ahead += piece

    @abstractmethod
    async def _read(self, limit: int) -> bytes:
        """The next bytes, at most ``limit``; none at the end of the stream.

        Raises:
            TransportError: the stream broke.
        """

    @abstractmethod
    async def _write(self, data: Buffer) -> None:
        """Writes all of ``data``.

        Raises:
            TransportError: the stream broke.
        """
