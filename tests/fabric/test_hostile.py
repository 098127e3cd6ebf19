"""Networks that lie, parts that fail half-way: what the other side sees and what is kept."""

import logging
import sqlite3
from typing import cast

import numpy as np
import pytest

from actors.gateway import Answer
from actors.ports import DatasetEntry
from actors.state import State
from p2pgrid.client.local_list import DamagedFileWarning
from p2pgrid.client.peers import KnownPeers
from p2pgrid.errors import (
    ForgedRecordError,
    InternalError,
    NetworkUnreachableError,
    P2PGridError,
    RecordError,
)
from p2pgrid.protocol import operations
from p2pgrid.protocol.messages import Account, ListAccounts, Role
from p2pgrid.protocol.queries import query_of
from tests.fabric.conftest import FabricNode, Grid

SECRET = 1234.5678


@pytest.fixture
def network(grid: Grid) -> FabricNode:
    return grid.launch("city-health", "network")


@pytest.fixture
def bob(grid: Grid, network: FabricNode) -> FabricNode:
    node = grid.launch("bob", networks=(network.address,))
    grid.owner_of(node).publish("d", [SECRET], tags=("#t",), announce=True)
    return node


def listed(network: FabricNode) -> tuple[bytes, ...]:
    """What the network has of ``bob``."""
    return network.registry.search(query_of("t")).records


def test_a_domain_cannot_list_somebody_elses_dataset(
    network: FabricNode, bob: FabricNode, grid: Grid
) -> None:
    stolen = listed(network)
    eve = grid.launch("eve")
    node_record = eve.node._book.node_record()
    with pytest.raises(ForgedRecordError):
        network.registry.join(eve.node.peer_id, node_record, stolen)
    with pytest.raises(ForgedRecordError):
        network.registry.join(bob.node.peer_id, node_record, ())
    assert listed(network) == stolen


def test_an_older_listing_does_not_replace_a_newer_one(
    network: FabricNode, bob: FabricNode
) -> None:
    old = bob.node._book.node_record()
    bob.node._loop.run(bob.node._announcer.promptly())
    with pytest.raises(RecordError, match="newer"):
        network.registry.join(bob.node.peer_id, old, ())
    assert len(listed(network)) == 1


def test_a_forged_record_on_the_dht_is_not_followed(grid: Grid, bob: FabricNode) -> None:
    someone = grid.client("someone")
    someone.connect(bob.address)
    forged = bytearray(grid.memory.hub.records[bob.node.peer_id])
    forged[-1] ^= 1
    grid.memory.hub.records[bob.node.peer_id] = bytes(forged)
    found = someone.search("#t")
    assert (len(found), found.partial) == (0, False)


def test_a_search_of_the_dht_without_a_known_peer_says_so(grid: Grid) -> None:
    with pytest.raises(NetworkUnreachableError, match="0 known"):
        grid.client("newcomer").search("#t")


def test_a_domain_that_is_down_is_missing_and_the_result_is_marked(
    grid: Grid, bob: FabricNode, network: FabricNode
) -> None:
    ucsf = grid.launch("ucsf", networks=(network.address,))
    grid.owner_of(ucsf).publish("e", [1.0], tags=("#t",), announce=True)
    someone = grid.client("someone")
    someone.connect(bob.address)
    assert len(someone.search("#t")) == 2
    bob.stop()
    try:
        found = someone.search("#t")
        assert list(found) == ["ucsf"]
        assert found.partial
    finally:
        bob.start()


def test_a_publish_that_fails_half_way_is_absent_and_can_be_repeated(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    owner = grid.owner_of(bob)

    def full(_: State, entry: DatasetEntry) -> None:
        raise sqlite3.OperationalError(f"disk full while listing {entry.name}")

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(State, "add_dataset", full)
        with pytest.raises(InternalError) as refused:
            owner.publish("half", [SECRET])
    assert "disk full" not in str(refused.value)
    assert refused.value.reference in {r.__dict__["reference"] for r in caplog.records}
    assert [dataset.name for dataset in owner.datasets] == ["d"]
    bob.stop()
    bob.start()
    owner = grid.owner_of(bob)
    assert [dataset.name for dataset in owner.datasets] == ["d"]
    assert owner.publish("half", [2.0]).pointers[0].get().tolist() == [2.0]


def test_what_the_store_cannot_do_fails_with_one_reference_and_so_does_what_needs_it(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError(f"no room for {SECRET}")

    broken = operations.REGISTRY["multiply"]._replace(compute=exhausted)  # type: ignore[arg-type]
    monkeypatch.setattr("actors.store.REGISTRY", {**operations.REGISTRY, "multiply": broken})
    pointer = grid.owner_of(bob).datasets[0].pointers[0]
    failing = pointer * 2
    needs_it = failing + 1
    references = set()
    for failed in (failing, needs_it, needs_it.sum()):
        with pytest.raises(InternalError) as told:
            failed.get()
        references.add(told.value.reference)
    assert len(references) == 1
    assert (pointer + 1).get().tolist() == [SECRET + 1]


def test_an_answer_that_cannot_be_encoded_is_told_at_once_as_a_reference(
    grid: Grid, bob: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(*_: object) -> Answer:
        return Answer(Account("ana", b"", cast("Role", object())))

    owner = grid.owner_of(bob)
    monkeypatch.setitem(bob.node._gateway._handlers, ListAccounts, answer)
    with pytest.raises(InternalError):
        owner.users.list()


def test_no_value_is_in_any_text_that_somebody_else_may_see(
    grid: Grid, bob: FabricNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    eve = grid.user(grid.owner_of(bob), "eve")
    pointer = eve.datasets[0].pointers[0]
    texts = [repr(pointer), str(pointer), repr(pointer * 2), repr(eve.datasets[0])]
    for attempt in (pointer.get, (pointer / 0).get, (pointer + np.nan).get):
        with pytest.raises(P2PGridError) as refused:
            attempt()
        texts.append(str(refused.value))
    texts += [record.getMessage() + str(record.__dict__) for record in caplog.records]
    texts += [" ".join(event) for event in bob.state.audit_log()]
    assert not [text for text in texts if str(SECRET) in text]


def test_a_damaged_list_of_known_peers_is_set_aside_and_begins_anew(grid: Grid) -> None:
    path = grid.home / "peers.json"
    path.write_text("{")
    with pytest.warns(DamagedFileWarning, match=r"peers\.json"):
        assert KnownPeers(path).all() == ()
    (aside,) = grid.home.glob("peers.json.damaged-*")
    assert aside.read_text() == "{"
    assert not path.exists()
