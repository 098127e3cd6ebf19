"""Pointers against numpy, through the whole path: client, gateway, policy, store."""

import gc
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.config import Limits
from p2pgrid.errors import (
    ForeignPointerError,
    QuotaExceededError,
    TooLargeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations import REGISTRY
from tests.fabric.conftest import FabricNode, Grid
from tests.programs import GROUPED, Written, a_call, arrays, assert_same, expected_of, is_stricter

A = np.arange(12, dtype=np.float64).reshape(4, 3) - 5
B = np.arange(12, dtype=np.int32).reshape(4, 3)


@pytest.fixture
def a(owner: DomainClient) -> TensorPointer:
    pointer: TensorPointer = owner.publish("a", A).pointers[0]
    return pointer


@pytest.fixture
def b(owner: DomainClient) -> TensorPointer:
    pointer: TensorPointer = owner.publish("b", B).pointers[0]
    return pointer


@settings(max_examples=settings().max_examples // 4)
@given(data=st.data())
def test_a_random_program_equals_numpy(data: st.DataObject, seed: TensorPointer) -> None:
    first = data.draw(arrays())
    drawn = [first, *(data.draw(arrays(like=first)) for _ in range(2))]
    local: list[Array] = [np.array(x, order="C") for x in drawn]  # as arrays travel
    remote: list[Any] = [np.where(seed, x, x) for x in local]
    names = st.sampled_from(sorted(REGISTRY))
    for name in data.draw(st.lists(names, min_size=1, max_size=12)):
        call = a_call(data.draw, name, lambda _: data.draw(st.sampled_from(local)))
        expected = expected_of(call)
        if expected is None or is_stricter(call):
            with pytest.raises((ValueError, IndexError, TypeError)):
                at_the_domain(call, local, remote)
            continue
        pointer = at_the_domain(call, local, remote)
        assert (pointer.shape, pointer.dtype) == (expected.shape, expected.dtype)
        if expected.size <= 1000:
            local.append(as_the_store_keeps(expected))
            remote.append(pointer)
    for pointer, value in zip(remote, local, strict=True):
        assert_same(np.asarray(pointer.get()), value)


def as_the_store_keeps(array: Array) -> Array:
    """Views are copied there. The layout decides in which order numbers are added up."""
    return array if array.base is None else array.copy("K")


def at_the_domain(
    call: Written, local: Sequence[Array], remote: Sequence[TensorPointer]
) -> TensorPointer:
    """The same call on pointers: numpy's functions find their way to the domain."""

    def moved(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            return [moved(each) for each in value]
        found = [pointer for x, pointer in zip(local, remote, strict=True) if x is value]
        return found[0] if found else value

    operators = {"power": operator.pow, "matmul": operator.matmul, "getitem": operator.getitem}
    first, *args = map(moved, call.args)
    if call.name in GROUPED:
        result = getattr(first, call.name)(*args, **call.kwargs)
    else:
        function = operators.get(call.name) or getattr(np, call.name)
        result = function(first, *args, **call.kwargs)
    assert isinstance(result, TensorPointer)
    return result


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TensorPointer]:
    """Something private, so that what is made with it stays in the domain."""
    grid = Grid(tmp_path_factory.mktemp("shared"))
    yield grid.owner_of(grid.launch("clinic")).publish("seed", np.array(True)).pointers[0]
    grid.close()


def test_in_place_forms_move_the_handle_and_leave_the_owners_data(
    owner: DomainClient, a: TensorPointer
) -> None:
    other = a
    before = repr(a)
    a += 1
    a *= 2.0
    a -= np.ones(3)
    a /= 4
    assert a is other
    assert repr(a) != before
    np.testing.assert_array_equal(a.get(), ((A + 1) * 2 - 1) / 4)
    again = next(d for d in owner.datasets if d.name == "a").pointers[0]
    np.testing.assert_array_equal(again.get(), A)


def test_in_place_forms_refuse_what_numpy_refuses(b: TensorPointer) -> None:
    with pytest.raises(TypeError):
        b /= 2
    with pytest.raises(TypeError):
        b += 0.5
    with pytest.raises(ValueError, match="do not fit"):
        b += np.zeros((2, 4, 3), np.int32)


def test_an_operand_travels_as_it_was_when_the_operation_was_made(a: TensorPointer) -> None:
    local = np.ones(3)
    result = a + local
    local[:] = 7
    np.testing.assert_array_equal(result.get(), A + 1)


def test_thousands_of_operations_keep_their_order(a: TensorPointer) -> None:
    x = a[0][0]
    for _ in range(5000):
        x = x + 1.0
    assert x.get() == A[0][0] + 5000


def test_nothing_downloads_silently(a: TensorPointer) -> None:
    for download in (np.asarray, float, bool):
        with pytest.raises(UnsupportedRemoteOpError, match="get"):
            download(a)


def test_objects_that_nobody_holds_are_freed_in_the_domain(
    bob: FabricNode, a: TensorPointer
) -> None:
    x = a[0] + 0.0
    for _ in range(500):
        x = x + 1.0
    x.get_copy()
    gc.collect()
    (x + 1).block  # noqa: B018 carries what was freed
    (x + 1).block  # noqa: B018
    assert bob.held < 20


def test_operands_of_two_domains_do_not_meet(grid: Grid, a: TensorPointer) -> None:
    other = grid.owner_of(grid.launch("ucsf")).publish("c", A).pointers[0]
    with pytest.raises(ForeignPointerError, match="ucsf"):
        a + other


def test_quotas_are_told_with_their_numbers(
    make_grid: Callable[[Limits], Grid],
) -> None:
    grid = make_grid(Limits(session_objects=5, session_bytes=1000))
    owner = grid.owner_of(grid.launch("bob"))
    a = owner.publish("a", A).pointers[0]
    with pytest.raises(QuotaExceededError, match="1,000"):
        (a[:, :, None, None] + np.zeros((10, 10))).get()
    kept = [a[0] for _ in range(5)]
    with pytest.raises(QuotaExceededError, match="objects"):
        (a[1]).block  # noqa: B018
    del kept


def test_an_error_surfaces_where_it_is_asked_for_and_names_the_first_cause(
    make_grid: Callable[[Limits], Grid],
) -> None:
    grid = make_grid(Limits(session_bytes=200))
    a = grid.owner_of(grid.launch("bob")).publish("a", A).pointers[0]
    failed = a[None] + np.zeros((3, 4, 3))
    chain = failed.sum() + 1
    for _ in range(2):
        with pytest.raises(QuotaExceededError, match="288"):
            chain.block  # noqa: B018
        with pytest.raises(QuotaExceededError, match="288"):
            chain.get()
    assert a.sum().get() == A.sum()


def test_only_operands_have_to_fit_into_a_message(
    make_grid: Callable[[Limits], Grid],
) -> None:
    grid = make_grid(Limits(frame=1 << 20, guest_frame=1 << 20))
    owner = grid.owner_of(grid.launch("bob"))
    big = owner.publish("big", np.zeros(1 << 20)).pointers[0]
    assert big.get().shape == (1 << 20,)
    row = owner.publish("row", np.zeros(3)).pointers[0]
    with pytest.raises(TooLargeError, match="524,288"):
        row[0] + np.zeros(1 << 20)
    wide = row[0] + np.zeros(60_000)
    assert wide.get_copy().shape == (60_000,)
    assert (wide[None] + np.zeros((3, 1))).get().shape == (3, 60_000)
