"""How a scientist searches: forms, counts, several networks, and the DHT alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from actors.network import FRESH_S, Network
from p2pgrid import Client
from p2pgrid.config import DEFAULT_TIMING
from p2pgrid.errors import InvalidQueryError, NetworkUnreachableError
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.queries import query_of
from p2pgrid.protocol.records import SignedRecord
from tests.fabric.births import SCHEMA, births
from tests.fabric.conftest import FabricNode, Grid, network_at
from tests.fabric.searching import answering, publish, scientist
from tests.unit.hits import peer_of

FROZEN_S = 0.5
"""How long the searches here wait for a network that stands still."""


@pytest.fixture
def ama(grid: Grid) -> FabricNode:
    return grid.launch("AMA", "network")


@pytest.fixture
def ucsf(grid: Grid, ama: FabricNode) -> FabricNode:
    """A domain with a dataset for each of the forms of notebook 000."""
    node = grid.launch("UCSF", networks=(ama.address,))
    publish(grid, node, "COVID Mortality", description="Mortality of COVID with diabetes, by age")
    publish(grid, node, "MNIST", tags=("#diabetes-2",))
    publish(grid, node, "MNIST-M", tags=("#diabetes",))
    return node


@pytest.fixture
def someone(grid: Grid, ama: FabricNode, ucsf: FabricNode) -> Client:
    del ucsf  # has to be there first
    return scientist(grid, ama)


COVID = query_of("covid")


def names(client: Client, *words: str, **forms: str | list[str]) -> list[str]:
    return sorted(dataset.name for dataset in client.search(*words, **forms).datasets())


def test_c18_anywhere_takes_a_word_or_a_list_of_them(someone: Client) -> None:
    found = someone.search(anywhere="diabetes")
    assert sorted(d.name for d in found.datasets()) == ["COVID Mortality", "MNIST", "MNIST-M"]
    assert repr(found) == repr(someone.search(anywhere=["diabetes"]))
    assert found == someone.search(anywhere=["diabetes"])


def test_c18_no_hits_are_zero_counts_and_no_error(someone: Client) -> None:
    found = someone.search(anywhere="unheard")
    assert found.counts == Counts()
    assert dict(found) == {}
    assert not found.partial
    assert len(found.datasets()) == len(found.tensors) == len(found.schemas) == 0
    assert repr(found).splitlines()[1].split() == ["0"] * 5


def test_c19_tags_are_substrings_and_exact_tags_whole(someone: Client) -> None:
    assert names(someone, tags="diabetes") == ["MNIST", "MNIST-M"]
    assert names(someone, exact_tags=["diabetes"]) == ["MNIST-M"]
    assert names(someone, exact_tags="#Diabetes-2") == ["MNIST"]


def test_c20_a_description_is_words_in_any_order(someone: Client) -> None:
    for form in ("diabetes COVID mortality", ["diabetes", "COVID", "mortality"]):
        assert names(someone, description=form) == ["COVID Mortality"]
    assert names(someone, description="diabetes COVID absent") == []


def test_c21_a_name_is_a_part_and_an_exact_name_the_whole(someone: Client) -> None:
    assert names(someone, name="MNIST") == ["MNIST", "MNIST-M"]
    assert names(someone, exact_name="MNIST") == ["MNIST"]


def test_c22_a_whole_result_counts_what_it_lists(someone: Client) -> None:
    found = someone.search(anywhere="diabetes")
    assert found.counts == Counts(datasets=3, tensors=3)
    assert found.counts == found.claims["AMA"]
    lines = repr(found).splitlines()
    assert lines[0].split() == [
        *("distributed_datasets", "datasets", "tensors", "dataset_schemas", "tensor_schemas")
    ]
    assert lines[1].split() == ["0", "3", "3", "0", "0"]
    assert len(lines) == 2
    assert "distributed_datasets" in found._repr_html_()


def test_c23_versions_are_rows_and_the_latest_is_one(
    grid: Grid, someone: Client, ama: FabricNode
) -> None:
    owners = [grid.owner_of(grid.launch(name, networks=(ama.address,))) for name in ("Bob", "Eve")]
    for owner in (*owners, owners[0], owners[0]):
        owner.publish_dataset(births())
    found = someone.search("#birth-records")
    every, latest = found.datasets(), found.datasets(latest_version_only=True)
    assert sorted((d.domain.name, d.version) for d in every) == [
        *(("Bob", version) for version in (1, 2, 3)),
        ("Eve", 1),
    ]
    assert sorted((d.domain.name, d.version) for d in latest) == [("Bob", 3), ("Eve", 1)]
    assert len(every.table) == 4
    row = latest.table.set_index("domain").loc["Bob"]
    assert (row["version"], row["schema"], row["tags"]) == (
        3,
        SCHEMA.name,
        "#february #birth-records",
    )
    assert tuple(row[f"{split}_rows"] for split in ("train", "dev", "test")) == (5, 0, 2)
    assert row["metadata"] == "{'collected': 2019}"
    assert "NP" in row["frameworks"].split("/")
    assert row["upload-date"] == datetime.now(UTC).date().isoformat()
    assert row["id"] == next(d.id for d in latest if d.domain.name == "Bob")


def test_c38_what_shares_a_schema_is_one_distributed_dataset(
    grid: Grid, someone: Client, ama: FabricNode
) -> None:
    owners = [grid.owner_of(grid.launch(name, networks=(ama.address,))) for name in ("Bob", "Eve")]
    for owner in (*owners, owners[0]):
        owner.publish_dataset(births())
    found = someone.search("#birth-records")
    tensors = len(SCHEMA)
    assert found.counts == Counts(1, 3, 3 * tensors, 1, len({of.id for _, of in SCHEMA.tensors}))
    assert found.counts == found.claims["AMA"]
    (group,) = found.distributed_datasets
    assert sorted((d.domain.name, d.version) for d in group.datasets) == [("Bob", 2), ("Eve", 1)]
    assert found.schemas[SCHEMA.name].schema == SCHEMA
    assert len(found.schemas[SCHEMA.name].datasets) == 3
    assert len(found.tensors) == 3 * tensors
    assert [len(pointers) for pointers in found.values()] == [tensors, tensors]


def test_c25_a_search_for_nothing_or_in_no_form_names_what_is_allowed(someone: Client) -> None:
    for refused, text in (({}, "at least one"), ({"colour": "red"}, "exact_tags")):
        with pytest.raises(InvalidQueryError, match=text):
            someone.search(**refused)


def test_c26_domains_lead_to_pointers_and_all_tags_are_needed(
    grid: Grid, someone: Client, ama: FabricNode
) -> None:
    bob = grid.launch("Bob", networks=(ama.address,))
    publish(grid, bob, "births", tags=("#February", "#birth-records"))
    publish(grid, bob, "january", tags=("#birth-records",))
    for words in (("#February", "#birth-records"), ("birth-records", "february")):
        found = someone.search(*words)
        assert list(found) == ["Bob"]
        (pointer,) = found["Bob"]
        assert (pointer.dataset, pointer.shape) == ("births", (1,))
    assert dict(someone.search("#February", "#March")) == {}
    network = network_at(someone, ama.address)
    assert network.search("#February") == someone.search("#February")
    assert network.search("#March") == {}


def test_c26_a_domain_that_is_down_is_missing_and_the_result_is_partial(
    grid: Grid, someone: Client, ama: FabricNode, ucsf: FabricNode
) -> None:
    bob = grid.launch("Bob", networks=(ama.address,))
    for name in ("february", "march"):
        publish(grid, bob, name, tags=("#diabetes",))
    assert set(someone.search(tags="diabetes")) == {"Bob", "UCSF"}
    bob.stop()
    try:
        found = someone.search(tags="diabetes")
        assert list(found) == ["UCSF"]
        assert found.partial
        assert found.missing == (("Bob", "is offline, says AMA; its datasets: 2"),)
        assert found.rejected == ()
        assert found.counts.datasets == len(found.datasets()) == 2
        assert "partial: Bob is offline" in repr(found)
    finally:
        bob.start()
    bob.node._loop.run(bob.node._announcer.promptly())
    assert set(someone.search(tags="diabetes")) == {"Bob", "UCSF"}
    del ucsf


def test_c26_a_network_that_began_a_moment_ago_calls_nobody_offline(
    grid: Grid, someone: Client, ama: FabricNode
) -> None:
    publish(grid, grid.launch("Bob", networks=(ama.address,)), "february", tags=("#diabetes",))
    network = ama.node._service
    assert isinstance(network, Network)
    network._joined.clear()  # as after a restart: the file lists whom no link was seen of
    found = someone.search(tags="diabetes")
    assert ("Bob" in found, found.partial) == (True, False)
    network._now = lambda: network._began_at + FRESH_S
    found = someone.search(tags="diabetes")
    assert (set(found), found.partial) == (set(), True)


def test_a_domain_has_joined_its_network_when_its_start_returns(
    grid: Grid, ama: FabricNode
) -> None:
    bob = grid.launch("Bob", networks=(ama.address,))
    network = ama.node._service
    assert isinstance(network, Network)
    assert bob.node.peer_id in network._joined


def test_c27_a_domain_that_one_network_can_reach_is_not_missing(
    grid: Grid, ama: FabricNode
) -> None:
    cdc = grid.launch("CDC", "network")
    bob = grid.launch("bob", networks=(ama.address, cdc.address))
    publish(grid, bob, "shared")
    (record,) = ama.registry.search(COVID).records
    answering(ama, Found((record,), offline=(0,)))
    found = scientist(grid, ama, cdc).search("#covid")
    assert [d.name for d in found.datasets()] == ["shared"]
    assert not found.partial


def test_c27_a_dataset_of_three_networks_is_listed_once(grid: Grid, ama: FabricNode) -> None:
    cdc, opened = grid.launch("CDC", "network"), grid.launch("OpenGrid", "network")
    everywhere = [network.address for network in (ama, cdc, opened)]
    bob = grid.launch("bob", networks=tuple(everywhere))
    eve = grid.launch("eve", networks=(cdc.address,))
    shared, own = publish(grid, bob, "shared"), publish(grid, eve, "own")
    found = scientist(grid, ama, cdc, opened).search("#covid")
    assert sorted(d.id for d in found.datasets()) == sorted((shared, own))
    assert found.counts.datasets == 2
    assert {name: counts.datasets for name, counts in found.claims.items()} == {
        "AMA": 1,
        "CDC": 2,
        "OpenGrid": 1,
    }
    assert not found.partial


def test_c27_of_two_records_of_a_dataset_the_newer_counts(grid: Grid, ama: FabricNode) -> None:
    cdc = grid.launch("CDC", "network")
    bob = grid.launch("bob", networks=(ama.address, cdc.address))
    publish(grid, bob, "shared")
    kept = cdc.registry.search(COVID)
    answering(cdc, kept)
    bob.node._loop.run(bob.node._announcer.promptly())
    (dataset,) = scientist(grid, cdc, ama).search("#covid").datasets()
    old, new = (
        SignedRecord.decode(network.records[0]).body()
        for network in (kept, ama.registry.search(COVID))
    )
    assert dataset.record.seq == new.seq > old.seq


def test_c27_one_network_down_is_named_and_the_others_are_there(
    grid: Grid, ama: FabricNode
) -> None:
    cdc = grid.launch("CDC", "network")
    publish(grid, grid.launch("bob", networks=(ama.address,)), "here")
    publish(grid, grid.launch("eve", networks=(cdc.address,)), "gone")
    client = scientist(grid, ama, cdc)
    cdc.stop()
    try:
        found = client.search("#covid")
    finally:
        cdc.start()
    assert [d.name for d in found.datasets()] == ["here"]
    assert found.partial
    (missing,) = found.missing
    assert missing.name == "CDC"
    assert "did not answer" in missing.problem
    assert "partial: CDC did not answer: " in repr(found)
    assert "claims" not in repr(found)
    assert "CDC did not answer" in found._repr_html_()


def test_c27_a_frozen_network_holds_nobody_up(make_grid: Callable[..., Grid]) -> None:
    grid = make_grid(timing=replace(DEFAULT_TIMING, search_s=FROZEN_S))
    ama, cdc = grid.launch("AMA", "network"), grid.launch("CDC", "network")
    publish(grid, grid.launch("bob", networks=(ama.address,)), "here")
    client = scientist(grid, ama, cdc)
    grid.memory.hub.frozen.add(cdc.node.peer_id)
    found = client.search("#covid")
    assert [d.name for d in found.datasets()] == ["here"]
    assert [name for name, _ in found.missing] == ["CDC"]
    grid.memory.hub.frozen.clear()


def test_c27_a_default_that_was_never_visited_is_asked_too(grid: Grid, ama: FabricNode) -> None:
    publish(grid, grid.launch("bob", networks=(ama.address,)), "here")
    client = grid.client("newcomer")
    client.home.mkdir(exist_ok=True)
    nowhere = f"/memory/{peer_of('nowhere')}"
    (client.home / "bootstrap.json").write_text(json.dumps([ama.address, nowhere]))
    found = client.search(anywhere="covid")
    assert [d.name for d in found.datasets()] == ["here"]
    assert [name for name, _ in found.missing] == [nowhere]


def test_c27_without_any_network_whole_tags_are_found_by_the_dht(grid: Grid) -> None:
    bob, eve = grid.launch("bob"), grid.launch("eve")
    announced = publish(grid, bob, "announced", announce=True, description="with diabetes")
    publish(grid, eve, "unannounced")
    client = scientist(grid, bob)
    assert [d.id for d in client.search("#covid").datasets()] == [announced]
    assert len(client.search("#covid", description="diabetes").datasets()) == 1
    assert len(client.search("#covid", description="absent").datasets()) == 0
    for forms in ({"tags": "cov"}, {"anywhere": "covid"}, {"name": "announced"}):
        with pytest.raises(InvalidQueryError, match="whole tags"):
            client.search(**forms)


def test_c27_when_no_network_answers_the_dht_is_asked_and_the_networks_are_named(
    grid: Grid, ama: FabricNode
) -> None:
    bob = grid.launch("bob", networks=(ama.address,))
    publish(grid, bob, "here", announce=True)
    client = scientist(grid, ama, bob)
    network = network_at(client, ama.address)
    ama.stop()
    try:
        found = client.search("#covid")
        with pytest.raises(NetworkUnreachableError, match="AMA did not answer"):
            client.search(name="here")
        with pytest.raises(NetworkUnreachableError, match="AMA"):
            network.search("#covid")
    finally:
        ama.start()
    assert [d.name for d in found.datasets()] == ["here"]
    assert [name for name, _ in found.missing] == ["AMA"]


def test_c27_a_newcomer_who_knows_nobody_is_told_so(grid: Grid) -> None:
    with pytest.raises(NetworkUnreachableError, match="0 known"):
        grid.client("newcomer").search("#covid")
    with pytest.raises(InvalidQueryError, match="no network is known"):
        grid.client("newcomer").search(anywhere="covid")
