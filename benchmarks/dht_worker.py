"""One process of ``benchmarks.dht``: some nodes, which do what they are told.

``python -m benchmarks.dht_worker {p2pgrid,baseline} FIRST COUNT`` prints the address of its first
node; then it answers every line of JSON on standard input, ``[word, argument]``, with one.
"""

import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import trio
from libp2p.abc import IHost

from benchmarks.baselines import libp2p_kad
from p2pgrid.errors import NetworkError
from p2pgrid.ids import PeerId
from p2pgrid.net.dht import Dht
from p2pgrid.net.host import build_host, running
from p2pgrid.protocol.records import DHT_RECORD_BYTES, SignedRecord, dht_key, verify

LISTEN = ("/ip4/127.0.0.1/tcp/0",)
GET_CAP_S = 40.0
"""What a get that does not end by itself counts as."""


class Node(Protocol):
    """What is measured."""

    address: str
    """A multiaddr with the peer id."""

    @property
    def table_size(self) -> int:
        """How many peers the table has."""

    async def join(self, addresses: Sequence[str]) -> None:
        """Enters the network through a known peer."""

    async def refresh(self) -> None:
        """Fills the table."""

    async def put(self, record: SignedRecord) -> None:
        """Stores a record in the network."""

    async def get(self, peer: PeerId) -> bytes | None:
        """The record of a peer as it was signed, or None."""

    def holds(self, peer: PeerId) -> bool:
        """Whether a copy is here that the network stored here."""

    def forget(self, peer: PeerId) -> None:
        """Drops every copy that is here."""


class GridNode:
    """One node of p2pgrid."""

    def __init__(self, host: IHost, dht: Dht) -> None:
        self.address = str(host.get_addrs()[0])
        self._dht = dht

    async def join(self, addresses: Sequence[str]) -> None:
        """Enters the network through a known peer."""
        while await self._dht.join(addresses) == 0:
            pass  # on a busy machine an answer may come too late

    async def refresh(self) -> None:
        """Fills the table."""
        await self._dht.refresh()

    async def put(self, record: SignedRecord) -> None:
        """Stores a record with the peers nearest to its key."""
        await self._dht.put(record)

    async def get(self, peer: PeerId) -> bytes | None:
        """The record of a peer as it was signed, or None."""
        try:
            return (await self._dht.get_signed(peer)).signed.encode()
        except NetworkError:
            return None

    def holds(self, peer: PeerId) -> bool:
        """Whether a copy is here that the network stored here."""
        return self._dht._kad.store.held(dht_key(peer)) != b""  # noqa: SLF001

    def forget(self, peer: PeerId) -> None:
        """Drops every copy that is here."""
        self._dht._kad.store.records.pop(dht_key(peer), None)  # noqa: SLF001
        self._dht._cache._kept.pop(peer, None)  # noqa: SLF001

    @property
    def table_size(self) -> int:
        """How many peers the table has."""
        return len(self._dht.table)


@asynccontextmanager
async def _grid_node(host: IHost) -> AsyncIterator[GridNode]:
    dht = Dht(host, server=True, now=time.time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dht.run)
        yield GridNode(host, dht)
        nursery.cancel_scope.cancel()


KINDS: dict[str, Callable[[IHost], AbstractAsyncContextManager[Node]]] = {
    "p2pgrid": _grid_node,
    "baseline": libp2p_kad.serving,
}


class Worker:
    """The nodes of this process. Times are in milliseconds."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = list(nodes)
        self._turn = 0
        self._asked: dict[PeerId, Node] = {}

    async def join(self, addresses: list[str]) -> int:
        """Every node enters the network, but the one that is there; how many."""
        others = [node for node in self._nodes if node.address not in addresses]
        for node in others:
            await node.join(addresses)
        return len(others)

    async def refresh(self, _: None) -> list[int]:
        """Every node fills its table; their sizes."""
        for node in self._nodes:
            await node.refresh()
        return [node.table_size for node in self._nodes]

    async def put(self, record: str) -> float:
        """The next node stores a record."""
        self._turn += 1
        node = self._nodes[self._turn % len(self._nodes)]
        started = time.perf_counter()
        await node.put(SignedRecord.decode(bytes.fromhex(record)))
        return (time.perf_counter() - started) * 1e3

    async def get(self, peer: PeerId) -> tuple[float, bool]:
        """A node without a copy, in turn, asks the network; and whether it found the record."""
        self._turn += 1
        turns = [*self._nodes[self._turn % len(self._nodes) :], *self._nodes]
        node = next((node for node in turns if not node.holds(peer)), turns[0])
        node.forget(peer)
        self._asked[peer] = node
        return await _timed_get(node, peer)

    async def get_cached(self, peer: PeerId) -> tuple[float, bool]:
        """The node that asked last asks again."""
        return await _timed_get(self._asked[peer], peer)


async def _timed_get(node: Node, peer: PeerId) -> tuple[float, bool]:
    value = None
    started = time.perf_counter()
    with trio.move_on_after(GET_CAP_S):
        value = await node.get(peer)
    took_ms = (time.perf_counter() - started) * 1e3
    if value is not None:
        verify(value, now=time.time(), expect_peer=peer, max_bytes=DHT_RECORD_BYTES)
    return took_ms, value is not None


async def main(kind: str, first: int, count: int) -> None:
    """Serves until standard input ends."""
    async with AsyncExitStack() as stack:
        seeds = [number.to_bytes(32, "big") for number in range(first, first + count)]
        hosts = [build_host(seed, LISTEN) for seed in seeds]
        for host in hosts:
            await stack.enter_async_context(running(host, LISTEN))
        nodes = [await stack.enter_async_context(KINDS[kind](host)) for host in hosts]
        _say([nodes[0].address])
        worker = Worker(nodes)
        async for line in trio.wrap_file(sys.stdin):
            word, argument = json.loads(line)
            _say(await getattr(worker, word)(argument))


def _say(answer: Any) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
