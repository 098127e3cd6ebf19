"""py-libp2p's Kademlia as it comes, on the host that p2pgrid uses, so that only the DHT differs.

The host is the kinder one to it: on libp2p's default host every dial takes a quarter of a second.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from libp2p.abc import IHost
from libp2p.host.basic_host import BasicHost
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.records.validator import NamespacedValidator, Validator
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr
from typing_extensions import override

from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.kad_store import check
from p2pgrid.protocol.records import DHT_NAMESPACE, SignedRecord, dht_key


class RecordValidator(Validator):  # type: ignore[misc]
    """The rules of p2pgrid's records, as libp2p wants them."""

    @override
    def validate(self, key: str, value: bytes) -> None:
        check(key, value, now=time.time())

    @override
    def select(self, key: str, values: Sequence[bytes]) -> int:
        """The index of the newest."""
        seqs = [SignedRecord.decode(value).body().seq for value in values]
        return max(range(len(values)), key=lambda index: (seqs[index], index))


class KadNode:
    """One node of the baseline."""

    def __init__(self, host: IHost, kad: KadDHT) -> None:
        self.address = str(host.get_addrs()[0])
        self._host, self._kad = host, kad

    async def join(self, addresses: Sequence[str]) -> None:
        """Enters the network through a known peer."""
        contact = info_from_p2p_addr(Multiaddr(addresses[0]))
        await self._host.connect(contact)
        await self._kad.add_peer(contact.peer_id)

    async def refresh(self) -> None:
        """Fills the table; left to itself it does so every ten minutes."""
        await self._kad.refresh_routing_table()

    async def put(self, record: SignedRecord) -> None:
        """Stores a record with the peers nearest to its key."""
        await self._kad.put_value(dht_key(peer_id_of(record.public_key)), record.encode())

    async def get(self, peer: PeerId) -> bytes | None:
        """The record of a peer as it is stored, or None."""
        value: bytes | None = await self._kad.get_value(dht_key(peer))
        return value

    def holds(self, peer: PeerId) -> bool:
        """Whether a copy is here."""
        return self._kad.value_store.get(dht_key(peer).encode()) is not None

    def forget(self, peer: PeerId) -> None:
        """Drops the copy."""
        self._kad.value_store.remove(dht_key(peer).encode())

    @property
    def table_size(self) -> int:
        """How many peers the table has."""
        return int(self._kad.get_routing_table_size())


@asynccontextmanager
async def serving(host: IHost) -> AsyncIterator[KadNode]:
    """A node on a running host, with its service loop.

    Its table is filled by libp2p's own identify, which the hosts of p2pgrid leave out.
    """
    host._schedule_identify = partial(BasicHost._schedule_identify, host)  # noqa: SLF001
    validator = NamespacedValidator({DHT_NAMESPACE: RecordValidator()})
    kad = KadDHT(
        host, DHTMode.SERVER, validator=validator, validator_changed=True, strict_validation=True
    )
    async with background_trio_service(kad):
        yield KadNode(host, kad)
