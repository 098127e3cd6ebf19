"""Discovery on a ``MemoryHub``: a DHT that everybody sees whole, for tests without sockets."""

import contextlib
import time
from collections.abc import Sequence

import trio

from p2pgrid.errors import NetworkKeyError, PeerUnreachableError, RecordError
from p2pgrid.ids import PeerId
from p2pgrid.net.memory import MemoryHub
from p2pgrid.protocol.records import (
    DHT_RECORD_BYTES,
    NodeRecord,
    SignedRecord,
    normalise_tag,
    verify,
)


class MemoryDiscovery:
    """What one peer sees of the hub's records and announcements; it verifies like the real one."""

    def __init__(self, hub: MemoryHub, peer_id: PeerId) -> None:
        self._hub = hub
        self._peer_id = peer_id

    async def run(self) -> None:
        """Nothing to serve."""
        await trio.sleep_forever()

    async def join(self, addresses: Sequence[str]) -> int:
        """How many of the addressed peers are on the hub."""
        await trio.lowlevel.checkpoint()
        peers = [PeerId(address.rsplit("/", 1)[-1]) for address in addresses]
        there = [peer for peer in peers if peer in self._hub.accepts]
        members = [peer for peer in there if self._hub.are_together(self._peer_id, peer)]
        if there and not members:
            has_key = self._hub.keys[self._peer_id] is not None
            raise NetworkKeyError(peer=there[0], has_key=has_key)
        return len(members)

    async def put(self, record: SignedRecord) -> None:
        """Keeps our record."""
        await trio.lowlevel.checkpoint()
        self._read(record.encode(), self._peer_id)
        self._hub.records[self._peer_id] = record.encode()

    async def get(self, peer: PeerId, *, again: bool = False) -> NodeRecord:  # noqa: ARG002
        """The verified record of a peer; nothing is remembered here."""
        await trio.lowlevel.checkpoint()
        if not self._knows(peer):
            raise PeerUnreachableError(peer=peer, addresses=0, reason="no record on the hub")
        return self._read(self._hub.records[peer], peer)

    async def announce(self, tag: str) -> None:
        """Notes that we have something with this tag."""
        await trio.lowlevel.checkpoint()
        self._hub.tags.setdefault(normalise_tag(tag), set()).add(self._peer_id)

    async def find(self, tag: str) -> tuple[tuple[PeerId, NodeRecord], ...]:
        """Who announced a tag and is on the hub now; who has no valid record is dropped."""
        found = []
        for peer in sorted(self._hub.tags.get(normalise_tag(tag), ())):
            with contextlib.suppress(PeerUnreachableError, RecordError):
                found.append((peer, await self.get(peer)))
        return tuple(found)

    def _knows(self, peer: PeerId) -> bool:
        return peer in self._hub.records and self._hub.are_together(self._peer_id, peer)

    @staticmethod
    def _read(record: bytes, peer: PeerId) -> NodeRecord:
        body, _ = verify(record, now=time.time(), expect_peer=peer, max_bytes=DHT_RECORD_BYTES)
        if not isinstance(body, NodeRecord):
            raise TypeError("the DHT holds records of nodes only")
        return body
