"""The objects of a session, whatever is asked in whatever order."""

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2pgrid.errors import ObjectGoneError, P2PGridError, QuotaExceededError, RemoteProtocolError
from p2pgrid.ids import ObjectId, short
from p2pgrid.policy.access import Label
from p2pgrid.protocol import faults
from p2pgrid.protocol.messages import Failure, Op, Param, Slice
from tests.unit.session_objects import (
    CATALOG,
    FOREIGN,
    HEART,
    LOST,
    LUNG,
    Params,
    named,
    objects_with,
    op,
)

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
