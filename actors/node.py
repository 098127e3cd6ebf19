"""One node as a program: its peer, its gateway, its service, wired to the given ports.

This is what runs inside the gateway actor; with other ports it runs without Ray, in tests.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from actors.announcer import Announcer
from actors.domain import Domain
from actors.gateway import Gateway, Service
from actors.layout import NodeSettings
from actors.network import Network
from actors.ports import RegistryPort, StatePort, StorePort
from actors.record_book import RecordBook
from actors.transfers import Transfers
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing
from p2pgrid.ids import PeerId
from p2pgrid.net.bulk_server import BulkServer
from p2pgrid.net.link import Inbound, Link
from p2pgrid.net.peer import Peer, libp2p_peer

Result = TypeVar("Result")


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
    ) -> Peer:
        """A peer that was not started yet."""


class Node:
    """A running node; ``stop`` ends it. State and values live behind the ports."""

    def __init__(
        self,
        settings: NodeSettings,
        *,
        seed: bytes,
        state: StatePort,
        store: StorePort | None = None,
        objects: Path | None = None,
        registry: RegistryPort | None = None,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
        make_peer: MakePeer = libp2p_peer,
        has_sockets: bool = True,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="p2pgrid-gateway", daemon=True
        )
        self._thread.start()
        self._settings, self._state = settings, state
        self._peer = make_peer(
            seed,
            listen=(settings.listen,),
            announce=settings.announce,
            on_request=self._on_request,
            on_over=self._on_over,
            limits=limits,
            timing=timing,
        )
        self._book = RecordBook(
            seed=seed,
            name=settings.name,
            kind=settings.kind,
            addresses=lambda: self._peer.addresses,
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
        self._service = self._make_service(store, registry, limits)
        self._gateway = Gateway(self._service, peer_id=self._book.peer_id, loop=self._loop)

    @property
    def peer_id(self) -> PeerId:
        """The node's peer id."""
        return self._book.peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach the node."""
        return self._peer.addresses

    def start(self) -> None:
        """Loads the policy, listens, signs the records; announcing goes on in the background.

        Raises:
            PortInUseError: another process listens on the node's port.
        """
        if isinstance(self._service, Domain):
            self._run(self._service.load())
        if self._bulk is not None:
            self._bulk.start()
        self._peer.start()
        if self._transfers is not None:
            asyncio.run_coroutine_threadsafe(self._transfers.run(), self._loop)
        self._run(self._announcer.renew())
        asyncio.run_coroutine_threadsafe(self._announcer.run(), self._loop)

    def stop(self) -> None:
        """Ends all links and frees the port."""
        self._peer.stop()
        self._run(_end_other_tasks())
        if self._transfers is not None:
            self._run(self._transfers.close_all())
        if self._bulk is not None:
            self._bulk.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _on_request(self, inbound: Inbound) -> None:
        self._gateway.on_request(inbound)

    def _on_over(self, link: Link) -> None:
        self._gateway.on_over(link)

    def _make_service(
        self, store: StorePort | None, registry: RegistryPort | None, limits: Limits
    ) -> Service:
        self._announcer = Announcer(
            self._peer,
            self._book,
            networks=self._settings.networks,
            bootstrap=self._settings.bootstrap,
            next_sequence=lambda now: self._state.next_sequence(now=now),
        )
        if registry is not None:
            return Network(registry=registry, book=self._book)
        if store is None or self._transfers is None:
            raise ValueError("a domain needs a store and its directory, a network a registry")
        return Domain(
            state=self._state,
            store=store,
            book=self._book,
            transfers=self._transfers,
            on_published=self._announcer.promptly,
            limits=limits,
        )

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _end_other_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
