"""Where peers come with a token; whoever has none is cut off soon and costs little."""

import hashlib
import logging
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from p2pgrid.ids import PeerId
from p2pgrid.net.certificate import Certificate
from p2pgrid.net.listening import Strangers, listen_on
from p2pgrid.net.tls import TAKEN, TlsConnection, connected
from p2pgrid.protocol.upgrade import PROOF_BYTES, TOKEN_BYTES, Offer, proof_of

log = logging.getLogger(__name__)

MAX_STRANGERS = 64
"""Connections at once that have shown no proof yet; one more cuts off the oldest."""
TOKEN_S = 5.0
NO_ACCEPT_S = 0.1
"""Pause after an ``accept`` that failed, so that a lack of descriptors does not keep us busy."""


class Ticket:
    """What one peer was offered; it gets the connection of the first who shows the proof."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self._connection: TlsConnection | None = None
        self._is_over = False

    def give(self, connection: TlsConnection) -> None:
        """Hands over a connection; it is closed when nobody waits for it any more."""
        if self._is_over:
            connection.close()
        else:
            self._connection = connection

    def take(self) -> TlsConnection | None:
        """The connection, which is the caller's from here on; None when nobody came."""
        taken, self._connection = self._connection, None
        return taken

    def end(self) -> None:
        """Nobody waits any more; a connection that was not taken is closed."""
        self._is_over = True
        if (left := self.take()) is not None:
            left.close()


class TlsListener:
    """Accepts connections for the offers that are open, one per peer."""

    def __init__(self, own: PeerId, host: str, port: int) -> None:
        self._own, self._host, self._port = own, host, port
        self._socket: socket.socket
        self._certificate = Certificate()
        self._tickets: dict[bytes, Ticket] = {}
        self._latest: dict[PeerId, Ticket] = {}
        self._strangers = Strangers(limit=MAX_STRANGERS, wait_s=TOKEN_S)

    @property
    def port(self) -> int:
        """Where it listens; known once it does."""
        return self._port

    @contextmanager
    def offering(self, peer: PeerId) -> Iterator[Ticket]:
        """An offer to a peer; it holds while the context is open, or until the peer's next one."""
        token = secrets.token_bytes(TOKEN_BYTES)
        ticket = Ticket(Offer(self._port, self._certificate.sha256, token))
        key = _key(proof_of(token, dialler=peer, listener=self._own))
        if (older := self._latest.get(peer)) is not None:
            older.end()
        self._tickets[key] = self._latest[peer] = ticket
        try:
            yield ticket
        finally:
            ticket.end()
            self._tickets.pop(key, None)
            if self._latest.get(peer) is ticket:
                del self._latest[peer]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Has the port while the context is open.

        Raises:
            PortInUseError: another process listens there.
            NodeError: this machine does not let us listen there.
        """
        with listen_on(self._host, self._port) as self._socket:
            self._port = int(self._socket.getsockname()[1])
            yield

    async def accept_all(self) -> None:
        """Accepts for the offers that are open, until it is cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(self._socket.fileno())
                try:
                    plain, _ = self._socket.accept()
                except OSError:  # it went away, or there are no descriptors left
                    await trio.sleep(NO_ACCEPT_S)
                else:
                    nursery.start_soon(self._meet, plain)

    async def _meet(self, plain: socket.socket) -> None:
        try:
            with self._strangers.admitted():
                context = self._certificate.context
                await self._admit(await connected(plain, context, server_side=True))
        except OSError:
            log.debug("a TLS connection ended before it showed a token")

    async def _admit(self, connection: TlsConnection) -> None:
        """Leaves the connection in its ticket, or closes it."""
        try:
            proof = await _read_proof(connection)
            ticket = self._tickets.pop(_key(proof), None)
            if ticket is None:
                connection.close()
                return
            await connection.send(TAKEN)
        except BaseException:
            connection.close()
            raise
        ticket.give(connection)


async def _read_proof(connection: TlsConnection) -> bytes:
    """The first bytes that the other end sends; too few when it ends before."""
    proof = b""
    while len(proof) < PROOF_BYTES:
        piece = await connection.receive(PROOF_BYTES - len(proof))
        if not piece:
            break
        proof += piece
    return proof


def _key(proof: bytes) -> bytes:
    """Proofs are looked up by their hash, so that timing tells nothing about them."""
    return hashlib.sha256(proof).digest()
