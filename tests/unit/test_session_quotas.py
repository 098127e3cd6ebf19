"""Quotas of a session are exact, to the last byte."""

import pytest

from p2pgrid.errors import ObjectGoneError, QuotaExceededError, UnsupportedRemoteOpError
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import MAX_ELEMENTS, ArrayHeader
from p2pgrid.protocol.messages import Failure, Slice
from tests.unit.session_objects import (
    CATALOG,
    FOREIGN,
    HEART,
    LUNG,
    ROW_BYTES,
    Inputs,
    admitted,
    named,
    objects_with,
    op,
)


def quota(failure: Failure | None) -> dict[str, object]:
    assert failure is not None
    error = faults.error_of(failure)
    assert isinstance(error, QuotaExceededError)
    return vars(error)


def test_bytes_are_counted_to_the_last_one() -> None:
    objects = objects_with(size=2 * ROW_BYTES)
    admitted(objects, op(1), op(2))
    assert objects.held_bytes == 2 * ROW_BYTES
    expected = {"what": "bytes", "needed": 3 * ROW_BYTES, "limit": 2 * ROW_BYTES}
    assert quota(objects.admit(op(3))) == expected
    assert objects.held_bytes == 2 * ROW_BYTES
    objects.free(named(1))
    admitted(objects, op(4))


def test_one_byte_less_than_needed_is_not_enough() -> None:
    assert quota(objects_with(size=ROW_BYTES - 1).admit(op(1)))["needed"] == ROW_BYTES
    admitted(objects_with(size=ROW_BYTES), op(1))


def test_objects_are_counted_even_when_they_take_no_memory() -> None:
    objects = objects_with(count=2)
    admitted(objects, op(1, "transpose"), op(2, "transpose"))
    expected = {"what": "objects", "needed": 3, "limit": 2}
    assert quota(objects.admit(op(3, "transpose"))) == expected
    objects.free(named(1))
    objects.free(named(3))
    admitted(objects, op(4))


def test_free_gives_bytes_back_once(objects: SessionObjects) -> None:
    admitted(objects, op(1), op(2))
    for _ in range(3):
        objects.free(named(1))
    assert (len(objects), objects.held_bytes) == (1, ROW_BYTES)
    with pytest.raises(ObjectGoneError):
        objects.find(named(1))


@pytest.mark.parametrize("object_id", [HEART, LUNG, FOREIGN, named(9)])
def test_what_is_not_of_this_session_is_not_freed(
    objects: SessionObjects, object_id: bytes
) -> None:
    admitted(objects, op(1))
    objects.free(object_id)
    assert (len(objects), objects.held_bytes) == (1, ROW_BYTES)
    assert objects.find(HEART) is CATALOG[HEART]


def test_a_view_of_a_dataset_costs_nothing(objects: SessionObjects) -> None:
    admitted(
        objects,
        op(1, "getitem", (HEART,), (Slice(1),)),
        op(2, "transpose", (named(1),)),
        op(3, "getitem", (named(2),), (0,)),
    )
    assert objects.held_bytes == 0
    objects.free(named(2))
    assert objects.held_bytes == 0


def test_a_view_of_what_was_computed_costs_its_bytes(objects: SessionObjects) -> None:
    admitted(objects, op(1), op(2, "getitem", (named(1),), (Slice(2),)))
    assert objects.held_bytes == ROW_BYTES + ROW_BYTES // 2


@pytest.mark.parametrize("name", ["copy", "sum", "add", "multiply"])
def test_what_is_computed_from_a_dataset_costs_its_bytes(
    objects: SessionObjects, name: str
) -> None:
    inputs: Inputs = (LUNG, 1) if name in ("add", "multiply") else (LUNG,)
    admitted(objects, op(1, name, inputs, (None, False) if name == "sum" else ()))
    assert objects.held_bytes == (8 if name == "sum" else ROW_BYTES)
    assert not objects.find(named(1)).borrowed


def test_what_positions_pick_from_a_dataset_costs_its_bytes(objects: SessionObjects) -> None:
    positions = ArrayHeader("int64", (2,), 0)
    assert objects.admit(op(1, "getitem", (LUNG, positions), ("positions",)), (16,)) is None
    assert objects.held_bytes == 2 * 8
    assert not objects.find(named(1)).borrowed


def test_an_array_that_came_along_may_be_positions_and_an_object_may_not(
    objects: SessionObjects,
) -> None:
    admitted(objects, op(1, "astype", (LUNG,), ("int64",)))
    failure = objects.admit(op(2, "getitem", (LUNG, named(1)), ("positions",)))
    assert failure is not None
    assert failure.code == UnsupportedRemoteOpError.code


def test_an_enormous_result_is_refused_with_exact_numbers(objects: SessionObjects) -> None:
    empty: Inputs = (named(1), ArrayHeader("float64", (0, MAX_ELEMENTS), 0))
    admitted(objects, op(1, "getitem", (LUNG,), (None, Slice(0, 0))))
    needed = quota(objects.admit(op(2, "matmul", empty), (0,)))["needed"]
    assert needed == 8 * MAX_ELEMENTS
