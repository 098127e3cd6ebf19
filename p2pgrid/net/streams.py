"""libp2p behind the transport seam: one ``/p2pgrid/1`` stream carries all frames of a pair."""

import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
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
from p2pgrid.net.addresses import NOWHERE, Route, host_in, parse_address, parse_multiaddr, route_of
from p2pgrid.net.framing import FramedStream
from p2pgrid.net.pipes import Pipes
from p2pgrid.net.relay import Relay
from p2pgrid.net.tls_listener import TlsListener
from p2pgrid.net.transport import Accept, FrameStream
from p2pgrid.net.upgrade import Upgrades
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.relay import Service
from p2pgrid.protocol.secret import Secret

log = logging.getLogger(__name__)

EVERYWHERE, LOOPBACK = "0.0.0.0", "127.0.0.1"  # noqa: S104 compared with, never listened on
RESET_S = 1.0
OFFER_S = 10.0


class Libp2pStream(FramedStream):
    """Frames over one libp2p stream."""

    def __init__(self, stream: Any, pipes: Pipes | None = None, route: Route | None = None) -> None:
        super().__init__(PeerId(stream.muxed_conn.peer_id.to_base58()))
        self._stream, self._pipes, self._route = stream, pipes or Pipes(), route
        self._is_writing = False

    async def connect(self, service: Service, port: int) -> socket.socket:
        """A connection on the route that we dialled, or back to where the peer came from."""
        route, came_from = self._route, self._stream.get_remote_address()
        if route is None:
            if not came_from:
                raise ConnectionRefusedError(f"nothing is known of the way back to {self._peer}")
            route = Route(str(came_from[0]), port)
        return await self._pipes.connect(route, service, port=port)

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
    (0: any port; None: it makes no offers). ``pipes`` is how it dials; ``relay`` is served beside.
    """

    def __init__(
        self,
        seed: bytes,
        listen: Sequence[str],
        announce: Sequence[str] | None = (),
        *,
        network_key: Secret | None = None,
        tls_port: int | None = 0,
        pipes: Pipes | None = None,
        relay: Relay | None = None,
    ) -> None:
        self._listen = tuple(listen)
        self._addresses: tuple[str, ...] = ()
        self._pipes, self._relay = pipes or Pipes(), relay
        self.host: Any = libp2p_host.build_host(
            seed, self._listen, announce=announce, pipes=self._pipes, network_key=network_key
        )
        self._tls = self._listener(tls_port)
        self._upgrades = Upgrades(self.peer_id, self._tls)

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
            control = Libp2pStream(stream, self._pipes)
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
        async with AsyncExitStack() as stack:
            # Before libp2p: who comes there may be offered it.
            stack.enter_context(self._upgrades.listening())
            await stack.enter_async_context(self._pipes.serving())
            await stack.enter_async_context(libp2p_host.running(self.host, self._listen))
            await stack.enter_async_context(self._upgrades.serving())
            if self._listen:
                told = map(str, self.host.get_addrs())
                self._addresses = tuple(it for it in told if not it.startswith(str(NOWHERE)))
            if self._relay is not None:
                await stack.enter_async_context(self._relaying(self._relay))
            yield

    @asynccontextmanager
    async def _relaying(self, relay: Relay) -> AsyncIterator[None]:
        """Serves the relay; who cannot reach us otherwise reaches us by its WebSocket."""
        async with relay.serving(self.peer_id, self._addresses, self._services()):
            by_websocket = [address for address in relay.addresses if "/tls/ws" in address]
            self._addresses = tuple(dict.fromkeys((*self._addresses, *by_websocket)))
            yield

    async def bring(self, pipe: Incoming, relays: Sequence[str], *, bulk_port: int | None) -> None:
        """See ``Transport``; the ticket is shown at the relay, whatever the service."""
        services = self._services()
        if bulk_port is not None:
            services["bulk"] = (self._own_host, bulk_port)
        if pipe.service not in services:
            raise ConnectionRefusedError(f"we have no {pipe.service} port")
        routes = [route_of(parse_multiaddr(relay)) for relay in relays]
        await self._pipes.bring(routes, pipe.ticket, to=services[pipe.service])

    def _services(self) -> dict[Service, tuple[str, int]]:
        """Where this host listens, for connections from this machine."""
        port = route_of(self.host.get_transport_addrs()[0]).port
        services: dict[Service, tuple[str, int]] = {"libp2p": (self._own_host, port)}
        if self._tls is not None:
            services["tls"] = (self._own_host, self._tls.port)
        return services

    @property
    def _own_host(self) -> str:
        host = host_in(self._listen[0])
        return LOOPBACK if host == EVERYWHERE else host

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
        stream = await libp2p_host.open_stream(self.host, peer, timeout_s=left_s)
        control = Libp2pStream(stream, self._pipes, self.host.routes.get(stream.muxed_conn))
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
        return TlsListener(self.peer_id, host_in(self._listen[0]), port)


def peer_id_in(address: str) -> PeerId:
    """The peer id at the end of a multiaddr.

    Raises:
        AddressError: it is no TCP multiaddr that ends in a peer id.
    """
    peer, _ = parse_address(address)
    return peer
