"""Takes a control stream from libp2p to TLS, where the network between the two lets it.

libp2p says who is there; a frame over TLS then costs both ends half the time, because it passes
neither yamux nor noise in Python. Rule 1: both ends agree, over libp2p, on which of the two they
use. Rule 2: where TLS does not get through, the libp2p stream goes on as the control stream.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

import trio

from p2pgrid.errors import NetworkError, RemoteProtocolError
from p2pgrid.ids import PeerId
from p2pgrid.net.tls import TlsConnection, TlsStream, take_up
from p2pgrid.net.tls_listener import TlsListener
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol import upgrade
from p2pgrid.protocol.codec import as_frame
from p2pgrid.protocol.upgrade import MAX_OFFER_BYTES

log = logging.getLogger(__name__)

TRY_S = 2.0
"""What a firewall that swallows the TLS port costs a dial, once in ``AVOID_S``."""
AVOID_S = 600.0
MAX_UPGRADED = 1000
"""Streams of others over TLS, each with a descriptor of its own; more stay on libp2p."""


class Upgrades:
    """Both sides of the upgrade; ``listener`` is None where no offers are made."""

    def __init__(self, own: PeerId, listener: TlsListener | None) -> None:
        self._own = own
        self._listener = listener
        self._upgraded: list[TlsStream] = []
        self._avoid: dict[PeerId, float] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Has the TLS port while the context is open; see ``TlsListener.listening``."""
        with nullcontext() if self._listener is None else self._listener.listening():
            yield

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Accepts TLS connections while the context is open."""
        async with trio.open_nursery() as nursery:
            if self._listener is not None:
                nursery.start_soon(self._listener.accept_all)
            yield
            nursery.cancel_scope.cancel()

    async def offer_on(self, control: FrameStream) -> FrameStream:
        """The stream to use with a peer that dialled us: TLS if it came there, else ``control``.

        Raises:
            RemoteProtocolError: it answered the offer with something else.
            TransportError: it hung up.
        """
        self._upgraded = [stream for stream in self._upgraded if stream.is_open]
        if self._listener is None or len(self._upgraded) >= MAX_UPGRADED:
            await control.send(as_frame(upgrade.encode_offer(upgrade.NOTHING)))
            return control
        with self._listener.offering(control.peer) as ticket:
            await control.send(as_frame(upgrade.encode_offer(ticket.offer)))
            if not upgrade.decode_choice(await control.receive(limit=MAX_OFFER_BYTES)):
                return control
            connection = ticket.take()
        if connection is None:
            raise RemoteProtocolError("the peer goes on over TLS, but did not come there")
        upgraded = TlsStream(connection, control)
        self._upgraded.append(upgraded)
        return upgraded

    async def take_on(self, control: FrameStream) -> FrameStream:
        """The stream to use with a peer that we dialled.

        Raises:
            RemoteProtocolError: it made no offer, but said something else.
            TransportError: it hung up.
        """
        offer = upgrade.decode_offer(await control.receive(limit=MAX_OFFER_BYTES))
        if offer.port == 0:
            return control
        connection = await self._dial(control, offer)
        if connection is None:
            await control.send(as_frame(upgrade.encode_choice(taken=False)))
            return control
        try:
            await control.send(as_frame(upgrade.encode_choice(taken=True)))
        except BaseException:
            connection.close()
            raise
        return TlsStream(connection, control)

    async def _dial(self, control: FrameStream, offer: upgrade.Offer) -> TlsConnection | None:
        peer, now = control.peer, trio.current_time()
        self._avoid = {each: until for each, until in self._avoid.items() if until > now}
        if peer in self._avoid:
            return None
        proof = upgrade.proof_of(offer.token, dialler=self._own, listener=peer)
        # Some of the caller's time has to be left for going on over libp2p.
        with trio.move_on_after(min(TRY_S, (trio.current_effective_deadline() - now) / 2)):
            try:
                return await take_up(await control.connect("tls", offer.port), offer, proof)
            except ssl.SSLCertVerificationError:
                log.warning("somebody else is at the TLS port of this peer", extra={"peer": peer})
            except (OSError, NetworkError) as error:
                log.info("no TLS to this peer", extra={"peer": peer, "reason": str(error)})
        self._avoid[peer] = trio.current_time() + AVOID_S
        return None
