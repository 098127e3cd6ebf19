"""Domains that list at a network what is not theirs, is no record, or is far too much."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import msgspec
import pytest
from nacl.signing import SigningKey

from actors.network import Network
from p2pgrid.client.results import SearchResults
from p2pgrid.errors import P2PGridError, RegistryFullError
from p2pgrid.net.calls import ask
from p2pgrid.protocol.messages import Done, Join
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.records import (
    DOMAIN_SEPARATION,
    DatasetRecord,
    NodeRecord,
    SignedRecord,
    sign,
)
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.searching import publish, scientist
from tests.fabric.strangers import Stranger
from tests.unit.hits import record

HOUR_S = 3600


class Joiner(Stranger):
    """A peer that lists itself by hand."""

    def node_record(self, *, seq: int = 1, lasts_s: int = HOUR_S) -> bytes:
        expires = int(time.time()) + lasts_s
        body = NodeRecord("domain", "crowd", ("/ip4/192.0.2.1/tcp/1",), seq, expires)
        return sign(body, signing_key=self.seed).encode()

    def dataset(self, **fields: object) -> bytes:
        return sign(record("many", "crowd", **fields), signing_key=self.seed).encode()

    def joins(self, *datasets: bytes, node: bytes = b"", more: bool = False) -> None:
        ask(self.link, Join(node or self.node_record(), datasets, more), Done)

    def unchecked(self, **fields: object) -> bytes:
        """A record that our own ``sign`` would refuse."""
        body: dict[str, object] = msgspec.to_builtins(
            record("many", "crowd"), builtin_types=[bytes]
        )
        payload = msgspec.msgpack.encode({"type": "dataset", **body, **fields})
        signature = SigningKey(self.seed).sign(DOMAIN_SEPARATION + payload).signature
        key = bytes(SigningKey(self.seed).verify_key)
        return SignedRecord(payload, key, signature).encode()


@pytest.fixture
def network(grid: Grid) -> FabricNode:
    return grid.launch("city-health", "network")


@pytest.fixture
def bob(grid: Grid, network: FabricNode) -> FabricNode:
    node = grid.launch("bob", networks=(network.address,))
    publish(grid, node, "true")
    return node


@pytest.fixture
def joiner(grid: Grid, network: FabricNode, bob: FabricNode) -> Joiner:
    assert network.node.peer_id != bob.node.peer_id
    return Joiner(grid, network)


def names(found: SearchResults) -> set[str]:
    return {dataset.name for dataset in found.datasets()}


ATTACKS: Mapping[str, Callable[[Joiner, FabricNode], None]] = {
    "another's datasets": lambda me, bob: me.joins(*bob.node._book.dataset_records()),
    "another's own record": lambda me, bob: me.joins(node=bob.node._book.node_record()),
    "a dataset as its own record": lambda me, _: me.joins(node=me.dataset()),
    "its own record as a dataset": lambda me, _: me.joins(me.node_record()),
    "no record": lambda me, _: me.joins(b"\xc1", b""),
    "one good record and a bad one": lambda me, _: me.joins(me.dataset(), b"\xc1"),
    "an expired record": lambda me, _: me.joins(me.dataset(expires=1)),
    "a record for ever": lambda me, _: me.joins(me.dataset(expires=2**40)),
    "a tag of 10,000 characters": lambda me, _: me.joins(me.unchecked(tags=("x" * 10_000,))),
    "10,000 tags": lambda me, _: me.joins(me.unchecked(tags=["covid"] * 10_000)),
    "a name of 10,000 characters": lambda me, _: me.joins(me.unchecked(name="x" * 10_000)),
    "a record of 1 MB": lambda me, _: me.joins(me.unchecked(description="x" * 900_000)),
    "1,001 records at once": lambda me, _: me.joins(*[me.dataset()] * 1001),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_c27_what_a_joiner_may_not_list_is_refused_whole(
    grid: Grid, network: FabricNode, bob: FabricNode, joiner: Joiner, attack: str
) -> None:
    with pytest.raises(P2PGridError):
        ATTACKS[attack](joiner, bob)
    assert not network.registry.lists(joiner.peer_id)
    found = scientist(grid, network).search("#covid")
    assert names(found) == {"true"}
    assert not found.rejected


BOUNDS: Mapping[str, tuple[str, int]] = {
    "_most_listed": ("datasets of one domain", 20),
    "_most_listed_bytes": ("bytes of records of one domain", 8_000),
    "_most_file_bytes": ("bytes in all", 400_000),
}


def fill(joiner: Joiner) -> None:
    """Lists ten more, again and again."""
    for _ in range(1000):
        joiner.joins(*(joiner.dataset() for _ in range(10)), more=True)


@pytest.mark.parametrize("bound", BOUNDS)
def test_c27_a_joiner_without_end_fills_nothing_and_hides_nobody(
    grid: Grid, network: FabricNode, bob: FabricNode, joiner: Joiner, bound: str
) -> None:
    what, limit = BOUNDS[bound]
    setattr(network.registry, bound, limit)
    with pytest.raises(RegistryFullError) as full:
        fill(joiner)
    assert (full.value.what, full.value.limit) == (what, limit)
    assert full.value.needed > limit
    found = scientist(grid, network).search("#covid")
    assert names(found) == {"true", "many"}
    listed = len(found.datasets())
    joiner.joins(joiner.dataset(), node=joiner.node_record(seq=2))  # instead of all of those
    bob.node._loop.run(bob.node._announcer.promptly())
    assert len(scientist(grid, network, name="another").search("#covid").datasets()) == 2 < listed


def test_c27_a_domain_may_replace_all_that_it_lists(network: FabricNode, joiner: Joiner) -> None:
    """Though both listings together would be too much."""
    network.registry._most_listed = 10
    for seq in (1, 2, 3):
        node = joiner.node_record(seq=seq)
        joiner.joins(*(joiner.dataset() for _ in range(5)), node=node, more=True)
        joiner.joins(*(joiner.dataset() for _ in range(5)), node=node)
    assert len(network.registry.search(Query(exact_tags=("covid",))).records) == 1 + 10


class Crowded:
    """A registry that takes its time; notes how many joins are under way."""

    def __init__(self) -> None:
        self.under_way: list[str] = []
        self.most: Counter[str] = Counter()

    async def join(self, peer: str, *_: object, **__: object) -> None:
        self.under_way.append(peer)
        self.most[peer] = max(self.most[peer], self.under_way.count(peer))
        self.most["all"] = max(self.most["all"], len(self.under_way))
        for _turn in range(3):
            await asyncio.sleep(0)
        self.under_way.remove(peer)


def test_c27_of_each_peer_one_join_is_indexed_at_a_time(network: FabricNode) -> None:
    """Or a flood of them would keep the searches of others waiting."""
    registry = Crowded()
    node = Network(registry=registry, book=network.node._book)  # type: ignore[arg-type]

    async def flood() -> None:
        links = [SimpleNamespace(peer=peer, is_open=True) for peer in "abc"]
        message = Join(b"", ())
        await asyncio.gather(
            *(
                node.handlers[Join](SimpleNamespace(link=link), message, ())  # type: ignore[arg-type]
                for link in links
                for _ in range(20)
            )
        )

    asyncio.run(flood())
    assert dict(registry.most) == {"a": 1, "b": 1, "c": 1, "all": 3}


def test_c27_a_joiner_changes_nothing_of_another(
    network: FabricNode, bob: FabricNode, joiner: Joiner
) -> None:
    """The same dataset id under another key is another dataset."""
    (true,) = bob.node._book.dataset_records()
    body = SignedRecord.decode(true).body()
    assert isinstance(body, DatasetRecord)
    joiner.joins(joiner.unchecked(dataset_id=body.dataset_id, seq=2**62))
    found = network.registry.search(Query(exact_tags=("covid",)))
    assert true in found.records
    assert len(found.records) == 2
