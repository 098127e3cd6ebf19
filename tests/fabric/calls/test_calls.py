"""Actors of exported classes: make, call, wait; over the wire, with real threads."""

import logging

import numpy as np
import pytest

from p2pgrid.errors import (
    ArgumentError,
    ObjectGoneError,
    TaskError,
    TransportError,
)
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.values import Ref
from tests.fabric.calling import Caller
from tests.fabric.gates import Gate


def test_calls_are_carried_out_in_order_and_keep_their_state(ann: Caller) -> None:
    counter = ann.make("Counter", 5)
    assert ann.take(counter) == Ref(counter)
    calls = [ann.call(counter, "incr", by) for by in (1, 2)] + [ann.call(counter, "incr", by=3)]
    assert ann.take_all(*calls)[0] == 6
    assert [ann.take(call) for call in calls] == [6, 8, 11]


def test_values_of_values_go_in_and_out(ann: Caller) -> None:
    stats = ann.make("Stats")
    described = ann.call(stats, "describe", {"a": [1.0, None], "b": []})
    assert ann.take(described) == [("a", 2), ("b", 0)]
    doubled = ann.call(stats, "double", np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(ann.take(doubled), np.arange(6.0).reshape(2, 3) * 2)


def test_two_actors_of_a_class_share_nothing(ann: Caller) -> None:
    first, second = ann.make("Counter", 1), ann.make("Counter", 10)
    ann.take(ann.call(first, "incr"))
    assert ann.take(ann.call(second, "incr")) == 11


def test_a_result_is_an_argument_before_it_is_there(ann: Caller, gate: Gate) -> None:
    first, second = ann.make("Counter"), ann.make("Counter")
    ann.call(first, "wait", "gate")
    one = ann.call(first, "incr")
    later = ann.call(second, "incr", Ref(one))
    behind = ann.call(second, "incr", 10)
    assert ann.ready(later, behind, timeout_s=0) == set()
    gate.opened.set()
    assert (ann.take(later), ann.take(behind)) == (1, 11)


def test_a_result_is_an_argument_inside_of_another(ann: Caller) -> None:
    stats, counter = ann.make("Stats"), ann.make("Counter")
    number = ann.call(counter, "incr")
    described = ann.call(stats, "describe", {"a": [Ref(number), 2.0]})
    assert ann.take(described) == [("a", 2)]
    doubled = ann.call(stats, "double", np.ones(3))
    assert ann.take(ann.call(stats, "mean", Ref(doubled))) == 2.0


def test_a_result_of_another_type_than_the_parameter_is_refused(ann: Caller) -> None:
    stats, counter = ann.make("Stats"), ann.make("Counter")
    wrong = ann.call(counter, "incr", Ref(ann.call(stats, "double", np.ones(3))))
    with pytest.raises(ArgumentError, match="needs by: int, got array"):
        ann.take(wrong)


def test_a_failed_call_fails_what_depends_on_it_and_leaves_the_actor_alive(ann: Caller) -> None:
    counter = ann.make("Counter", 7)
    failed = ann.call(counter, "fail")
    dependent = ann.call(counter, "incr", Ref(failed))
    with pytest.raises(TaskError) as first:
        ann.take(failed)
    with pytest.raises(TaskError) as second:
        ann.take(dependent)
    assert first.value.reference == second.value.reference
    assert ann.take(ann.call(counter, "incr")) == 8


def test_what_a_method_raises_is_told_to_the_owner_only(
    ann: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    counter = ann.make("Counter", 7)
    with caplog.at_level(logging.ERROR), pytest.raises(TaskError, match=r"Counter\.fail") as raised:
        ann.take(ann.call(counter, "fail"))
    assert "private" not in str(raised.value)
    assert [it.__dict__["reference"] for it in caplog.records] == [raised.value.reference]
    assert "the private value is 7" in caplog.text


@pytest.mark.parametrize("method", ["lie", "leave"])
def test_what_was_not_declared_does_not_leave(ann: Caller, method: str) -> None:
    counter = ann.make("Counter")
    with pytest.raises(TaskError):
        ann.take(ann.call(counter, method))


@pytest.mark.parametrize(
    ("method", "args", "problem"),
    [
        ("incr", ("one",), "needs by: int, got str"),
        ("incr", (1, 2), "takes 1 positional arguments, 2 were given"),
        ("hidden", (), "is no method that may be called"),
        ("__init__", (), None),
    ],
)
def test_a_call_that_does_not_fit_is_refused(
    ann: Caller, method: str, args: tuple[object, ...], problem: str | None
) -> None:
    counter = ann.make("Counter")
    with pytest.raises(ArgumentError if problem else TransportError, match=problem):
        ann.call(counter, method, *args)


def test_a_class_that_is_not_exported_cannot_be_made(ann: Caller) -> None:
    with pytest.raises(ArgumentError, match="no class that hospital exports"):
        ann.make("GATES")


def test_a_refused_call_fails_what_was_sent_behind_it(ann: Caller) -> None:
    counter = ann.make("Counter")
    refused, dependent = ann.name(), ann.name()
    answer = ann.ask(
        m.Invoke(
            (
                m.Call(refused, counter, "incr", ("one",)),
                m.Call(dependent, counter, "incr", (Ref(refused),)),
            )
        )
    ).message
    assert isinstance(answer, m.Invoked)
    assert [it.out for it in answer.failed] == [refused]
    with pytest.raises(ArgumentError):
        ann.take(dependent)


@pytest.mark.parametrize("name", [b"another session!", None])
def test_a_name_is_used_once_and_by_its_session(ann: Caller, name: bytes | None) -> None:
    counter = ann.make("Counter")
    with pytest.raises(TransportError):
        ann.invoke(m.Call(name or counter, counter, "incr"))


# --- waiting ----------------------------------------------------------------------------------


def test_waiting_ends_with_so_many_results_or_with_the_time(ann: Caller, gate: Gate) -> None:
    counter = ann.make("Counter")
    done = [ann.call(counter, "incr") for _ in range(2)]
    held = ann.call(counter, "wait", "gate")
    assert ann.ready(*done, held, count=2) == set(done)
    assert ann.ready(held, timeout_s=0.01) == set()
    assert ann.take_all(held, done[0], timeout_s=0.01) == []
    assert ann.take_all(done[0], held) == [1]
    gate.opened.set()
    assert ann.ready(*done, held, count=3) == {*done, held}


def test_what_was_freed_is_gone_and_nobody_waits_for_it(ann: Caller) -> None:
    counter = ann.make("Counter")
    one = ann.call(counter, "incr")
    dependent = ann.call(counter, "incr", Ref(one))
    ann.ask(m.Invoke((), (one,)))
    assert ann.ready(one, timeout_s=0) == {one}
    with pytest.raises(ObjectGoneError):
        ann.take(one)
    assert ann.take(dependent) == 2
