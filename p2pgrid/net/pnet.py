"""Who may speak to a host at all: members of its closed network or, without a key, open peers.

With a key every connection is encrypted before libp2p says a word: libp2p's private networks,
version 1, that is XSalsa20 with a nonce of 24 bytes in each direction. Either way the first bytes
of the other end have to be libp2p's greeting, or the connection is over: without this check
py-libp2p takes what somebody else sent for the length of a message, and waits for it.

Trust: who holds the key is a member; which member, noise proves, inside. What is encrypted here is
not authenticated: noise refuses what was changed on the way. ADR 0013 says why py-libp2p's own
``psk`` is not used.
"""

import secrets

from libp2p.abc import IRawConnection, ISecureConn
from libp2p.custom_types import TMuxerOptions, TSecurityOptions
from libp2p.io.exceptions import IncompleteReadError, IOException
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.protocol_muxer.multiselect import MULTISELECT_PROTOCOL_ID
from libp2p.transport.upgrader import TransportUpgrader
from libp2p.utils.varint import encode_delim
from multiaddr import Multiaddr
from typing_extensions import override

from p2pgrid.net.xsalsa20 import NONCE_BYTES, keystream
from p2pgrid.protocol.secret import Secret

GREETING = encode_delim(MULTISELECT_PROTOCOL_ID.encode())
"""What both ends of every libp2p connection say first."""


class StrangerError(IOException):  # type: ignore[misc]
    """The other end does not speak in our key; libp2p's own kind, so that it hangs up quietly."""

    def __init__(self, *, has_key: bool) -> None:
        super().__init__("the first bytes of the other end are not a greeting in our key")
        self.has_key = has_key


class Upgrader(TransportUpgrader):  # type: ignore[misc]
    """libp2p's, behind the check of the first bytes, and the network's key if there is one."""

    def __init__(
        self,
        security: TSecurityOptions,
        muxers: TMuxerOptions,
        *,
        network_key: Secret | None,
    ) -> None:
        super().__init__(security, muxers)
        self._key = network_key

    @override
    async def upgrade_security(
        self, raw_conn: IRawConnection, is_initiator: bool, peer_id: ID | None = None
    ) -> ISecureConn:
        key = self._key
        checked = OpenConnection(raw_conn) if key is None else ClosedConnection(raw_conn, key)
        return await super().upgrade_security(checked, is_initiator, peer_id)


class OpenConnection(RawConnection):  # type: ignore[misc]
    """A connection whose other end has to greet first."""

    def __init__(self, raw: IRawConnection) -> None:
        super().__init__(raw, raw.is_initiator, raw.get_connection_type())
        self._raw = raw
        self._has_greeted = False
        self._ahead = b""

    @override
    async def read(self, n: int | None = None) -> bytes:
        """Up to ``n`` bytes; none at the end.

        Raises:
            StrangerError: instead of the first bytes, when they are no greeting in our key.
        """
        if not self._has_greeted:
            await self._greet()
            self._has_greeted, self._ahead = True, GREETING
        if self._ahead:
            taken = self._ahead[:n]
            self._ahead = self._ahead[len(taken) :]
            return taken
        return await self._next(n)

    @override
    def get_transport_addresses(self) -> list[Multiaddr]:
        return list(self._raw.get_transport_addresses())

    async def _greet(self) -> None:
        heard = b""
        while len(heard) < len(GREETING):
            heard += await self._exactly(1)
            if not GREETING.startswith(heard):
                raise StrangerError(has_key=False)

    async def _next(self, n: int | None) -> bytes:
        return bytes(await super().read(n))

    async def _exactly(self, n: int) -> bytes:
        heard = b""
        while len(heard) < n:
            piece = await self._next(n - len(heard))
            if not piece:
                raise IncompleteReadError("the other end hung up before it greeted")
            heard += piece
        return heard


class ClosedConnection(OpenConnection):
    """The same, with both directions encrypted by the key of a network."""

    def __init__(self, raw: IRawConnection, key: Secret) -> None:
        super().__init__(raw)
        self._key = key
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._outgoing = keystream(key, self._nonce)
        self._unsent = self._nonce

    @override
    async def write(self, data: bytes) -> None:
        """Sends bytes; our nonce before the first ones."""
        unsent, self._unsent = self._unsent, b""
        await super().write(unsent + self._outgoing.encrypt(data))

    @override
    async def _greet(self) -> None:
        heard = await self._exactly(len(GREETING))
        if heard == GREETING:
            raise StrangerError(has_key=True)  # in the open
        nonce = heard + await self._exactly(NONCE_BYTES - len(GREETING))
        if nonce == self._nonce:
            raise StrangerError(has_key=True)  # an echo of ourselves
        incoming = keystream(self._key, nonce)
        if incoming.encrypt(await self._exactly(len(GREETING))) != GREETING:
            raise StrangerError(has_key=True)
        self._incoming = incoming

    @override
    async def _next(self, n: int | None) -> bytes:
        data = await super()._next(n)
        return self._incoming.encrypt(data) if self._has_greeted else data
