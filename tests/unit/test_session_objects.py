"""The objects of a session: named once, looked up here, poisoned by what failed, bounded."""

import numpy as np
import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2pgrid.config import Limits
from p2pgrid.errors import (
    InternalError,
    ObjectGoneError,
    P2PGridError,
    QuotaExceededError,
    RemoteProtocolError,
    ShapeError,
    UnsupportedRemoteOpError,
)
from p2pgrid.ids import DatasetId, ObjectId, short
from p2pgrid.policy.access import Label
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import MAX_ELEMENTS, ArrayHeader
from p2pgrid.protocol.messages import Failure, Op, Operand, Param, Slice
from p2pgrid.protocol.operations import ArrayMeta

PREFIX = b"session!"
OTHER_PREFIX = b"session?"
ROW_BYTES = 4 * 8
HEART, LUNG = ObjectId(b"heart-values-of-"), ObjectId(b"lung--values-of-")
FOREIGN = OTHER_PREFIX + (1).to_bytes(8, "big")
CATALOG = {
    HEART: Label(ArrayMeta((3, 4), np.dtype("float64")), frozenset({DatasetId(b"h" * 16)}), True),
    LUNG: Label(ArrayMeta((4,), np.dtype("float64")), frozenset({DatasetId(b"l" * 16)}), True),
}
LOST = faults.internal("cafe")
Inputs = tuple[Operand, ...]
Params = tuple[Param, ...]


def named(number: int) -> ObjectId:
    return ObjectId(PREFIX + number.to_bytes(8, "big"))


def objects_with(*, count: int = 100, size: int = 10_000) -> SessionObjects:
    limits = Limits(session_objects=count, session_bytes=size)
    return SessionObjects(PREFIX, CATALOG, limits=limits, domain="clinic")


@pytest.fixture
def objects() -> SessionObjects:
    return objects_with()


def op(number: int, name: str = "copy", inputs: Inputs = (LUNG,), params: Params = ()) -> Op:
    return Op(name, named(number), inputs, params)


def admitted(objects: SessionObjects, *ops: Op) -> None:
    assert [objects.admit(each) for each in ops] == [None] * len(ops)


# --- names ------------------------------------------------------------------------------------


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


# --- operands ---------------------------------------------------------------------------------


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


# --- poison -----------------------------------------------------------------------------------


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


# --- quotas -----------------------------------------------------------------------------------


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


# --- the whole --------------------------------------------------------------------------------

MAX_OBJECTS, MAX_BYTES = 4, 100


