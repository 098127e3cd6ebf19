"""The seam between links and what carries them."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from p2pgrid.ids import PeerId
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.records import NodeRecord, SignedRecord
from p2pgrid.protocol.relay import Service


class FrameStream(Protocol):
    """An ordered stream of frames to one authenticated peer.

    Every method may raise ``TransportError`` when the stream is over; after that it stays over.
    """

    @property
    def peer(self) -> PeerId:
        """Who is at the other end; proved by the transport, not claimed."""

    @property
    def heard_at(self) -> float:
        """When the last byte came in, in trio's time."""

    async def send(self, chunks: Sequence[Buffer]) -> None:
        """Writes one frame, including its size prefix."""

    async def receive(self, *, limit: int) -> Buffer:
        """Reads one frame without its size prefix.

        Raises:
            RemoteProtocolError: the frame claims more than ``limit`` bytes.
        """

    async def connect(self, service: Service, port: int) -> socket.socket:
        """A connection to another port of the peer, on the way that this stream goes.

        Raises:
            OSError: there is no such way, or nobody is there.
            TransportError, RemoteProtocolError: somebody on the way refused it.
        """

    async def aclose(self) -> None:
        """Ends the stream at once, in both directions; never waits for the peer."""


Accept = Callable[[FrameStream], Awaitable[None]]


class Transport(Protocol):
    """Dials peers and accepts their streams; all of it runs inside trio."""

    @property
    def peer_id(self) -> PeerId:
        """Who we are."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach us, with our peer id; empty when we do not listen."""

    def serve(self, accept: Accept) -> AbstractAsyncContextManager[None]:
        """Listens while the context is open; calls ``accept`` in a task per stream."""

    async def bring(self, pipe: Incoming, relays: Sequence[str], *, bulk_port: int | None) -> None:
        """Brings the pipe that a relay asks for, and leads it to our own service.

        Args:
            pipe: what the relay sent.
            relays: where it takes pipes, as multiaddrs; the first that works is used.
            bulk_port: where our bulk plane listens, if it does.

        Raises:
            OSError, NetworkError: it could not be brought; see ``Pipes.bring``.
        """

    async def dial(
        self, peer: PeerId, addresses: Sequence[str], *, timeout_s: float
    ) -> FrameStream:
        """Opens a stream.

        Raises:
            PeerUnreachableError: no address answered in time.
            IdentityMismatchError: somebody else answered.
            NetworkKeyError: who answered is not in our closed network, or we are not in theirs.
            RemoteProtocolError: the peer does not speak our protocol.
        """


class Discovery(Protocol):
    """Finds peers without a registry; all of it runs inside trio, under a deadline."""

    async def run(self) -> None:
        """Serves others and keeps what was put alive, until cancelled."""

    async def join(self, addresses: Sequence[str]) -> int:
        """Connects to known peers; how many answered.

        Raises:
            NetworkKeyError: none did, and at least one is not in our closed network.
        """

    async def put(self, record: SignedRecord) -> None:
        """Publishes our own signed record."""

    async def get(self, peer: PeerId, *, again: bool = False) -> NodeRecord:
        """The newest verified record of a peer; ``again``: whatever is remembered of it.

        Raises:
            PeerUnreachableError: none was found.
        """

    async def announce(self, tag: str) -> None:
        """Says that we have something with this tag."""

    async def find(self, tag: str) -> tuple[tuple[PeerId, NodeRecord], ...]:
        """Peers that announced a tag, each with its verified record."""
