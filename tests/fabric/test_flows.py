"""What a domain and a network promise, on fakes of the sockets and of Ray; see also tests/flows."""

import numpy as np
import pytest

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.errors import (
    DuplicateError,
    GetNotPermittedError,
    InvalidQueryError,
    PermissionDeniedError,
    PublishNotPermittedError,
    RemoteIndexError,
    SchemaError,
    ShapeError,
)
from tests.fabric.conftest import Grid, network_at

BIRTHS = np.array([[1, 3.5, 47.3], [0, 3.7, 48.1], [0, 3.9, 50.0], [1, 4.1, 52.3], [0, 4.1, 49.7]])


def sum_column(dataset: TensorPointer, column: int) -> TensorPointer:
    sum_result = dataset[0][column].copy()
    for i in range(1, dataset.shape[0]):
        sum_result += dataset[i][column]
    return sum_result


def published(owner: DomainClient, *, allowed: tuple[str, ...] = ("ana",)) -> None:
    owner.publish(
        "births",
        BIRTHS,
        description="monthly birth records",
        tags=("#February", "#birth-records"),
        allowed_users=allowed,
        announce=True,
    )


def test_a_search_needs_a_tag_and_every_tag_has_to_match(grid: Grid) -> None:
    network = grid.launch("city-health", "network")
    owner = grid.owner_of(grid.launch("bob", networks=(network.address,)))
    published(owner)
    someone = network_at(grid.client("someone"), network.address)
    assert len(someone.search("february")) == 1
    assert len(someone.search("february", "march")) == 0
    with pytest.raises(InvalidQueryError, match="at least one"):
        someone.search()
    with pytest.raises(InvalidQueryError, match="nothing to look for"):
        someone.search("#")


def test_results_inherit_the_permissions_of_every_source(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    owner.publish("open", BIRTHS, allowed_users="ana")
    owner.publish("closed", BIRTHS)
    ana = grid.user(owner, "ana")
    opened, closed = (
        next(d for d in ana.datasets if d.name == name).pointers[0] for name in ("open", "closed")
    )
    np.testing.assert_array_equal((opened * 2).get(), BIRTHS * 2)
    for mixed in (opened + closed, closed * 0, (opened @ closed.T)[0], closed.mean() - opened):
        with pytest.raises(GetNotPermittedError):
            mixed.get()
    np.testing.assert_array_equal(owner.datasets[0].pointers[0].get(), BIRTHS)


def test_a_bare_name_is_no_right(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    published(owner)
    grid.user(owner, "ana")
    eve = grid.user(owner, "eve")
    pointer = eve.datasets[0].pointers[0]
    with pytest.raises(GetNotPermittedError):
        pointer.get(user="ana")
    with pytest.raises(GetNotPermittedError):
        sum_column(pointer, 1).get()


def test_only_owners_publish_and_see_users(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    ana = grid.user(owner, "ana")
    with pytest.raises(PublishNotPermittedError):
        ana.publish("mine", BIRTHS)
    with pytest.raises(PermissionDeniedError):
        ana.users.list()
    with pytest.raises(PermissionDeniedError):
        ana.users.add("eve", "00" * 32)
    assert [account.name for account in owner.users.list()] == ["ana", "owner"]


def test_a_name_is_enrolled_once(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    owner.users.add("ana", "11" * 32)
    owner.users.add("ana", "11" * 32)
    with pytest.raises(DuplicateError):
        owner.users.add("ana", "22" * 32)
    with pytest.raises(SchemaError):
        owner.users.add("eve", "not a key")


def test_errors_of_shape_are_raised_before_anything_is_sent(grid: Grid) -> None:
    bob = grid.launch("bob")
    owner = grid.owner_of(bob)
    published(owner)
    pointer = grid.user(owner, "ana").datasets[0].pointers[0]
    bob.stop()
    try:
        with pytest.raises(ShapeError):
            pointer + np.zeros(4)
        with pytest.raises(RemoteIndexError):
            pointer[0, 7]
        with pytest.raises(IndexError):
            pointer[5]
    finally:
        bob.start()


def test_published_arrays_come_back_as_they_were(grid: Grid) -> None:
    owner = grid.owner_of(grid.launch("bob"))
    arrays: dict[str, np.ndarray] = {
        "empty": np.zeros((0, 3), np.float32),
        "scalar": np.array(7, np.int8),
        "strided": np.arange(12)[::3],
        "big-endian": np.arange(3, dtype=">i4"),
        "truth": np.array([True, False]),
    }
    dataset = owner.publish("all", arrays)
    assert list(dataset) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(dataset[name].get(), array)
        assert dataset[name].get().dtype == array.dtype.newbyteorder("=")
