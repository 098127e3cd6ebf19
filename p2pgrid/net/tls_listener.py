"""Where peers come with a token; whoever has none is cut off soon and costs little."""

import hashlib
import logging
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import trio

from p2pgrid.net.tls import TAKEN, Certificate, shake_hands, when_ready
from p2pgrid.protocol.upgrade import TOKEN_BYTES, Offer

log = logging.getLogger(__name__)

MAX_STRANGERS = 64
"""Connections at once that have not shown a token."""
TOKEN_S = 5.0
BACKLOG = 128
"""As many as may wait for ``accept``."""


class Ticket:
    """What one peer was offered; it gets the connection of the first who shows the token."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.connection: ssl.SSLSocket | None = None

    def take(self) -> ssl.SSLSocket | None:
        """The connection, which is the caller's from here on; None when nobody came."""
        taken, self.connection = self.connection, None
        return taken


class TlsListener:
    """Accepts connections for the offers that are open."""

    def __init__(self, host: str, port: int) -> None:
        self._certificate = Certificate()
        self._tickets: dict[bytes, Ticket] = {}
        self._strangers = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])

    @contextmanager
    def offering(self) -> Iterator[Ticket]:
        """An offer that holds while the context is open."""
        token = secrets.token_bytes(TOKEN_BYTES)
        ticket = Ticket(Offer(self.port, self._certificate.sha256, token))
        self._tickets[_key(token)] = ticket
        try:
            yield ticket
        finally:
            self._tickets.pop(_key(token), None)
            if (left := ticket.take()) is not None:
                left.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Accepts while the context is open."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._accept_all, nursery)
                yield
                nursery.cancel_scope.cancel()
        finally:
            self._socket.close()

    async def _accept_all(self, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._socket.fileno())
            try:
                plain, _ = self._socket.accept()
            except OSError:  # it went away, or there are no descriptors left
                await trio.sleep(0.01)
                continue
            if self._strangers >= MAX_STRANGERS:
                plain.close()
                continue
            self._strangers += 1
            nursery.start_soon(self._meet, plain)

    async def _meet(self, plain: socket.socket) -> None:
        try:
            with trio.move_on_after(TOKEN_S):
                connection = await shake_hands(plain, self._certificate.context, server_side=True)
                await self._admit(connection)
        except OSError:
            log.debug("a TLS connection ended before it showed a token")
        finally:
            self._strangers -= 1

    async def _admit(self, connection: ssl.SSLSocket) -> None:
        """Leaves the connection in its ticket, or closes it."""
        ticket = None
        try:
            token = b""
            while len(token) < TOKEN_BYTES:
                left = TOKEN_BYTES - len(token)
                piece = await when_ready(connection, partial(connection.recv, left))
                if not piece:
                    return
                token += piece
            ticket = self._tickets.pop(_key(token), None)
            if ticket is not None:
                await when_ready(connection, partial(connection.send, TAKEN))
                ticket.connection = connection
        finally:
            if ticket is None or ticket.connection is not connection:
                connection.close()


def _key(token: bytes) -> bytes:
    """Tokens are looked up by their hash, so that timing tells nothing about them."""
    return hashlib.sha256(token).digest()
