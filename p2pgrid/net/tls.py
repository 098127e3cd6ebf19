"""TLS 1.3 sockets beside libp2p: an operation over one takes half the time.

Trust: the listener's certificate is fresh in every process and nobody vouches for it; its hash
reaches the dialler over a noise stream, and so does a token that the dialler shows as the first
bytes. So each end knows that the other is the peer at the end of that stream.
"""

import datetime as dt
import hashlib
import hmac
import socket
import ssl
import tempfile
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override

from p2pgrid.errors import TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net.framing import FramedStream
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.upgrade import Offer

VALID = dt.timedelta(days=3650)
"""Longer than a process lives; what counts is the hash, not the dates."""
TAKEN = b"\1"
TURNS = 16
"""So many reads or writes in a row may find the socket ready before others get their turn."""

Result = TypeVar("Result")

_BROKEN = (OSError, trio.ClosedResourceError)  # ssl.SSLError is an OSError


class TlsStream(FramedStream):
    """Frames over one TLS socket."""

    def __init__(self, connection: ssl.SSLSocket, peer: PeerId) -> None:
        super().__init__(peer)
        self._connection = connection
        self._turn = 0

    @override
    async def _read(self, limit: int) -> bytes:
        try:
            return await self._ready(partial(self._connection.recv, limit))
        except _BROKEN as error:
            raise TransportError(f"{self._peer} closed the link") from error

    @override
    async def _write(self, data: Buffer) -> None:
        left = memoryview(data)
        try:
            while left:
                written = await self._ready(partial(self._connection.send, left))
                left = left[written:]
        except _BROKEN as error:
            raise TransportError(f"the link to {self._peer} broke while writing") from error

    async def _ready(self, work: Callable[[], Result]) -> Result:
        self._turn = (self._turn + 1) % TURNS
        if self._turn == 0:
            await trio.lowlevel.checkpoint()
        return await when_ready(self._connection, work)

    async def aclose(self) -> None:
        """Closes the socket at once; the peer sees the end of the stream."""
        trio.lowlevel.notify_closing(self._connection.fileno())
        self._connection.close()


class Certificate:
    """A self-signed certificate and what both sides need of it."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2pgrid")])
        start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        signed = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + VALID)
            .sign(key, hashes.SHA256())
        )
        self.sha256 = hashlib.sha256(signed.public_bytes(serialization.Encoding.DER)).digest()
        self.context = _context(ssl.PROTOCOL_TLS_SERVER)
        self.context.num_tickets = 0  # a connection is never resumed
        with tempfile.NamedTemporaryFile() as file:  # ssl reads keys from files only
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
                + signed.public_bytes(serialization.Encoding.PEM)
            )
            file.flush()
            self.context.load_cert_chain(file.name)


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _client_context() -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # ``connect`` compares the hash instead
    return context


async def shake_hands(
    plain: socket.socket, context: ssl.SSLContext, *, server_side: bool
) -> ssl.SSLSocket:
    """TLS over a connected socket, which it owns from here on.

    Raises:
        OSError: the other end does not speak TLS 1.3, or hung up.
    """
    plain.setblocking(False)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = context.wrap_socket(plain, server_side=server_side, do_handshake_on_connect=False)
    try:
        await when_ready(connection, connection.do_handshake)
    except BaseException:
        connection.close()
        raise
    return connection


async def when_ready(connection: ssl.SSLSocket, work: Callable[[], Result]) -> Result:
    """Does what a socket that does not block may refuse, as soon as it does not refuse."""
    while True:
        try:
            return work()
        except ssl.SSLWantReadError:
            await trio.lowlevel.wait_readable(connection.fileno())
        except ssl.SSLWantWriteError:
            await trio.lowlevel.wait_writable(connection.fileno())


async def dial_tls(host: str, offer: Offer) -> ssl.SSLSocket:
    """A connection to who made the offer; it has seen our token and taken it.

    Raises:
        OSError: nobody is there, or somebody else, or not for this token.
    """
    stream = await trio.open_tcp_stream(host, offer.port)
    plain = socket.socket(fileno=stream.socket.detach())
    connection = await shake_hands(plain, _client_context(), server_side=False)
    try:
        await _present(connection, offer)
    except BaseException:
        connection.close()
        raise
    return connection


async def _present(connection: ssl.SSLSocket, offer: Offer) -> None:
    """Makes sure of the other end, then tells it who we are."""
    shown = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").digest()
    if not hmac.compare_digest(shown, offer.certificate):
        raise ssl.SSLCertVerificationError("the certificate is not the one that was offered")
    await when_ready(connection, partial(connection.sendall, offer.token))
    if await when_ready(connection, partial(connection.recv, 1)) != TAKEN:
        raise ConnectionRefusedError("the token was not taken")