class SessionMachine(RuleBasedStateMachine):
    """A session whose labels, failures and bytes are kept a second time, naively."""

    def __init__(self) -> None:
        super().__init__()
        self.objects = objects_with(count=MAX_OBJECTS, size=MAX_BYTES)
        self.labels: dict[bytes, Label] = {}
        self.failed: dict[bytes, Failure] = {}
        self.gone: list[bytes] = []
        self.last = 0

    def known(self) -> list[bytes]:
        return [HEART, LUNG, FOREIGN, *self.labels, *self.failed, *self.gone]

    def label_of(self, object_id: bytes) -> Label | None:
        return self.labels.get(object_id) or CATALOG.get(ObjectId(object_id))

    def bytes_held(self) -> int:
        return sum(label.meta.nbytes for label in self.labels.values() if not label.borrowed)

    def is_full(self) -> bool:
        return len(self.labels) + len(self.failed) >= MAX_OBJECTS

    def admit(self, name: str, inputs: tuple[bytes, ...], params: Params, gap: int = 1) -> None:
        self.last += gap
        out = named(self.last)
        failure = self.objects.admit(Op(name, out, inputs, params))
        assert failure == self.expected_failure(name, inputs, failure)
        if failure is not None:
            self.fail(out, failure)
            return
        assert not self.is_full()
        labels = [label for label in map(self.label_of, inputs) if label is not None]
        found = self.objects.find(out)
        assert found.sources == frozenset().union(*(label.sources for label in labels))
        assert found.borrowed == (name in ("getitem", "transpose") and labels[0].borrowed)
        self.labels[out] = found

    def expected_failure(
        self, name: str, inputs: tuple[bytes, ...], got: Failure | None
    ) -> Failure | None:
        for operand in inputs:
            if operand in self.failed:
                return self.failed[operand]
        for operand in inputs:
            if self.label_of(operand) is None:
                gone = ObjectGoneError(object_id=short(operand), domain="clinic")
                return faults.failure_of(gone)
        if got is not None and got.code == QuotaExceededError.code:
            needed = {"objects": MAX_OBJECTS, "bytes": max(MAX_BYTES, self.bytes_held())}
            assert int(got.fields["needed"]) > needed[str(got.fields["what"])]
            assert got.fields["what"] == "bytes" or self.is_full()
        elif got is not None:
            assert name in ("add", "matmul", "getitem")
        return got

    def fail(self, out: bytes, failure: Failure) -> None:
        self.labels.pop(out, None)
        self.failed.pop(out, None)
        self.failed[out] = failure
        if len(self.failed) > MAX_OBJECTS:
            self.gone.append(next(iter(self.failed)))
            del self.failed[self.gone[-1]]

    @rule(data=st.data(), name=st.sampled_from(["add", "matmul"]), gap=st.integers(1, 3))
    def compute_with_two(self, data: st.DataObject, name: str, gap: int) -> None:
        operands = st.sampled_from(self.known())
        self.admit(name, (data.draw(operands), data.draw(operands)), (), gap)

    @rule(data=st.data(), name=st.sampled_from(["copy", "transpose"]))
    def compute_with_one(self, data: st.DataObject, name: str) -> None:
        self.admit(name, (data.draw(st.sampled_from(self.known())),), ())

    @rule(data=st.data(), item=st.sampled_from([0, Slice(1), None]))
    def look_at_a_part(self, data: st.DataObject, item: Param) -> None:
        self.admit("getitem", (data.draw(st.sampled_from(self.known())),), (item,))

    @precondition(lambda self: self.labels)
    @rule(data=st.data(), failure=st.sampled_from([LOST, Failure(601, {"x": 1})]))
    def the_store_fails(self, data: st.DataObject, failure: Failure) -> None:
        out = data.draw(st.sampled_from(list(self.labels)))
        self.objects.poison(out, failure)
        self.fail(out, failure)

    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        object_id = data.draw(st.sampled_from(self.known()))
        self.objects.free(object_id)
        if self.labels.pop(object_id, None) or self.failed.pop(object_id, None):
            self.gone.append(object_id)

    @precondition(lambda self: self.last)
    @rule(data=st.data())
    def name_something_again(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, self.last))
        with pytest.raises(RemoteProtocolError):
            self.objects.admit(op(number))

    @invariant()
    def bytes_are_those_of_the_objects_that_it_owns(self) -> None:
        assert 0 <= self.objects.held_bytes == self.bytes_held() <= MAX_BYTES

    @invariant()
    def objects_and_failures_are_bounded(self) -> None:
        assert len(self.objects) == len(self.labels) <= MAX_OBJECTS
        assert self.objects._failed == self.failed
        assert len(self.failed) <= MAX_OBJECTS

    @invariant()
    def everything_is_found_or_says_why_not(self) -> None:
        for object_id in self.known():
            label = self.label_of(object_id)
            if label is not None:
                assert self.objects.find(object_id) == label
                continue
            with pytest.raises(P2PGridError) as caught:
                self.objects.find(object_id)
            known = self.failed.get(object_id)
            expected = ObjectGoneError if known is None else type(faults.error_of(known))
            assert type(caught.value) is expected


TestTheRulesOfASession = SessionMachine.TestCase
TestTheRulesOfASession.settings = settings(stateful_step_count=30)
