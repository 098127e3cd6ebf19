"""libp2p behind the transport seam: one ``/p2pgrid/1`` stream carries all frames of a pair."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.network.stream.exceptions import StreamError

from p2pgrid.errors import PeerUnreachableError, RemoteTimeoutError, TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net import host as libp2p_host
from p2pgrid.net.transport import Accept, FrameStream
from p2pgrid.protocol.codec import PREFIX_BYTES, Buffer, frame_size

log = logging.getLogger(__name__)

READ_BYTES = 1 << 18
JOIN_BELOW = 1 << 16
RESET_S = 1.0


class Libp2pStream:
    """Frames over one libp2p stream; reads ahead, so that a small frame costs one read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._peer = PeerId(stream.muxed_conn.peer_id.to_base58())
        address: tuple[str, int] | None = stream.get_remote_address()
        self._host = address[0] if address else ""
        self._ahead = bytearray()
        self._is_writing = False
        self._heard_at = trio.current_time()

    @property
    def peer(self) -> PeerId:
        """The peer id that noise authenticated."""
        return self._peer

    @property
    def host(self) -> str:
        """The IP address of the other end of the connection."""
        return self._host

    @property
    def heard_at(self) -> float:
        """When the last byte came in, in trio's time."""
        return self._heard_at

    async def send(self, chunks: Sequence[Buffer]) -> None:
        """Writes one frame; small ones in a single write."""
        if sum(len(chunk) for chunk in chunks) < JOIN_BELOW:
            chunks = (b"".join(chunks),)
        self._is_writing = True
        try:
            for chunk in chunks:
                await self._stream.write(chunk)
        except (StreamError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise TransportError(f"the link to {self._peer} broke while writing") from error
        self._is_writing = False

    async def receive(self, *, limit: int) -> Buffer:
        """Reads one frame; memory grows with the bytes that came, not with those claimed."""
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
            try:
                piece = await self._stream.read(READ_BYTES)
            except (StreamError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise TransportError(f"{self._peer} closed the link") from error
            if not piece:
                raise TransportError(f"{self._peer} closed the link")
            self._heard_at = trio.current_time()
            self._ahead += piece

    async def aclose(self) -> None:
        """Resets the stream: a graceful close would wait for a peer that may be frozen."""
        with trio.move_on_after(RESET_S) as closing:
            closing.shield = True
            if not self._is_writing:
                await self._stream.reset()
                return
        # What was cut off may be half of an encrypted message: nothing can follow it.
        with trio.CancelScope(shield=True):
            await self._stream.muxed_conn.secured_conn.close()


class Libp2pTransport:
    """One libp2p host; noise, yamux and TCP only."""

    def __init__(self, seed: bytes, listen: Sequence[str], announce: Sequence[str] = ()) -> None:
        self._listen = tuple(listen)
        self._addresses: tuple[str, ...] = ()
        self.host: Any = libp2p_host.build_host(seed, self._listen, announce=announce)

    @property
    def peer_id(self) -> PeerId:
        """The peer id of the host's key."""
        return PeerId(self.host.get_id().to_base58())

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses on which the host listens, with its peer id; known once it serves."""
        return self._addresses

    @asynccontextmanager
    async def serve(self, accept: Accept) -> AsyncIterator[None]:
        """Runs the host while the context is open."""

        async def on_stream(stream: Any) -> None:
            await accept(Libp2pStream(stream))

        self.host.set_stream_handler(libp2p_host.CONTROL_PROTOCOL, on_stream)
        async with libp2p_host.running(self.host, self._listen):
            if self._listen:
                self._addresses = tuple(str(address) for address in self.host.get_addrs())
            yield

    async def dial(
        self, peer: PeerId, addresses: Sequence[str], *, timeout_s: float
    ) -> FrameStream:
        """Connects if need be and opens the control stream."""
        if libp2p_host.is_connected(self.host, peer):
            timeout_s /= 2
            try:
                return await self._open(peer, addresses, timeout_s=timeout_s)
            except RemoteTimeoutError:
                # libp2p does not notice for minutes that a connection is dead.
                await libp2p_host.hang_up(self.host, peer)
            except PeerUnreachableError:
                log.debug("a connection broke as it was to be used again", extra={"peer": peer})
        try:
            return await self._open(peer, addresses, timeout_s=timeout_s)
        except RemoteTimeoutError as error:
            reason = f"no answer within {timeout_s:g} s"
            raise PeerUnreachableError(
                peer=peer, addresses=len(addresses), reason=reason
            ) from error

    async def _open(
        self, peer: PeerId, addresses: Sequence[str], *, timeout_s: float
    ) -> FrameStream:
        until = trio.current_time() + timeout_s
        await libp2p_host.connect(self.host, peer, addresses, timeout_s=timeout_s)
        left_s = max(until - trio.current_time(), 0)
        return Libp2pStream(await libp2p_host.open_stream(self.host, peer, timeout_s=left_s))


def peer_id_in(address: str) -> PeerId:
    """The peer id at the end of a multiaddr.

    Raises:
        AddressError: it is no TCP multiaddr that ends in a peer id.
    """
    peer, _ = libp2p_host.parse_address(address)
    return peer
