"""libp2p behind the transport seam: one ``/p2pgrid/1`` stream carries all frames of a pair."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.network.stream.exceptions import StreamError
from typing_extensions import override

from p2pgrid.errors import (
    PeerUnreachableError,
    RemoteProtocolError,
    RemoteTimeoutError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net import host as libp2p_host
from p2pgrid.net.framing import FramedStream
from p2pgrid.net.tls_listener import TlsListener
from p2pgrid.net.transport import Accept, FrameStream
from p2pgrid.net.upgrade import Upgrades
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.secret import Secret

log = logging.getLogger(__name__)

RESET_S = 1.0
OFFER_S = 10.0


class Libp2pStream(FramedStream):
    """Frames over one libp2p stream."""

    def __init__(self, stream: Any) -> None:
        super().__init__(PeerId(stream.muxed_conn.peer_id.to_base58()))
        self._stream = stream
        self._is_writing = False

    @property
    def host(self) -> str:
        """The IP address of the other end; empty where libp2p cannot tell."""
        address = self._stream.get_remote_address()
        return str(address[0]) if address else ""

    @override
    async def _write(self, data: Buffer) -> None:
        self._is_writing = True
        try:
            await self._stream.write(data)
        except (StreamError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise TransportError(f"the link to {self._peer} broke while writing") from error
        self._is_writing = False

    @override
    async def _read(self, limit: int) -> bytes:
        try:
            return bytes(await self._stream.read(limit))
        except (StreamError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise TransportError(f"{self._peer} closed the link") from error

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
    """One libp2p host; noise, yamux and TCP only, upgraded to TLS where both ends can.

    ``tls_port`` is where it listens for that, on the interface of the first address in ``listen``
    (0: any port; None: it makes no offers).
    """

    def __init__(
        self,
        seed: bytes,
        listen: Sequence[str],
        announce: Sequence[str] = (),
        *,
        network_key: Secret | None = None,
        tls_port: int | None = 0,
    ) -> None:
        self._listen = tuple(listen)
        self._addresses: tuple[str, ...] = ()
        self.host: Any = libp2p_host.build_host(
            seed, self._listen, announce=announce, network_key=network_key
        )
        self._upgrades = Upgrades(self.peer_id, self._listener(tls_port))

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
            control = Libp2pStream(stream)
            try:
                with trio.fail_after(OFFER_S):
                    upgraded = await self._upgrades.offer_on(control)
            except (TransportError, RemoteProtocolError, trio.TooSlowError):
                await control.aclose()
                return
            try:
                await accept(upgraded)
            finally:
                await upgraded.aclose()

        self.host.set_stream_handler(libp2p_host.CONTROL_PROTOCOL, on_stream)
        with self._upgrades.listening():  # before libp2p: who comes there may be offered it
            async with libp2p_host.running(self.host, self._listen), self._upgrades.serving():
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
        control = Libp2pStream(await libp2p_host.open_stream(self.host, peer, timeout_s=left_s))
        try:
            with trio.fail_at(until):
                return await self._upgraded(control)
        except trio.TooSlowError as error:
            raise RemoteTimeoutError(peer=peer, timeout_s=timeout_s) from error
        except TransportError as error:
            reason = "it hung up before the link was made"
            raise PeerUnreachableError(peer=peer, addresses=1, reason=reason) from error

    async def _upgraded(self, control: Libp2pStream) -> FrameStream:
        try:
            return await self._upgrades.take_on(control)
        except BaseException:
            await control.aclose()
            raise

    def _listener(self, port: int | None) -> TlsListener | None:
        if port is None or not self._listen:
            return None
        return TlsListener(self.peer_id, libp2p_host.host_in(self._listen[0]), port)


def peer_id_in(address: str) -> PeerId:
    """The peer id at the end of a multiaddr.

    Raises:
        AddressError: it is no TCP multiaddr that ends in a peer id.
    """
    peer, _ = libp2p_host.parse_address(address)
    return peer
