"""One node as a program: its peer, its gateway, its service, wired to the given ports.

This is what runs inside the gateway actor; with other ports it runs without Ray, in tests.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from actors.announcer import Announcer
from actors.capabilities import Capabilities
from actors.domain import Domain
from actors.exports import Exports
from actors.gateway import Gateway, Service
from actors.layout import LOOPBACK, NodeSettings
from actors.loop import LoopThread, end_tasks
from actors.metrics import NodeCollector, metrics_pages
from actors.network import Network
from actors.no_hosts import NoHosts
from actors.pages import PageServer
from actors.places import Places
from actors.ports import HostsPort, RegistryPort, StatePort, StorePort
from actors.pushing import Pusher
from actors.record_book import RecordBook
from actors.transfers import Transfers
from actors.web import document_pages, network_pages
from p2pgrid.client.frameworks import installed_frameworks
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.ids import PeerId
from p2pgrid.net.bulk_server import BulkServer
from p2pgrid.net.counters import Counters
from p2pgrid.net.link import Inbound, Link
from p2pgrid.net.peer import Peer, Routing, libp2p_peer
from p2pgrid.net.relay import Relay, RelayPorts
from p2pgrid.protocol.entity_ids import entity_secret
from p2pgrid.protocol.proxy import parse_proxy
from p2pgrid.protocol.records import MAX_ADDRESSES
from p2pgrid.protocol.secret import Secret


class MakePeer(Protocol):
    """How a node comes by its end of the network."""

    def __call__(
        self,
        seed: bytes,
        *,
        listen: Sequence[str],
        announce: Sequence[str],
        on_request: Callable[[Inbound], None],
        on_over: Callable[[Link], None],
        limits: Limits,
        timing: Timing,
        network_key: Secret | None,
        routing: Routing,
    ) -> Peer:
        """A peer that was not started yet."""


class Node:
    """A running node; ``stop`` ends it. State and values live behind the ports.

    Nodes of one process may share a ``loop``, which a node stops only if it made it itself, and
    ``announcing``: how many of them may tell the DHT at once.
    """

    def __init__(
        self,
        settings: NodeSettings,
        *,
        seed: bytes,
        network_key: Secret | None = None,
        state: StatePort,
        store: StorePort | None = None,
        objects: Path | None = None,
        exports: Exports | None = None,
        hosts: HostsPort | None = None,
        registry: RegistryPort | None = None,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
        make_peer: MakePeer = libp2p_peer,
        loop: LoopThread | None = None,
        announcing: asyncio.Semaphore | None = None,
        has_sockets: bool = True,
    ) -> None:
        self._owns_loop = loop is None
        self._loop = loop or LoopThread()
        self._background: list[asyncio.Task[None]] = []
        self._is_open = network_key is None
        self._turns = announcing or asyncio.Semaphore()
        self._settings, self._state = settings, state
        self._relay: Relay | None = None
        if has_sockets and settings.is_relay:
            ports = RelayPorts(settings.relay_port, settings.websocket_port)
            self._relay = Relay(settings.host, ports, limits=limits, timing=timing)
        self._peer = make_peer(
            seed,
            listen=(settings.listen,),
            announce=settings.announce,
            on_request=self._on_request,
            on_over=self._on_over,
            limits=limits,
            timing=timing,
            network_key=network_key,
            routing=Routing(
                parse_proxy(settings.proxy) if settings.proxy else None,
                settings.relayed,
                self._relay,
            ),
        )
        self._places: Places | None = None
        if settings.relayed:
            self._places = Places(self._peer, name=settings.name, bulk_port=self._bulk_port)
        self._book = RecordBook(
            seed=seed,
            name=settings.name,
            kind=settings.kind,
            addresses=lambda: self.addresses,
            frameworks=installed_frameworks(),
        )
        self._bulk: BulkServer | None = None
        if has_sockets and store is not None:
            self._bulk = BulkServer(
                host=settings.host,
                port=settings.bulk_port,
                peer_id=self._book.peer_id,
                limits=limits,
                timing=timing,
            )
        self._transfers: Transfers | None = None
        if objects is not None:
            self._transfers = Transfers(
                objects, server=self._bulk, name=settings.name, limits=limits, timing=timing
            )
        self._entity_secret = entity_secret(seed)
        self._capabilities = Capabilities(seed, domain=self._book.peer_id, state=state)
        self._service = self._make_service(
            store, registry, exports=exports, hosts=hosts, limits=limits, timing=timing
        )
        self._gateway = Gateway(
            self._service,
            peer_id=self._book.peer_id,
            loop=self._loop.loop,
            handlers={} if self._places is None else self._places.handlers,
        )
        collector = NodeCollector(
            self._gateway.meter,
            load=self._service.held,
            links=lambda: self._peer.links,
            planes={"control": self._peer.counters}
            | ({} if self._bulk is None else {"bulk": self._bulk.counters})
            | ({} if self._relay is None else {"relay": self._relay.counters}),
        )
        self._metrics = PageServer(metrics_pages(collector))
        pages = {**document_pages(self._book)}
        if isinstance(self._service, Network):
            pages |= network_pages(self._service)
        self._web = PageServer(pages)

    @property
    def peer_id(self) -> PeerId:
        """The node's peer id."""
        return self._book.peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach the node; of one that is relayed none before its relay answered."""
        relayed = () if self._places is None else self._places.addresses
        return (*self._peer.addresses, *relayed)[:MAX_ADDRESSES]

    @property
    def metrics(self) -> str:
        """Where processes of this machine read the node's metrics; empty before the start."""
        return f"{self._metrics.url}/metrics"

    @property
    def url(self) -> str:
        """Where it serves its document over HTTP; empty before the start, and in a closed one."""
        return self._web.url

    def start(self) -> None:
        """Loads the policy, listens, and lists itself at its networks.

        A network that does not answer is waited for a moment, and then in the background.

        Raises:
            PortInUseError: another process listens on one of the node's ports.
        """
        self._loop.run(self._metrics.start(LOOPBACK, self._settings.metrics_port))
        if self._is_open:  # who is in a closed network is nobody else's business
            self._loop.run(self._web.start(self._settings.http_host, self._settings.http_port))
        if isinstance(self._service, Domain):
            self._loop.run(self._service.load())
        if self._bulk is not None:
            self._bulk.start()
        self._peer.start()
        if self._transfers is not None:
            self._background.append(self._loop.spawn(self._transfers.run()))
        self._loop.run(self._announcer.begin())
        self._background.append(self._loop.spawn(self._announcer.run()))
        self._loop.run(self._announcer.first_told())

    def stop(self) -> None:
        """Ends all links and frees the port."""
        self._loop.run(end_tasks(self._background))  # they would dial again
        self._peer.stop()
        self._loop.run(self._metrics.stop())
        self._loop.run(self._web.stop())
        self._loop.run(self._gateway.close())
        if isinstance(self._service, Domain):
            self._loop.run(self._service.close())
        if self._transfers is not None:
            self._loop.run(self._transfers.close_all())
        if self._bulk is not None:
            self._bulk.close()
        if self._owns_loop:
            self._loop.stop()

    def _on_request(self, inbound: Inbound) -> None:
        self._gateway.on_request(inbound)

    def _on_over(self, link: Link) -> None:
        self._gateway.on_over(link)
        self._loop.loop.call_soon_threadsafe(self._announcer.on_over, link)

    def _bulk_port(self) -> int | None:
        return None if self._bulk is None else self._bulk.port

    def _make_service(
        self,
        store: StorePort | None,
        registry: RegistryPort | None,
        *,
        exports: Exports | None,
        hosts: HostsPort | None,
        limits: Limits,
        timing: Timing,
    ) -> Service:
        self._announcer = Announcer(
            self._peer,
            self._book,
            networks=self._settings.networks,
            bootstrap=self._settings.bootstrap,
            next_sequence=lambda now: self._state.next_sequence(now=now),
            turns=self._turns,
            places=self._places,
        )
        if registry is not None:
            return Network(registry=registry, book=self._book, relay=self._relay)
        if store is None or self._transfers is None:
            raise ValueError("a domain needs a store and its directory, a network a registry")
        return Domain(
            state=self._state,
            store=store,
            book=self._book,
            entity_secret=self._entity_secret,
            transfers=self._transfers,
            capabilities=self._capabilities,
            pusher=Pusher(
                self._book.peer_id,
                self._peer.link_to,
                name=self._settings.name,
                counters=Counters() if self._bulk is None else self._bulk.counters,
                limits=limits,
                timing=timing,
            ),
            hosts=hosts or NoHosts(),
            classes=dict if exports is None else exports.classes,
            on_published=self._announcer.promptly,
            is_open=self._settings.signup == "open",
            limits=limits,
            timing=timing,
        )
