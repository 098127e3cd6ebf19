"""Searches over real sockets, of networks and domains in processes that freeze and die."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from p2pgrid import Client
from p2pgrid.config import Timing
from p2pgrid.errors import InvalidQueryError
from tests.libp2p.running import Running
from tests.waiting import until

pytestmark = pytest.mark.libp2p

SEARCH_S = 3.0
"""How long the searches here wait for a network that stands still."""


class Grid(NamedTuple):
    """Three networks; ``bob`` is listed at all of them, ``eve`` at CDC alone."""

    networks: dict[str, Running]
    bob: Running
    eve: Running


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    home = tmp_path_factory.mktemp("g")
    networks = {name: Running(home, name, "network") for name in ("AMA", "CDC", "OpenGrid")}
    for network in networks.values():
        network.wait()
    bob = Running(home, "bob", "domain", *(network.address for network in networks.values()))
    eve = Running(home, "eve", "domain", networks["CDC"].address)
    for domain in (bob, eve):
        domain.wait()
    bob.publish("MNIST", description="digits by diabetes patients", tags=("#diabetes-2",))
    bob.publish("COVID Mortality", tags=("#covid", "#february"), announce=True)
    eve.publish("MNIST-M", tags=("#diabetes",))
    yield Grid(networks, bob, eve)
    for node in (*networks.values(), bob, eve):
        node.close()


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "ana", timing=Timing(search_s=SEARCH_S))
    yield made
    made.close()


def names(client: Client, *words: str, **forms: str | list[str]) -> list[str]:
    return sorted(found.name for found in client.search(*words, **forms).datasets())


def meet(client: Client, *nodes: Running) -> Client:
    for node in nodes:
        client.connect(node.address)
    return client


def test_c18_to_c21_one_network_finds_by_every_form(grid: Grid, ana: Client) -> None:
    meet(ana, grid.networks["CDC"])
    assert names(ana, anywhere="diabetes") == ["MNIST", "MNIST-M"]
    assert names(ana, anywhere=["diabetes"]) == ["MNIST", "MNIST-M"]
    assert names(ana, tags="diabetes") == ["MNIST", "MNIST-M"]
    assert names(ana, exact_tags=["diabetes"]) == ["MNIST-M"]
    assert names(ana, description="patients DIGITS") == ["MNIST"]
    assert names(ana, description=["patients", "digits"]) == ["MNIST"]
    assert names(ana, name="MNIST") == ["MNIST", "MNIST-M"]
    assert names(ana, exact_name="MNIST") == ["MNIST"]
    assert names(ana, "#February", "covid") == ["COVID Mortality"]
    assert names(ana, anywhere="absent") == []
    with pytest.raises(InvalidQueryError, match="exact_name"):
        ana.search(colour="red")  # type: ignore[call-arg]


def test_c22_to_c24_a_result_prints_its_counts_and_its_datasets(grid: Grid, ana: Client) -> None:
    found = meet(ana, grid.networks["CDC"]).search(anywhere="diabetes")
    assert repr(found).splitlines()[1].split() == ["0", "2", "2", "0", "0"]
    table = found.datasets().table.sort_index()
    assert list(table.index) == ["MNIST", "MNIST-M"]
    assert list(table["domain"]) == ["bob", "eve"]
    assert list(table["train_rows"]) == [2, 2]
    assert table.iloc[0].description == "digits by diabetes patients"


def test_c27_three_networks_list_what_they_share_once(grid: Grid, ana: Client) -> None:
    found = meet(ana, *grid.networks.values()).search(anywhere="diabetes")
    assert sorted(d.name for d in found.datasets()) == ["MNIST", "MNIST-M"]
    assert {name: counts.datasets for name, counts in found.claims.items()} == {
        "AMA": 1,
        "CDC": 2,
        "OpenGrid": 1,
    }
    assert not found.partial
    assert found.rejected == ()


def test_c27_a_frozen_network_is_named_in_time(grid: Grid, ana: Client) -> None:
    meet(ana, *grid.networks.values())
    with grid.networks["AMA"].frozen():
        began = time.monotonic()
        found = ana.search(anywhere="diabetes")
        assert time.monotonic() - began < 2 * SEARCH_S
        assert sorted(d.name for d in found.datasets()) == ["MNIST", "MNIST-M"]
        assert [name for name, _ in found.missing] == ["AMA"]
    until(lambda: not ana.search(anywhere="diabetes").partial)


def test_c27_without_a_network_the_dht_finds_what_was_announced(grid: Grid, ana: Client) -> None:
    meet(ana, grid.bob)
    assert names(ana, "#covid", description=[]) == ["COVID Mortality"]
    assert names(ana, "#covid", name="MNIST") == []
    assert names(ana, "#diabetes-2") == []
    with pytest.raises(InvalidQueryError, match="whole tags"):
        ana.search(anywhere="covid")


def test_c26_c27_domains_and_networks_that_die_are_named(grid: Grid, ana: Client) -> None:
    """The last one: it kills two of them."""
    meet(ana, *grid.networks.values())
    grid.eve.close()
    until(lambda: ana.search(anywhere="diabetes").partial)
    found = ana.search(anywhere="diabetes")
    assert list(found) == ["bob"]
    assert found.missing == (("eve", "is offline, says CDC; its datasets: 1"),)
    grid.networks["OpenGrid"].close()
    found = ana.search(anywhere="diabetes")
    assert [d.name for d in found.datasets()] == ["MNIST"]
    assert sorted(name for name, _ in found.missing) == ["OpenGrid", "eve"]
