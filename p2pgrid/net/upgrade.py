"""Takes a control stream from libp2p to TLS, where the network between the two lets it.

libp2p says who is there; a frame over TLS then costs both ends half the time, because it passes
neither yamux nor noise in Python. Rule 1: both ends agree, over libp2p, on which of the two they
use. Rule 2: where TLS does not get through, the libp2p stream goes on as the control stream.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.ids import PeerId
from p2pgrid.net.tls import TlsStream, dial_tls
from p2pgrid.net.tls_listener import TlsListener
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol import upgrade
from p2pgrid.protocol.codec import Buffer, as_frame
from p2pgrid.protocol.upgrade import MAX_OFFER_BYTES

log = logging.getLogger(__name__)

TRY_S = 2.0
"""What a firewall that swallows the TLS port costs a dial, once in ``AVOID_S``."""
AVOID_S = 600.0


class ControlStream(FrameStream, Protocol):
    """A libp2p stream that may be upgraded."""

    @property
    def remote_host(self) -> str | None:
        """The IP address of the other end; None when it is not known."""

    async def end(self) -> None:
        """Says that no more comes from here; what was sent arrives."""


class Upgrades:
    """Both sides of the upgrade; ``listener`` is None where no offers are made."""

    def __init__(self, listener: TlsListener | None) -> None:
        self._listener = listener
        self._avoid: dict[PeerId, float] = {}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Accepts TLS connections while the context is open."""
        if self._listener is None:
            yield
        else:
            async with self._listener.serving():
                yield

    async def offer_on(self, control: ControlStream) -> FrameStream:
        """The stream to use with a peer that dialled us: TLS if it came there, else ``control``.

        Raises:
            RemoteProtocolError: it answered the offer with something else.
            TransportError: it hung up.
        """
        if self._listener is None:
            await control.send(as_frame(upgrade.encode_offer(upgrade.NOTHING)))
            return control
        with self._listener.offering() as ticket:
            await control.send(as_frame(upgrade.encode_offer(ticket.offer)))
            answer = await control.receive(limit=MAX_OFFER_BYTES)
            connection = ticket.take()
        if not upgrade.decode_choice(answer):
            if connection is not None:
                connection.close()
            return control
        if connection is None:
            raise RemoteProtocolError("the peer goes on over TLS, but did not come there")
        upgraded = TlsStream(connection, control.peer)
        await _leave(control, upgraded)
        return upgraded

    async def take_on(self, control: ControlStream) -> FrameStream:
        """The stream to use with a peer that we dialled.

        Raises:
            RemoteProtocolError: it made no offer, but said something else.
            TransportError: it hung up.
        """
        offer = upgrade.decode_offer(await control.receive(limit=MAX_OFFER_BYTES))
        if offer.port == 0:
            return control
        upgraded = await self._dial(control, offer)
        if upgraded is None:
            await control.send(as_frame(upgrade.encode_choice(taken=False)))
            return control
        await _leave(control, upgraded, saying=as_frame(upgrade.encode_choice(taken=True)))
        return upgraded

    async def _dial(self, control: ControlStream, offer: upgrade.Offer) -> TlsStream | None:
        host, peer = control.remote_host, control.peer
        if host is None or self._avoid.get(peer, 0.0) > trio.current_time():
            return None
        with trio.move_on_after(TRY_S):
            try:
                return TlsStream(await dial_tls(host, offer), peer)
            except OSError as error:
                log.info("no TLS to this peer", extra={"peer": peer, "reason": str(error)})
        self._avoid[peer] = trio.current_time() + AVOID_S
        return None


async def _leave(
    control: ControlStream, upgraded: TlsStream, *, saying: Sequence[Buffer] = ()
) -> None:
    """Ends our side of the libp2p stream; when that fails the other one is closed, too."""
    try:
        if saying:
            await control.send(saying)
        await control.end()
    except BaseException:
        await upgraded.aclose()
        raise
