"""A pack: many nodes in one process, each a peer of its own on the network.

A node of a pack has its own key, directory, database, libp2p host, port, links and policy. The
nodes share the two event loops and one worker thread, on which all their databases and stores do
their work: so 50 nodes are three threads, and a long operation of one delays the others' operations
but none of their heartbeats.

A pack is no trust boundary: whoever takes over one of its nodes has them all.
"""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from actors.exports import Exports
from actors.layout import NodeDirectory, write_private
from actors.local import LocalRegistry, LocalState, LocalStore
from actors.local_hosts import LocalHosts
from actors.loop import LoopThread
from actors.node import Node
from actors.registry import Registry
from actors.state import State
from actors.store import Store
from p2pgrid.errors import P2PGridError
from p2pgrid.net.peer import libp2p_peer
from p2pgrid.net.portal import Portal

ANNOUNCING = 1
"""So many nodes of a pack tell the DHT of themselves at once; see ``Announcer``."""

log = logging.getLogger(__name__)


class Serving(NamedTuple):
    """Where a node listens, and the process that it runs in."""

    addresses: tuple[str, ...]
    pid: int
    metrics: str
    url: str


class Pack:
    """Nodes by directory; ``record`` is the file that says which they are, for a restart."""

    def __init__(self, record: Path) -> None:
        self._record = record
        self._portal = Portal("p2pgrid-pack")
        self._loop = LoopThread("p2pgrid-pack-loop")
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="p2pgrid-pack-store")
        self._announcing = asyncio.Semaphore(ANNOUNCING)
        self._nodes: dict[Path, PackedNode] = {}
        for path in self._recorded():
            self._start_again(path)

    def start(self, directories: Sequence[Path]) -> dict[Path, str]:
        """Starts nodes, all or none; those that run already are left as they are.

        Returns:
            The setup tokens of those that it started and that have no owner.

        Raises:
            PortInUseError: another process listens on the port of one of them.
        """
        started = [path for path in directories if path not in self._nodes]
        with ExitStack() as undo:
            for path in started:
                self._nodes[path] = self._start_node(path)
                undo.callback(self._stop_node, path)
            self._write_record()
            undo.pop_all()
        tokens = {path: self._nodes[path].begin_setup() for path in started}
        return {path: token for path, token in tokens.items() if token}

    def stop(self, directories: Sequence[Path]) -> None:
        """Stops nodes, and no others; their ports are free when it returns."""
        for path in directories:
            if path in self._nodes:
                self._stop_node(path)
        self._write_record()

    def serving(self) -> dict[Path, Serving]:
        """The nodes that run here."""
        pid = os.getpid()
        return {
            path: Serving(node.addresses, pid, node.metrics, node.url)
            for path, node in self._nodes.items()
        }

    def close(self) -> None:
        """Stops all nodes and ends the threads; the record keeps them."""
        for path in tuple(self._nodes):
            self._stop_node(path)
        self._portal.stop()
        self._loop.stop()
        self._worker.shutdown()

    def _start_again(self, path: Path) -> None:
        """One that cannot start again must not keep the others down."""
        try:
            self._nodes[path] = self._start_node(path)
        except (P2PGridError, OSError, sqlite3.Error):
            log.exception("node not started again", extra={"directory": path})

    def _start_node(self, path: Path) -> "PackedNode":
        return PackedNode(
            NodeDirectory(path),
            portal=self._portal,
            loop=self._loop,
            worker=self._worker,
            announcing=self._announcing,
        )

    def _stop_node(self, path: Path) -> None:
        self._nodes.pop(path).stop()

    def _recorded(self) -> tuple[Path, ...]:
        with suppress(FileNotFoundError):
            return tuple(map(Path, msgspec.json.decode(self._record.read_bytes(), type=list[str])))
        return ()

    def _write_record(self) -> None:
        write_private(self._record, msgspec.json.encode([str(path) for path in self._nodes]))


class PackedNode:
    """A node with its services beside it; it serves from the end of ``__init__`` on."""

    def __init__(
        self,
        directory: NodeDirectory,
        *,
        portal: Portal,
        loop: LoopThread,
        worker: ThreadPoolExecutor,
        announcing: asyncio.Semaphore,
    ) -> None:
        settings, exports = directory.settings(), Exports(directory.exports)
        self._kind, self._worker = settings.kind, worker
        with ExitStack() as undo:
            self._state = state = State(directory.database)
            # Behind what the node has still under way there.
            undo.callback(lambda: worker.submit(state.close).result())
            store = registry = None
            if settings.kind == "domain":
                store = LocalStore(Store(directory.objects), worker)
                state.enrol_owner(directory.owner_key())
            else:
                listed = Registry(directory.registry)
                undo.callback(lambda: worker.submit(listed.close).result())
                registry = LocalRegistry(listed, worker)
            self._node = Node(
                settings,
                seed=directory.seed(),
                network_key=directory.network_key(),
                state=LocalState(state, worker),
                store=store,
                objects=directory.objects if store is not None else None,
                exports=exports if store is not None else None,
                hosts=LocalHosts(exports) if store is not None else None,
                registry=registry,
                make_peer=partial(libp2p_peer, portal=portal),
                loop=loop,
                announcing=announcing,
            )
            undo.callback(self._node.stop)
            self._node.start()
            self._undo = undo.pop_all()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach the node."""
        return self._node.addresses

    @property
    def metrics(self) -> str:
        """Where its metrics are read."""
        return self._node.metrics

    @property
    def url(self) -> str:
        """Where its document is read."""
        return self._node.url

    def begin_setup(self) -> str:
        """A setup token, when it is a domain without an owner; else empty."""
        if self._kind != "domain":
            return ""
        begin = partial(self._state.begin_setup, now=int(time.time()))
        return self._worker.submit(begin).result()

    def stop(self) -> None:
        """Ends its links, frees its port and closes its files."""
        self._undo.close()
