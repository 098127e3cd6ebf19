"""The main flows, each written once and run on fakes, on packed nodes, and on Ray clusters."""

import numpy as np
import pytest

from p2pgrid import TensorPointer
from p2pgrid.errors import (
    CapabilityError,
    GetNotPermittedError,
    ObjectGoneError,
    PeerUnreachableError,
)
from tests.fabric.conftest import domain_at
from tests.flows.grids import FlowGrid, audit_log, city_of, user

BIRTHS = np.array([[1, 3.5, 47.3], [0, 3.7, 48.1], [0, 3.9, 50.0], [1, 4.1, 52.3], [0, 4.1, 49.7]])


def sum_column(dataset: TensorPointer, column: int) -> TensorPointer:
    sum_result = dataset[0][column].copy()
    for i in range(1, dataset.shape[0]):
        sum_result += dataset[i][column]
    return sum_result


def test_a_network_finds_what_an_owner_published(grid: FlowGrid) -> None:
    bob = grid.domain()
    tags = ("#February", "#birth-records")
    bob.owner().publish("listed", BIRTHS, description="monthly birth records", tags=tags)
    city = city_of(grid, grid.client("somebody"))
    found = city.search("#birth-records", "february")
    assert list(found) == [bob.name]
    assert not found.partial
    pointer = found[bob.name][0]
    assert (pointer.shape, pointer.dtype) == ((5, 3), np.dtype("float64"))
    assert pointer.description == "monthly birth records"
    assert len(city.search("february", "march")) == 0


def test_the_dht_finds_announced_tags_and_no_others(grid: FlowGrid) -> None:
    bob = grid.domain()
    bob.owner().publish("announced", BIRTHS, tags=("#loud",), announce=True)
    bob.owner().publish("unannounced", BIRTHS, tags=("#quiet",))
    someone = grid.client("someone")
    someone.connect(bob.address)
    assert [found.name for found in someone.search("#loud").datasets()] == ["announced"]
    assert len(someone.search("#quiet").datasets()) == 0


def test_a_scientist_computes_there_and_takes_home_what_is_allowed(grid: FlowGrid) -> None:
    bob = grid.domain()
    bob.owner().publish("births", BIRTHS, tags=("#allowed",), allowed_users=("ana",))
    ana = grid.client("ana")
    user(bob, ana, "ana")
    mine = city_of(grid, ana).search("#allowed")[bob.name][0]
    assert f"{sum_column(mine, 1).get(user='ana') / 5:.4f}" == "3.8600"
    assert f"{sum_column(mine, 2).get(user='ana') / 5:.4f}" == "49.4800"
    np.testing.assert_array_equal((mine.T @ mine + 1).get(user="ana"), BIRTHS.T @ BIRTHS + 1)


def test_a_refused_get_moves_no_data_and_is_audited_without_a_value(grid: FlowGrid) -> None:
    bob = grid.domain()
    bob.owner().publish("closed", BIRTHS, tags=("#closed",), allowed_users=("somebody-else",))
    eve = grid.client("eve")
    domain = user(bob, eve, "eve")
    pointer = city_of(grid, eve).search("#closed")[bob.name][0]
    for refused in (pointer, pointer * 0):
        with pytest.raises(GetNotPermittedError):
            refused.get(user="eve")
    assert domain.link().array_bytes_received == 0
    events = [event for event in audit_log(bob) if event.account == "eve"]
    assert [(event.action, event.outcome) for event in events] == [("get", "refused")] * 2
    assert not any("3.5" in " ".join(event) for event in events)


def test_a_node_starts_again_from_its_files_as_the_same_peer(grid: FlowGrid) -> None:
    bob = grid.domain()
    address, peer_id = bob.address, bob.peer_id
    bob.owner().publish("kept", BIRTHS, tags=("#kept",), allowed_users=("dana",))
    dana = grid.client("dana")
    before = user(bob, dana, "dana").login("dana").search("#kept")[0]
    derived = (before.pointers[0] + 1).block
    bob.stop()
    with pytest.raises(PeerUnreachableError):
        domain_at(dana, address)
    bob.start()
    assert (bob.address, bob.peer_id) == (address, peer_id)
    after = domain_at(dana, address).search("#kept")[0]
    assert after.id == before.id
    np.testing.assert_array_equal(after.pointers[0].get(), BIRTHS)
    np.testing.assert_array_equal(before.pointers[0].get(), BIRTHS)
    with pytest.raises(ObjectGoneError):
        derived.get()


def test_a_pointer_is_shared_used_by_a_stranger_and_taken_back(grid: FlowGrid) -> None:
    bob = grid.domain()
    bob.owner().publish("lent", BIRTHS, tags=("#lent",), allowed_users=("lender",))
    lender, stranger = grid.client("lender"), grid.client("stranger")
    domain = user(bob, lender, "lender").login("lender")
    weights = next(d for d in domain.datasets if d.name == "lent").pointers[0][:, 1] * 1000
    key = stranger.wallet.new(bob.peer_id).public_key
    text = weights.share(key, operations=("max", "get"))
    theirs = stranger.accept(text)
    assert float(theirs.max().get()) == 4100.0
    with pytest.raises(CapabilityError, match="scope"):
        theirs.min().get()
    domain.revoke(text)
    with pytest.raises(CapabilityError, match="revoked"):
        theirs.max().get()
    events = [(e.action, e.outcome) for e in audit_log(bob) if e.account.startswith("lender via")]
    assert events == [("get", "given")]
