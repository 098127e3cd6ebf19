"""A peer: what the layers above see of the network; blocking calls from any thread."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import AsyncExitStack
from typing import NamedTuple, TypeVar

import trio

from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.errors import (
    IdentityMismatchError,
    LocalProtocolError,
    PeerUnreachableError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.counters import Counters
from p2pgrid.net.dht import Dht
from p2pgrid.net.link import Inbound, Link
from p2pgrid.net.pipes import Pipes
from p2pgrid.net.portal import Portal
from p2pgrid.net.relay import Relay
from p2pgrid.net.streams import Libp2pTransport
from p2pgrid.net.transport import Discovery, FrameStream, Transport
from p2pgrid.protocol.messages import Incoming
from p2pgrid.protocol.proxy import Proxy
from p2pgrid.protocol.records import NodeRecord, SignedRecord
from p2pgrid.protocol.secret import Secret

log = logging.getLogger(__name__)

Result = TypeVar("Result")

MakeTransport = Callable[[], tuple[Transport, Discovery]]
SPARE_S = 5.0


class Peer:
    """One identity on the network: it dials, listens, and finds others.

    ``on_request`` is called in the network thread for every request of another peer, and
    ``on_over`` when a link has ended; neither may block. There is at most one open link per
    pair of peers, whoever dialled.
    """

    def __init__(
        self,
        make_transport: MakeTransport,
        *,
        on_request: Callable[[Inbound], None],
        on_over: Callable[[Link], None] = lambda _: None,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
        portal: Portal | None = None,
    ) -> None:
        self.counters = Counters()
        """Bytes on the control streams of all peers."""
        self._make_transport = make_transport
        self._on_request, self._on_over = on_request, on_over
        self._limits, self._timing = limits, timing
        self._own_portal = portal is None
        self._portal = portal or Portal()
        self._links: dict[PeerId, Link] = {}
        self._calls: set[trio.CancelScope] = set()
        self._served: Future[None] | None = None

    def start(self) -> None:
        """Starts to listen and to serve; returns when others can reach us.

        Raises:
            AddressError, PortInUseError, NodeError: see ``host.build_host``; nothing was started.
        """
        ready: Future[None] = Future()
        self._served = self._portal.start(self._serve, ready)
        self._served.add_done_callback(lambda served: _pass_on(served, ready))
        try:
            ready.result()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends all links and stops to listen; returns when that is done."""
        if self._served is not None:
            if not self._served.done():
                self._portal.soon(self._quit.set)
            wait((self._served,))
        if self._own_portal:
            self._portal.stop()

    @property
    def peer_id(self) -> PeerId:
        """Who we are."""
        return self._transport.peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach us."""
        return self._transport.addresses

    @property
    def links(self) -> int:
        """How many peers are connected."""
        return len(self._links)

    def soon(self, function: Callable[[], object]) -> None:
        """Calls a plain function in the network thread; it must not block."""
        self._portal.soon(function)

    def later(self, delay_s: float, function: Callable[[], object]) -> None:
        """Calls a plain function in the network thread after a while; it must not block."""

        async def call() -> None:
            await trio.sleep(delay_s)
            function()

        self._portal.start(call)

    def link_to(self, peer: PeerId, addresses: Sequence[str]) -> Link:
        """The open link to a peer; dials when there is none.

        Raises:
            PeerUnreachableError, IdentityMismatchError, NetworkKeyError, RemoteProtocolError:
                see ``Transport.dial``.
            LocalProtocolError: this peer was stopped, or never started.
        """
        return self._open_link(peer) or self._call(
            lambda: self._dial(peer, tuple(addresses)), wait_s=self._timing.dial_s
        )

    def reach(self, peer: PeerId) -> Link:
        """The open link to a peer; dials where its record on the DHT says when there is none.

        A peer that has moved may be dialled at its old place first: then the DHT is asked again.

        Raises:
            PeerUnreachableError: there is no record of it, or nobody answered there.
            IdentityMismatchError, NetworkKeyError, RemoteProtocolError, LocalProtocolError: see
                ``link_to``.
        """
        if (link := self._open_link(peer)) is not None:
            return link
        known = self.get(peer)
        try:
            return self.link_to(peer, known.addresses)
        except (PeerUnreachableError, IdentityMismatchError):
            newest = self.get(peer, again=True)
            if newest.addresses == known.addresses:
                raise
        return self.link_to(peer, newest.addresses)

    def hang_up(self, peer: PeerId) -> None:
        """Ends the link to a peer, if there is one; then ``link_to`` dials again."""
        link = self._open_link(peer)
        if link is not None:

            async def close() -> None:
                link.close("this program hung up")

            self._call(close, wait_s=self._timing.hello_s)

    def bring(self, pipe: Incoming, relays: Sequence[str], *, bulk_port: int | None) -> None:
        """Brings a pipe that a relay asks for; see ``Transport.bring``."""
        self._call(
            lambda: self._transport.bring(pipe, relays, bulk_port=bulk_port),
            wait_s=self._timing.hello_s,
        )

    def join(self, addresses: Sequence[str]) -> int:
        """Enters the DHT through known peers; how many of them answered.

        Raises:
            NetworkKeyError: none did, and at least one is not in our closed network.
        """
        return self._call(lambda: self._discovery.join(tuple(addresses)), wait_s=self._timing.dht_s)

    def put(self, record: SignedRecord) -> None:
        """Puts our record on the DHT."""
        self._call(lambda: self._discovery.put(record), wait_s=self._timing.dht_s)

    def get(self, peer: PeerId, *, again: bool = False) -> NodeRecord:
        """The newest verified record of a peer on the DHT; ``again``: newer than remembered."""
        return self._call(lambda: self._discovery.get(peer, again=again), wait_s=self._timing.dht_s)

    def announce(self, tag: str) -> None:
        """Says on the DHT that we have something with this tag."""
        self._call(lambda: self._discovery.announce(tag), wait_s=self._timing.dht_s)

    def find(self, tag: str) -> tuple[tuple[PeerId, NodeRecord], ...]:
        """Peers that announced a tag, each with its verified record."""
        return self._call(lambda: self._discovery.find(tag), wait_s=self._timing.dht_s)

    def _call(self, work: Callable[[], Awaitable[Result]], *, wait_s: float) -> Result:
        if self._served is None or self._served.done():
            raise LocalProtocolError("this peer was stopped, or never started")
        try:
            return self._portal.call(lambda: self._until_stopped(work), timeout_s=wait_s + SPARE_S)
        except TimeoutError:
            raise TransportError(f"the network gave no answer within {wait_s:g} s") from None
        except CancelledError:
            raise TransportError("this peer was stopped", retryable=False) from None

    async def _until_stopped(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """What dials while its host is being closed would leave a connection behind."""
        with trio.CancelScope() as scope:
            if self._quit.is_set():
                scope.cancel()
            self._calls.add(scope)
            try:
                return await work()
            finally:
                self._calls.remove(scope)
        raise TransportError("this peer was stopped", retryable=False)

    async def _serve(self, ready: "Future[None]") -> None:
        self._quit = trio.Event()
        self._dialling: dict[PeerId, trio.Lock] = {}
        self._transport, self._discovery = self._make_transport()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._transport.serve(self._accept))
            self._nursery = await stack.enter_async_context(trio.open_nursery())
            self._nursery.start_soon(self._discovery.run)
            ready.set_result(None)
            await self._quit.wait()
            for scope in self._calls:
                scope.cancel()
            self._nursery.cancel_scope.cancel()

    async def _accept(self, stream: FrameStream) -> None:
        link = self._link_over(stream, dialled=False)
        if link is None:
            await stream.aclose()
        else:
            await self._run(link)

    def _link_over(self, stream: FrameStream, *, dialled: bool) -> Link | None:
        """The link over a new stream; None when the pair keeps the link that it has.

        A peer that dials again lost its end of the old link. Where both dialled at once, both
        keep the stream that the peer with the larger id dialled.
        """
        old = self._open_link(stream.peer)
        if old is not None:
            crossed = old.dialled is not dialled
            if crossed and dialled is not (self.peer_id > stream.peer):
                return None
            old.close(f"{stream.peer} opened another link")
        link = Link(
            stream,
            dialled=dialled,
            limits=self._limits,
            timing=self._timing,
            on_request=self._on_request,
            counters=self.counters,
        )
        self._links[link.peer] = link
        return link

    def _open_link(self, peer: PeerId) -> Link | None:
        link = self._links.get(peer)
        return link if link is not None and link.is_open else None

    async def _run(self, link: Link) -> None:
        try:
            await link.run()
        finally:
            if self._links.get(link.peer) is link:
                del self._links[link.peer]
            self._on_over(link)

    async def _dial(self, peer: PeerId, addresses: tuple[str, ...]) -> Link:
        if peer == self.peer_id:
            raise LocalProtocolError("a peer cannot dial itself")
        async with self._dialling.setdefault(peer, trio.Lock()):
            if (link := self._open_link(peer)) is not None:
                return link
            try:
                stream = await self._transport.dial(peer, addresses, timeout_s=self._timing.dial_s)
            except PeerUnreachableError:
                # A peer that dialled us at the same time may refuse our stream half-way.
                if (link := self._open_link(peer)) is not None:
                    return link
                raise
            if self._quit.is_set():
                await stream.aclose()
                raise TransportError("this peer was stopped", retryable=False)
            new = self._link_over(stream, dialled=True)
            if new is None:
                kept = self._links[peer]
                await stream.aclose()
                return kept
            self._nursery.start_soon(self._run, new)
            return new


class Routing(NamedTuple):
    """How a peer reaches others, and they it."""

    proxy: Proxy | None = None
    """Through which all of its own connections go."""
    is_relayed: bool = False
    """True when it takes no connections: others reach it by the relays of its networks."""
    relay: Relay | None = None
    """What it serves for others that are relayed."""


STRAIGHT = Routing()


def libp2p_peer(
    seed: bytes,
    *,
    listen: Sequence[str],
    announce: Sequence[str] = (),
    on_request: Callable[[Inbound], None],
    on_over: Callable[[Link], None] = lambda _: None,
    limits: Limits = DEFAULT_LIMITS,
    timing: Timing = DEFAULT_TIMING,
    network_key: Secret | None = None,
    portal: Portal | None = None,
    routing: Routing = STRAIGHT,
) -> Peer:
    """A peer on libp2p; it serves the DHT when others reach it, and only asks it otherwise.

    ``announce`` are multiaddrs to tell others instead of those of ``listen``. With a
    ``network_key`` it is in a closed network. Peers of one process may share a ``portal``; they do
    not stop it.
    """

    def make_transport() -> tuple[Transport, Discovery]:
        pipes = Pipes(routing.proxy, limits=limits, timing=timing)
        told = None if routing.is_relayed and not announce else announce
        transport = Libp2pTransport(
            seed, listen, told, pipes=pipes, relay=routing.relay, network_key=network_key
        )
        is_reached = bool(listen) and not routing.is_relayed
        return transport, Dht(
            transport.host, server=is_reached, now=time.time, timeout_s=timing.dht_s
        )

    return Peer(
        make_transport,
        on_request=on_request,
        on_over=on_over,
        limits=limits,
        timing=timing,
        portal=portal,
    )


def _pass_on(served: "Future[None]", ready: "Future[None]") -> None:
    """A start that failed tells whoever waits for it; what fails later is in the log."""
    error = None if served.cancelled() else served.exception()
    if not ready.done():
        ready.set_exception(error or TransportError("the network thread was stopped"))
    elif error is not None:
        log.error("the network of this peer failed", exc_info=error)
