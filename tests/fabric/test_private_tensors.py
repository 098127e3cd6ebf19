"""An owner prepares a tensor, describes it, and sends it to a domain; others find it."""

from typing import Any

import numpy as np
import pytest
import torch

from p2pgrid import DomainClient, private_tensor
from p2pgrid.errors import (
    DtypeError,
    GetNotPermittedError,
    PublishNotPermittedError,
    SchemaError,
    SourceError,
)
from tests.fabric.conftest import Grid, domain_at, network_at

BIRTHS = [[1, 3.5, 47.3], [0, 3.7, 48.1], [0, 3.9, 50.0], [1, 4.1, 52.3], [0, 4.1, 49.7]]
DESCRIPTION = "Births of February,\n\n  * Gender: 0/1\n  * kg\n  * cm  \n"


def births(**settings: Any) -> Any:
    tensor = private_tensor(torch.tensor(BIRTHS), **settings)
    return tensor.tag("#February", "#birth-records").describe(DESCRIPTION)


def test_c12_who_knows_only_the_network_finds_what_was_sent_to_a_domain(grid: Grid) -> None:
    city = grid.launch("city", "network")
    bob = grid.launch("bob", networks=(city.address,))
    owner = domain_at(grid.client("owner-bob"), bob.address)
    births().send(owner, user="owner")
    scientist = network_at(grid.client("scientist"), city.address)
    found = scientist.search("#February", "#birth-records")
    (pointer,) = found["bob"]
    assert pointer.shape == (5, 3)
    assert pointer.description == DESCRIPTION


def test_c40_the_shape_and_the_description_of_a_tensor_of_torch_are_kept(
    grid: Grid, owner: DomainClient
) -> None:
    pointer = births(allowed_users="ana").send(owner)
    assert (pointer.shape, pointer.dtype) == ((5, 3), np.float32)
    (found,) = grid.user(owner, "ana").search("birth-records")
    assert found.description == DESCRIPTION
    np.testing.assert_array_equal(found.pointers[0].get(), np.array(BIRTHS, "float32"))


@pytest.mark.parametrize(
    "given",
    [
        BIRTHS,
        np.array(BIRTHS),
        torch.tensor(BIRTHS, dtype=torch.float64),
        torch.tensor(BIRTHS, dtype=torch.float64, requires_grad=True),
    ],
    ids=["lists", "numpy", "torch", "with a gradient"],
)
def test_c40_a_tensor_comes_from_lists_numpy_or_torch(given: Any) -> None:
    tensor = private_tensor(given)
    np.testing.assert_array_equal(tensor.values, np.array(BIRTHS))
    assert tensor.shape == (5, 3)


def test_c40_what_is_no_tensor_of_numbers_is_refused_at_once() -> None:
    with pytest.raises(SourceError, match="tensor: cannot be read as an array"):
        private_tensor([[1, 2], [3]])
    with pytest.raises(DtypeError):
        private_tensor(["female"])


def test_c41_tag_and_describe_give_the_same_tensor_and_no_repr_shows_a_value() -> None:
    tensor = private_tensor(np.array(BIRTHS))
    assert tensor.tag("#February").tag("#birth-records") is tensor
    assert tensor.describe(DESCRIPTION) is tensor
    assert (tensor.tags, tensor.description) == (("#February", "#birth-records"), DESCRIPTION)
    assert repr(tensor) == "<PrivateTensor of shape (5, 3), float64 #February #birth-records>"


def test_c41_a_tensor_is_a_copy_of_what_it_was_made_of() -> None:
    source = np.array(BIRTHS)
    tensor = private_tensor(source)
    source[:] = 0
    np.testing.assert_array_equal(tensor.values, np.array(BIRTHS))


def test_a_tensor_that_is_refused_is_not_listed(grid: Grid, owner: DomainClient) -> None:
    ana = grid.user(owner, "ana")
    with pytest.raises(PublishNotPermittedError):
        births().send(ana)
    with pytest.raises(SchemaError):
        births().tag("").send(owner)
    assert owner.search() == ()


def test_only_those_whom_the_owner_allowed_take_it_home(grid: Grid, owner: DomainClient) -> None:
    births(allowed_users=("ana", "bea")).send(owner)
    ana, eve = grid.user(owner, "ana"), grid.user(owner, "eve")
    assert ana.search("#February")[0].pointers[0].get().shape == (5, 3)
    with pytest.raises(GetNotPermittedError):
        eve.search("#February")[0].pointers[0].get()
