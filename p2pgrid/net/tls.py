"""TLS 1.3 connections beside libp2p: an operation over one takes half the time.

Trust: the listener's certificate is fresh in every process; its hash reaches the dialler over a
noise stream, and so does the token whose proof the dialler shows as the first bytes. So each end
knows that the other is the peer at the end of that stream.
Rule: whatever a peer sends, others get their turn after ``READ_BYTES`` of it. ``ssl.SSLSocket``
breaks it: it reads on until data comes, for as long as a stranger sends nothing but key updates.
"""

import hashlib
import hmac
import socket
import ssl

import trio
from typing_extensions import override

from p2pgrid.errors import TransportError
from p2pgrid.net.certificate import client_context
from p2pgrid.net.framing import FramedStream
from p2pgrid.net.splice import without_delay
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.relay import Service
from p2pgrid.protocol.upgrade import Offer

TAKEN = b"\1"
READ_BYTES = 1 << 14
WRITE_BYTES = 1 << 16
"""What is encrypted before others get their turn."""

_BROKEN = (OSError, trio.ClosedResourceError)  # ssl.SSLError is an OSError


class TlsConnection:
    """TLS over a TCP socket, which it owns; one task may read and one may write."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, *, server_side: bool) -> None:
        plain.setblocking(False)
        self._socket = plain
        self._came, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._came, self._to_send, server_side=server_side)

    @property
    def is_open(self) -> bool:
        """False once it was closed here."""
        return self._socket.fileno() != -1

    def certificate_hash(self) -> bytes:
        """SHA-256 of the DER of the certificate that the other end showed."""
        return hashlib.sha256(self._tls.getpeercert(binary_form=True) or b"").digest()

    async def shake_hands(self) -> None:
        """Raises OSError when the other end does not speak TLS 1.3, or hangs up."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            else:
                await self._flush()
                return

    async def receive(self, limit: int) -> bytes:
        """The next bytes, at most ``limit``; none when the other end has said that it ends.

        Raises:
            OSError: the connection broke, or ended without a word.
        """
        while True:
            try:
                return self._tls.read(min(limit, READ_BYTES))
            except ssl.SSLWantReadError:
                await self._feed()

    async def send(self, data: Buffer) -> None:
        """Writes all of ``data``; after a cancellation only ``close`` makes sense.

        Raises:
            OSError: the connection broke.
        """
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left[:WRITE_BYTES]) :]
            await self._flush()
            if left:
                await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """At once; who waits here gets ClosedResourceError, the other end an end of the stream."""
        if self.is_open:
            trio.lowlevel.notify_closing(self._socket.fileno())
            self._socket.close()

    async def _feed(self) -> None:
        """Hands to TLS what came; waits for it, or else gives others their turn."""
        piece, has_waited = None, False
        while piece is None:
            try:
                piece = self._socket.recv(READ_BYTES)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket.fileno())
                has_waited = True
        if not piece:
            raise ConnectionResetError("the other end hung up")
        self._came.write(piece)
        if not has_waited:
            await trio.lowlevel.checkpoint()

    async def _flush(self) -> None:
        left = memoryview(self._to_send.read())
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket.fileno())


class TlsStream(FramedStream):
    """Frames over TLS; ``control``, over which the two agreed on it, ends with it."""

    def __init__(self, connection: TlsConnection, control: FrameStream) -> None:
        super().__init__(control.peer)
        self._connection, self._control = connection, control

    async def connect(self, service: Service, port: int) -> socket.socket:
        """A connection on the way of the stream over which the two agreed on this one."""
        return await self._control.connect(service, port)

    @property
    def is_open(self) -> bool:
        """False once it was closed here."""
        return self._connection.is_open

    @override
    async def _read(self, limit: int) -> bytes:
        try:
            piece = await self._connection.receive(limit)
        except _BROKEN as error:
            self._connection.close()
            raise TransportError(f"{self._peer} closed the link") from error
        if not piece:
            self._connection.close()  # writing would seem to go on
        return piece

    @override
    async def _write(self, data: Buffer) -> None:
        try:
            await self._connection.send(data)
        except _BROKEN as error:
            self._connection.close()
            raise TransportError(f"the link to {self._peer} broke while writing") from error

    async def aclose(self) -> None:
        """Closes the socket at once; the peer sees the end of the stream."""
        self._connection.close()
        await self._control.aclose()


async def connected(
    plain: socket.socket, context: ssl.SSLContext, *, server_side: bool
) -> TlsConnection:
    """TLS over a connected socket, which is closed when that fails.

    Raises:
        OSError: the other end does not speak TLS 1.3, or hung up.
    """
    try:
        without_delay(plain)
        connection = TlsConnection(plain, context, server_side=server_side)
        await connection.shake_hands()
    except BaseException:
        plain.close()
        raise
    return connection


async def take_up(plain: socket.socket, offer: Offer, proof: bytes) -> TlsConnection:
    """A connection to who made the offer; the other end has seen our proof and taken it.

    Args:
        plain: connected to the port of the offer; it belongs to the connection from here on.
        offer: whom to expect there.
        proof: what to show.

    Raises:
        ssl.SSLCertVerificationError: somebody else is there.
        OSError: whoever is there does not want us.
    """
    connection = await connected(plain, client_context(), server_side=False)
    try:
        await _present(connection, offer, proof)
    except BaseException:
        connection.close()
        raise
    return connection


async def _present(connection: TlsConnection, offer: Offer, proof: bytes) -> None:
    """Makes sure of the other end, then tells it who we are."""
    if not hmac.compare_digest(connection.certificate_hash(), offer.certificate):
        raise ssl.SSLCertVerificationError("the certificate is not the one that was offered")
    await connection.send(proof)
    if await connection.receive(1) != TAKEN:
        raise ConnectionRefusedError("the token was not taken")
