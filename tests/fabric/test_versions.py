"""A name has versions: the latest is one more, and earlier ones stay as they were."""

import numpy as np
import pytest

from p2pgrid import DomainClient
from p2pgrid.client.dataset_upload import upload_of
from p2pgrid.errors import GetNotPermittedError
from p2pgrid.net.calls import ask
from p2pgrid.protocol.arrays import raw_bytes
from p2pgrid.protocol.messages import Published
from tests.fabric.births import BIRTHS, births
from tests.fabric.conftest import FabricNode, Grid, network_at


def test_c39_a_name_that_is_there_gets_the_next_version(
    grid: Grid, owner: DomainClient, bob: FabricNode
) -> None:
    first = owner.publish_dataset(births(), allowed_users="ana")
    second = owner.publish_dataset(births(tensors=halved(), test=None, owners=None, budgets=None))
    third = owner.publish("Birth records", BIRTHS)
    assert [it.version for it in (first, second, third)] == [1, 2, 3]
    assert len({it.id for it in (first, second, third)}) == 3
    bob.stop()
    bob.start()
    ana = grid.user(owner, "ana")
    found = {it.version: it for it in ana.datasets}
    assert {version: it.id for version, it in found.items()} == {
        it.version: it.id for it in (first, second, third)
    }
    np.testing.assert_array_equal(found[1]["x"].get(), BIRTHS.astype("float32"))
    for version in (2, 3):
        with pytest.raises(GetNotPermittedError):
            found[version].pointers[0].get()
    assert owner.publish("Birth records", BIRTHS).version == 4


def halved() -> dict[str, object]:
    return {
        "x": BIRTHS / [1, 2, 1],
        "table": {"Gender": BIRTHS[:, 0].astype(int), "Weight": BIRTHS[:, 1]},
    }


def test_c39_names_count_for_themselves_and_an_owner_may_begin_higher(owner: DomainClient) -> None:
    assert owner.publish_dataset(births(version=23)).version == 23
    assert owner.publish_dataset(births()).version == 24
    assert owner.publish_dataset(births(name="others")).version == 1


def test_c39_all_versions_are_found_over_a_network(grid: Grid) -> None:
    city = grid.launch("city", "network")
    owner = grid.owner_of(grid.launch("bob", networks=(city.address,)))
    for _ in range(3):
        owner.publish_dataset(births())
    found = (
        network_at(grid.client("ana"), city.address)
        .search("#february")
        .datasets(latest_version_only=False)
    )
    assert sorted(it.version for it in found) == [1, 2, 3]
    assert len({it.record.schema.id for it in found if it.record.schema}) == 1


def test_c39_a_person_keeps_her_id_in_later_versions(owner: DomainClient) -> None:
    first = owner.publish_dataset(births())
    again = owner.publish_dataset(births(owners={"train": ["clara"] * 5, "test": ["dora", "eva"]},
                                         budgets=None))  # fmt: skip
    before = [entity.uid for entity in first["x"].accountant]
    after = [entity.uid for entity in again["x"].accountant]
    assert before[2] == after[0]
    assert len({*before, *after}) == 5


def test_c39_a_publication_that_is_repeated_is_one_version(owner: DomainClient) -> None:
    upload = upload_of(
        births(), allowed=(), allowed_domains=(), announce=False, secret=bytes(32),
        limits=owner._limits,
    )  # fmt: skip
    first = owner.publish_dataset(births())
    buffers = [raw_bytes(parcel.array) for parcel in upload.parcels]
    records = [ask(owner.link(), upload.message, Published, buffers) for _ in range(2)]
    assert records[0] == records[1]
    assert [it.version for it in owner.datasets] == [1, 2]
    assert first.version == 1
