"""What domains list at a network, and what it answers to a search, asked by hand."""

import time
from collections.abc import Iterator

import pytest

from p2pgrid.errors import InvalidQueryError
from p2pgrid.ids import DatasetId
from p2pgrid.net.calls import ask
from p2pgrid.protocol.counts import Counts, counts_of
from p2pgrid.protocol.messages import MAX_RECORDS, Found, ListDatasets, Search
from p2pgrid.protocol.queries import EVERYTHING, query_of
from p2pgrid.protocol.records import DatasetRecord, verify
from tests.fabric.conftest import FabricNode, Grid, domain_at, network_at
from tests.fabric.strangers import Stranger

MANY = MAX_RECORDS + 200


@pytest.fixture
def city(grid: Grid) -> FabricNode:
    """A network with the datasets of two domains."""
    network = grid.launch("city", "network")
    ucsf = grid.owner_of(grid.launch("ucsf", networks=(network.address,)))
    cdc = grid.owner_of(grid.launch("cdc", networks=(network.address,)))
    covid = "COVID-19: mortality, and diabetes"
    ucsf.publish("COVID Deaths", [1.0], description=covid, tags=("#covid", "#births"))
    ucsf.publish("MNIST", [1.0], tags=("#digits", "#diabetes-2"))
    cdc.publish("MNIST-M", {"x": [1.0], "y": [2.0]}, tags=("#digits", "#diabetes"))
    return network


def found(grid: Grid, network: FabricNode, *words: str, **forms: str | list[str]) -> list[str]:
    """The names of what the network finds, each record verified; it counts what it gives."""
    answer = ask(Stranger(grid, network).link, Search(query_of(*words, **forms)), Found)
    bodies = list(read(answer))
    assert answer.counts == counts_of(bodies)
    return sorted(body.name for body in bodies)


def read(answer: Found) -> Iterator[DatasetRecord]:
    """What the records say, once they are verified."""
    for record in answer.records:
        body, _ = verify(record, now=time.time(), max_bytes=len(record))
        assert isinstance(body, DatasetRecord)
        yield body


def fill(domain: FabricNode, count: int) -> None:
    """Gives a domain as many datasets as its first one, in its book only."""
    book = domain.node._book
    (entry,) = book._entries.values()
    for number in range(1, count):
        dataset_id = DatasetId(number.to_bytes(16, "big"))
        book.add(entry._replace(dataset_id=dataset_id, name=f"births {number}"))


def announce(domain: FabricNode) -> None:
    """Has a domain list what it has now, however long that takes."""
    domain.node._loop.run(domain.node._announcer._to_networks.once_more())


# --- the forms, at a network ------------------------------------------------------------------


def test_c18_a_network_finds_words_anywhere(grid: Grid, city: FabricNode) -> None:
    assert found(grid, city, anywhere="diabetes") == ["COVID Deaths", "MNIST", "MNIST-M"]
    assert found(grid, city, anywhere=["mnist", "Diabetes"]) == ["MNIST", "MNIST-M"]
    assert found(grid, city, anywhere="malaria") == []


def test_c19_a_network_tells_parts_of_tags_from_tags(grid: Grid, city: FabricNode) -> None:
    assert found(grid, city, tags="diabetes") == ["MNIST", "MNIST-M"]
    assert found(grid, city, tags=["di", "-2"]) == ["MNIST"]
    assert found(grid, city, exact_tags=["diabetes"]) == ["MNIST-M"]


def test_c20_a_network_finds_all_words_of_a_description(grid: Grid, city: FabricNode) -> None:
    for words in ("diabetes COVID mortality", ["mortality", "covid", "diabetes"]):
        assert found(grid, city, description=words) == ["COVID Deaths"]
    assert found(grid, city, description="diabetes digits") == []


def test_c21_a_network_tells_parts_of_names_from_names(grid: Grid, city: FabricNode) -> None:
    assert found(grid, city, name="MNIST") == ["MNIST", "MNIST-M"]
    assert found(grid, city, exact_name="mnist") == ["MNIST"]


def test_c22_a_network_counts_what_matches_on_the_first_page(grid: Grid, city: FabricNode) -> None:
    link = Stranger(grid, city).link
    first = ask(link, Search(query_of("digits"), limit=1), Found)
    assert first.counts == Counts(datasets=2, tensors=3)
    assert [body.name for body in read(first)] == ["MNIST"]
    last = ask(link, Search(query_of("digits"), after=first.next, limit=1), Found)
    assert [body.name for body in read(last)] == ["MNIST-M"]
    assert (last.next, last.counts) == (0, None)


def test_c25_a_search_for_nothing_is_refused_with_the_forms_that_there_are(
    grid: Grid, city: FabricNode
) -> None:
    with pytest.raises(InvalidQueryError, match="exact_name"):
        ask(Stranger(grid, city).link, Search(EVERYTHING), Found)


def test_c26_a_network_needs_every_tag(grid: Grid, city: FabricNode) -> None:
    assert found(grid, city, "#digits", "diabetes") == ["MNIST-M"]
    assert found(grid, city, "#digits", "#covid") == []


# --- listings ---------------------------------------------------------------------------------


def test_a_domain_lists_more_datasets_than_fit_into_a_message(grid: Grid) -> None:
    city = grid.launch("city", "network")
    bob = grid.launch("bob", networks=(city.address,))
    grid.owner_of(bob).publish("births", [1.0], tags=("#births",))
    fill(bob, MANY)
    announce(bob)
    someone = grid.client("someone")
    results = network_at(someone, city.address).search("#births")
    assert results.counts.datasets == len(results.datasets()) == MANY
    assert not results.partial
    assert len(domain_at(someone, bob.address).datasets) == MANY
    changed = city.registry._journal._connection.total_changes
    announce(bob)
    changed = city.registry._journal._connection.total_changes - changed
    assert changed < 3 * MANY, "no index is made anew"
    assert city.registry.census().datasets == MANY


def test_a_domain_answers_in_pages_of_which_the_first_counts(grid: Grid, bob: FabricNode) -> None:
    grid.owner_of(bob).publish("births", [1.0], tags=("#births",))
    fill(bob, MANY)
    link = Stranger(grid, bob).link
    names: list[str] = []
    places: list[int] = []
    place = 0
    while not places or place:
        page = ask(link, ListDatasets(query_of(name="births"), place), Found)
        assert page.counts == (None if place else Counts(datasets=MANY, tensors=MANY))
        names += [body.name for body in read(page)]
        place = page.next
        places.append(place)
    assert sorted(names) == sorted(["births", *(f"births {number}" for number in range(1, MANY))])
    assert places == [*sorted(places[:-1]), 0]


def test_a_network_still_lists_after_a_restart_what_has_not_expired(
    grid: Grid, city: FabricNode
) -> None:
    city.stop()
    city.start()
    assert found(grid, city, "#digits") == ["MNIST", "MNIST-M"]
