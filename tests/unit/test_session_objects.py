"""What a session admits: names, operands, and what failures do to what depends on them."""

import pytest

from p2pgrid.config import Limits
from p2pgrid.errors import (
    InternalError,
    ObjectGoneError,
    RemoteProtocolError,
    ShapeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.ids import short
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import MAX_ELEMENTS, ArrayHeader
from p2pgrid.protocol.messages import Op
from tests.unit.session_objects import (
    CATALOG,
    FOREIGN,
    HEART,
    LOST,
    LUNG,
    OTHER_PREFIX,
    PREFIX,
    ROW_BYTES,
    Inputs,
    admitted,
    named,
    objects_with,
    op,
)


@pytest.mark.parametrize(
    "out",
    [
        FOREIGN,
        HEART,
        b"S" + named(1)[1:],
        PREFIX[::-1] + bytes(7) + b"\x01",
        bytes(8) + PREFIX,
        b"",
    ],
)
def test_a_name_outside_the_prefix_breaks_the_protocol(objects: SessionObjects, out: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="not a fresh name"):
        objects.admit(Op("copy", out, (LUNG,)))
    assert len(objects) == 0


def test_a_name_is_given_once(objects: SessionObjects) -> None:
    admitted(objects, op(1))
    with pytest.raises(RemoteProtocolError, match="not a fresh name"):
        objects.admit(op(1))
    assert objects.held_bytes == ROW_BYTES


def test_the_name_of_what_failed_is_not_given_again(objects: SessionObjects) -> None:
    assert objects.admit(op(1, inputs=(named(9),))) is not None
    with pytest.raises(RemoteProtocolError, match="not a fresh name"):
        objects.admit(op(1))


def test_a_freed_name_never_comes_to_mean_something_else(objects: SessionObjects) -> None:
    admitted(objects, op(1), op(2))
    objects.free(named(1))
    objects.free(named(2))
    for number in (2, 1, 0):
        with pytest.raises(RemoteProtocolError, match="not a fresh name"):
            objects.admit(op(number))


def test_names_may_leave_gaps(objects: SessionObjects) -> None:
    admitted(objects, op(0), op(5), op(2**64 - 1))


@pytest.mark.parametrize("operand", [FOREIGN, named(7), bytes(16)])
def test_an_object_of_somebody_else_is_not_there(objects: SessionObjects, operand: bytes) -> None:
    for inputs in ((operand, LUNG), (LUNG, operand)):
        number = len(objects._failed) + 1
        failure = objects.admit(op(number, "add", inputs))
        gone = ObjectGoneError(object_id=short(operand), domain="clinic")
        assert failure == faults.failure_of(gone)
    with pytest.raises(ObjectGoneError, match=f"{short(operand)} does not exist on clinic"):
        objects.find(operand)


def test_objects_of_two_sessions_do_not_meet() -> None:
    mine = objects_with()
    theirs = SessionObjects(OTHER_PREFIX, CATALOG, limits=Limits(), domain="clinic")
    assert theirs.admit(Op("copy", FOREIGN, (HEART,))) is None
    mine.free(FOREIGN)
    assert theirs.find(FOREIGN).sources == CATALOG[HEART].sources
    with pytest.raises(ObjectGoneError):
        mine.find(FOREIGN)


@pytest.mark.parametrize("inputs", [(), (1, 2), (1.5, True), (ArrayHeader("int8", (1,), 0), 1)])
def test_an_operation_without_an_object_of_the_domain_breaks_the_protocol(
    objects: SessionObjects, inputs: Inputs
) -> None:
    with pytest.raises(RemoteProtocolError, match="names no object"):
        objects.admit(op(1, "add", inputs), (1,))


ROW = ArrayHeader("float64", (4,), 1)


def test_a_literal_is_checked_against_its_buffer(objects: SessionObjects) -> None:
    assert objects.admit(op(1, "add", (LUNG, ROW)), (0, ROW_BYTES)) is None
    assert objects.find(named(1)) == CATALOG[LUNG]._replace(borrowed=False)


@pytest.mark.parametrize("sizes", [(), (ROW_BYTES,), (ROW_BYTES, 0), (0, ROW_BYTES + 1)])
def test_a_literal_with_another_buffer_breaks_the_protocol(
    objects: SessionObjects, sizes: tuple[int, ...]
) -> None:
    with pytest.raises(RemoteProtocolError, match="no buffer of 32 bytes"):
        objects.admit(op(1, "add", (LUNG, ROW)), sizes)
    assert (len(objects), objects.held_bytes) == (0, 0)


def test_an_empty_literal_of_an_impossible_shape_breaks_the_protocol(
    objects: SessionObjects,
) -> None:
    wide = ArrayHeader("float64", (MAX_ELEMENTS, MAX_ELEMENTS, 0), 0)
    with pytest.raises(RemoteProtocolError, match="claims the shape"):
        objects.admit(op(1, "add", (LUNG, wide)), (0,))


def test_a_literal_of_another_dtype_is_refused(objects: SessionObjects) -> None:
    failure = objects.admit(op(1, "add", (LUNG, ArrayHeader("object", (4,), 0))), (32,))
    assert failure is not None
    assert failure.code == 402


@pytest.mark.parametrize(
    ("name", "inputs", "code"),
    [
        ("add", (LUNG, ArrayHeader("float64", (5,), 0)), ShapeError.code),
        ("fft", (LUNG,), UnsupportedRemoteOpError.code),
    ],
)
def test_an_operation_that_cannot_be_done_fails_alone(
    objects: SessionObjects, name: str, inputs: Inputs, code: int
) -> None:
    failure = objects.admit(op(1, name, inputs), (40,))
    assert failure is not None
    assert failure.code == code
    admitted(objects, op(2))


def test_a_request_that_no_client_makes_is_not_hidden_in_a_failure(
    objects: SessionObjects,
) -> None:
    with pytest.raises(RemoteProtocolError, match="does not take 1 operands"):
        objects.admit(op(1, "add", (LUNG,)))
    with pytest.raises(RemoteProtocolError, match="axis and keepdims"):
        objects.admit(op(2, "sum", (LUNG,)))


def test_an_object_of_a_dataset_is_found_by_everyone(objects: SessionObjects) -> None:
    assert objects.find(HEART) is CATALOG[HEART]


def test_what_depends_on_a_failure_gets_the_first_one(objects: SessionObjects) -> None:
    first = objects.admit(op(1, "matmul", (LUNG, HEART)))
    second = objects.admit(op(2, "fft"))
    assert first is not None
    assert second is not None
    assert objects.admit(op(3, "add", (LUNG, named(1)))) == first
    assert objects.admit(op(4, "add", (named(3), named(2)))) == first
    assert objects.admit(op(5, "add", (named(2), named(1)))) == second
    assert objects.admit(op(6, "add", (named(99), named(4)))) == first
    with pytest.raises(ShapeError):
        objects.find(named(6))


def test_a_failure_counts_more_than_what_else_is_wrong(objects: SessionObjects) -> None:
    first = objects.admit(op(1, "matmul", (LUNG, HEART)))
    assert objects.admit(op(2, "add", (named(1), FOREIGN))) == first
    assert objects.admit(op(3, "getitem", (named(1),), (99,))) == first


def test_a_mistake_of_the_domain_poisons_like_any_failure(objects: SessionObjects) -> None:
    admitted(objects, op(1))
    assert objects.poison(named(1), LOST) is LOST
    assert objects.admit(op(2, "add", (named(1), LUNG))) == LOST
    assert objects.admit(op(3, inputs=(named(2),))) == LOST
    admitted(objects, op(4))
    with pytest.raises(InternalError, match="cafe"):
        objects.find(named(3))


def test_an_object_that_failed_gives_its_bytes_back(objects: SessionObjects) -> None:
    admitted(objects, op(1), op(2))
    objects.poison(named(1), LOST)
    objects.poison(named(1), LOST)
    assert (len(objects), objects.held_bytes) == (1, ROW_BYTES)


def test_a_failure_that_is_freed_is_forgotten(objects: SessionObjects) -> None:
    objects.admit(op(1, "fft"))
    objects.free(named(1))
    with pytest.raises(ObjectGoneError):
        objects.find(named(1))


def test_failures_are_bounded_too() -> None:
    objects = objects_with(count=3)
    for number in range(1, 50):
        assert objects.admit(op(number, "fft")) is not None
        assert len(objects._failed) <= 3
    with pytest.raises(UnsupportedRemoteOpError):
        objects.find(named(49))
    with pytest.raises(ObjectGoneError):
        objects.find(named(1))
