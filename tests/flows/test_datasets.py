"""Prepared datasets: published, found, versioned; what is private stays with their owner."""

import numpy as np
import pytest

from p2pgrid.errors import GetNotPermittedError, PublishNotPermittedError
from tests.fabric.births import BIRTHS, CAREFUL, RAW, SCHEMA, births
from tests.fabric.conftest import domain_at
from tests.flows.grids import FlowGrid, city_of, user


def test_c28_c31_a_prepared_dataset_is_found_and_what_is_private_stays(grid: FlowGrid) -> None:
    bob = grid.domain()
    mine = bob.owner().publish_dataset(births(name="kept", tags=("#kept-births",)))
    assert mine.raw == RAW
    assert [entity.user_budget for entity in mine["x"].accountant][1] == CAREFUL
    rosa = grid.client("rosa")
    user(bob, rosa, "rosa")
    (found,) = city_of(grid, rosa).search("#kept-births").datasets()
    assert (found.id, found.schema, found.worst_case_user_budget) == (mine.id, SCHEMA, CAREFUL)
    assert {"NP", "PD"} <= set(found.frameworks)
    assert found.rows == {"train": 5, "dev": 0, "test": 2}
    x, table = found.split("test")["x"], found.tensors["table"]
    assert (x.shape, table.shape, x.mock().shape) == ((2, 3), (5, 2), (2, 3))
    for field in ("value", "data", "e_high", "e_low", "accountant"):
        with pytest.raises(GetNotPermittedError):
            getattr(x, field)
    with pytest.raises(GetNotPermittedError):
        found.raw  # noqa: B018
    with pytest.raises(PublishNotPermittedError):
        domain_at(rosa, bob.address).publish_dataset(births())


def test_c39_a_dataset_gets_versions_and_the_first_one_stays(grid: FlowGrid) -> None:
    bob = grid.domain()
    owner = bob.owner()
    prepared = births(name="versioned", tags=("#versioned",))
    first = owner.publish_dataset(prepared, allowed_users="sven")
    second = owner.publish_dataset(prepared)
    assert (first.version, second.version) == (1, 2)
    sven = user(bob, grid.client("sven"), "sven").login("sven")
    found = {dataset.id: dataset for dataset in sven.search("#versioned")}
    np.testing.assert_array_equal(found[first.id]["x"].get(), BIRTHS.astype("float32"))
    with pytest.raises(GetNotPermittedError):
        found[second.id]["x"].get()
    bob.stop()
    bob.start()
    assert {it.id for it in bob.owner().search("#versioned")} == {first.id, second.id}
    uids = [[entity.uid for entity in it["x"].accountant] for it in (first, second)]
    assert uids[0] == uids[1]
