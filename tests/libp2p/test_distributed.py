"""Datasets of two domains with real sockets, as one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pgrid import Client, DatasetPointer, DistributedDataset
from p2pgrid.client.wallet import Wallet
from tests.births import BOOK, WEIGHTS, plan_of, write_births
from tests.fabric.conftest import domain_at
from tests.libp2p.conftest import Clinic, make_clinic

pytestmark = pytest.mark.libp2p


@pytest.fixture
def clinics(tmp_path: Path) -> Iterator[list[Clinic]]:
    made = []
    for name in ("ama", "ucsf"):
        (tmp_path / name).mkdir()
        made.append(make_clinic(tmp_path / name))
    yield made
    for clinic in made:
        clinic.close()


@pytest.fixture
def scientist(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path, wallet=Wallet(tmp_path / "wallet.json"))
    yield made
    made.close()


def member(clinic: Clinic, scientist: Client) -> DatasetPointer:
    """A clinic's births, as a scientist who may take them home finds them."""
    owner = clinic.owner()
    key = scientist.wallet.new(owner.peer_id, "ana")
    owner.users.add("ana", key.public_key)
    files = write_births(clinic.home, book=BOOK.replace("Birth records", clinic.home.name))
    owner.publish_dataset(plan_of(*files).dataset, allowed_users="ana")
    (found,) = domain_at(scientist, clinic.address).login("ana").search("#birth-records")
    return found


def test_c38_one_domain_answers_while_another_is_gone(
    clinics: list[Clinic], scientist: Client
) -> None:
    doomed, _ = [clinic.start() for clinic in clinics]
    births = DistributedDataset([member(clinic, scientist) for clinic in clinics])

    def weight(it: DatasetPointer) -> float:
        return float(it["data"].sum("Weight").get().item())

    assert list(births.map(weight).values()) == [sum(WEIGHTS)] * 2
    doomed.kill()
    doomed.wait()
    results = births.map(weight)
    assert [*results.succeeded.values()] == [sum(WEIGHTS)]
    assert len(results.errors) == 1
