"""A network in a process of its own: many datasets come in by TLS, and every form finds some."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.record_book import RecordBook
from p2pgrid import Client
from p2pgrid.client.wallet import Wallet
from p2pgrid.errors import InvalidQueryError
from p2pgrid.ids import DatasetId
from p2pgrid.protocol.messages import MAX_RECORDS
from tests.fabric.conftest import network_at
from tests.libp2p.conftest import Clinic, make_clinic
from tests.libp2p.running import Running

pytestmark = pytest.mark.libp2p

MANY = MAX_RECORDS + 50


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path, "city", "network")
    made.wait()
    yield made
    made.close()


@pytest.fixture
def clinic(tmp_path: Path, city: Running) -> Iterator[Clinic]:
    made = make_clinic(tmp_path, networks=(city.address,))
    yield made
    made.close()


@pytest.fixture
def scientist(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "scientist", wallet=Wallet(tmp_path / "scientist.json"))
    yield made
    made.close()


def fill(book: RecordBook) -> None:
    """Gives a domain's book as many datasets as its first one."""
    (entry,) = book._entries.values()
    for number in range(1, MANY):
        name, dataset_id = f"MNIST-{number}", DatasetId(number.to_bytes(16, "big"))
        book.add(entry._replace(dataset_id=dataset_id, name=name))


def test_a_network_finds_and_counts_many_datasets_in_every_form(
    clinic: Clinic, city: Running, scientist: Client
) -> None:
    node = clinic.start_here()
    clinic.owner().publish(
        "MNIST", {"x": [1.0], "y": [2.0]}, description="COVID-19: mortality", tags=("#diabetes-2",)
    )
    fill(node._book)
    node._loop.run(node._announcer._to_networks.once_more())
    network = network_at(scientist, city.address)
    for form, word in (
        *(("anywhere", "diabetes"), ("tags", "abet"), ("exact_tags", "#Diabetes-2")),
        *(("description", "mortality COVID"), ("name", "NIST")),
    ):
        results = network.search(**{form: word})
        assert (results.counts.datasets, results.counts.tensors) == (MANY, 2 * MANY), form
        assert len(results.datasets()) == MANY
        assert not results.partial
    assert [it.name for it in network.search(exact_name="mnist").datasets()] == ["MNIST"]
    assert network.search("#diabetes").counts.datasets == 0
    with pytest.raises(InvalidQueryError, match="anywhere"):
        network.search()
