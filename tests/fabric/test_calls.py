"""Actors of exported classes: make, call, wait, cancel, kill; over the wire, with real threads."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actors.calls import Calls
from actors.domain import Domain
from p2pgrid import DomainClient
from p2pgrid.config import Limits
from p2pgrid.errors import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    ArgumentError,
    DuplicateError,
    ObjectGoneError,
    PermissionDeniedError,
    QuotaExceededError,
    TaskCancelledError,
    TaskError,
    TransportError,
)
from p2pgrid.ids import ObjectId
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.values import Arriving, Ref
from tests.fabric import exported
from tests.fabric.calling import Caller
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.gates import Gate

SOURCE = Path(exported.__file__)


def hospital(grid: Grid, name: str = "hospital") -> FabricNode:
    """A domain that exports the classes of ``exported``."""
    node = grid.launch(name)
    node.exports.add(SOURCE)
    return node


def calls_of(node: FabricNode) -> Calls:
    assert isinstance(node.node._service, Domain)
    return node.node._service.calls


@pytest.fixture
def bob(grid: Grid) -> FabricNode:
    return hospital(grid)


@pytest.fixture
def owner(grid: Grid, bob: FabricNode) -> DomainClient:
    return grid.owner_of(bob)


@pytest.fixture
def ann(grid: Grid, owner: DomainClient) -> Caller:
    return Caller(grid.user(owner, "ann"))


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


# --- cancel, deadline, kill -------------------------------------------------------------------


def test_a_call_that_waits_is_cancelled_and_is_not_begun(ann: Caller, gate: Gate) -> None:
    counter = ann.make("Counter")
    held = ann.call(counter, "wait", "gate")
    waiting, after = ann.call(counter, "incr", 100), ann.call(counter, "incr", 1)
    assert gate.reached.wait(10)
    ann.ask(m.CancelCall(waiting))
    ann.ask(m.CancelCall(held))  # it runs: nothing happens
    gate.opened.set()
    with pytest.raises(TaskCancelledError, match=r"Counter\.incr was cancelled"):
        ann.take(waiting)
    assert (ann.take(held), ann.take(after)) == ("gate", 1)
    ann.ask(m.CancelCall(after))  # it is done: nothing happens
    assert ann.take(after) == 1


def test_a_call_that_waits_for_an_argument_is_cancelled(ann: Caller, gate: Gate) -> None:
    first, second = ann.make("Counter"), ann.make("Counter")
    held = ann.call(first, "wait", "gate")
    assert gate.reached.wait(10)
    waiting = ann.call(second, "incr", Ref(held))
    ann.ask(m.CancelCall(waiting))
    with pytest.raises(TaskCancelledError):
        ann.take(waiting)
    assert ann.take(ann.call(second, "incr")) == 1


def test_a_running_call_is_cancelled_with_its_actor(ann: Caller, gate: Gate) -> None:
    counter = ann.make("Counter")
    running, waiting = ann.call(counter, "wait", "gate"), ann.call(counter, "incr")
    assert gate.reached.wait(10)
    ann.ask(m.CancelCall(waiting, force=True))  # it does not run: only the call ends
    ann.ask(m.CancelCall(running, force=True))
    with pytest.raises(ActorDiedError, match="cancelled by force"):
        ann.take(running)
    with pytest.raises((TaskCancelledError, ActorDiedError)):
        ann.take(waiting)
    gate.opened.set()


def test_a_deadline_cancels_what_has_no_result(ann: Caller, gate: Gate) -> None:
    counter = ann.make("Counter")
    held = ann.call(counter, "wait", "gate", timeout_s=0.01)
    waiting = ann.call(counter, "incr", 100, timeout_s=0.01)
    for late in (held, waiting):
        with pytest.raises(TaskCancelledError, match=r"by its deadline of 0\.01 s"):
            ann.take(late)
    gate.opened.set()
    assert ann.take(ann.call(counter, "incr", timeout_s=10)) in {1, 101}


def test_a_killed_actor_ends_what_is_under_way_and_all_later_calls(ann: Caller, gate: Gate) -> None:
    counter = ann.make("Counter")
    held, waiting = ann.call(counter, "wait", "gate"), ann.call(counter, "incr")
    ann.ask(m.KillActor(counter))
    for call in (held, waiting, ann.call(counter, "incr")):
        with pytest.raises(ActorDiedError, match="it was killed"):
            ann.take(call)
    ann.ask(m.KillActor(counter))
    gate.opened.set()


def test_a_constructor_that_raises_is_told_as_death(ann: Caller) -> None:
    counter = ann.make("Counter", -5)
    for call in (counter, ann.call(counter, "incr")):
        with pytest.raises(ActorDiedError, match="its constructor raised") as died:
            ann.take(call)
        assert "-5" not in str(died.value)


def test_an_actor_whose_handle_was_freed_ends_when_its_calls_have(
    bob: FabricNode, ann: Caller, gate: Gate
) -> None:
    counter = ann.make("Counter")
    held, last = ann.call(counter, "wait", "gate"), ann.call(counter, "incr")
    ann.ask(m.Invoke((), (counter,)))
    gate.opened.set()
    assert (ann.take(held), ann.take(last)) == ("gate", 1)
    with pytest.raises(ObjectGoneError, match="actor"):
        ann.call(counter, "incr")
    assert not bob.hosts._threads


# --- restarts ---------------------------------------------------------------------------------


def crash(node: FabricNode, actor: ObjectId) -> None:
    """Ends the actor's end of the socket, as a killed process would."""
    node.hosts._threads[actor].crash()


def test_a_crash_without_restarts_is_death(bob: FabricNode, ann: Caller) -> None:
    counter = ann.make("Counter")
    ann.take(ann.call(counter, "incr"))
    crash(bob, counter)
    with pytest.raises(ActorDiedError, match="no restarts left"):
        ann.take(ann.call(counter, "incr"))


def test_a_restarted_actor_has_lost_its_state_and_the_call_that_ran(
    bob: FabricNode, ann: Caller, gate: Gate
) -> None:
    counter = ann.make("Counter", 5, max_restarts=1)
    assert ann.take(ann.call(counter, "incr")) == 6
    running = ann.call(counter, "wait", "gate")
    assert gate.reached.wait(10)
    crash(bob, counter)
    with pytest.raises(ActorUnavailableError):
        ann.take(running)
    assert ann.take(ann.call(counter, "incr")) == 6
    crash(bob, counter)
    with pytest.raises(ActorDiedError):
        ann.take(ann.call(counter, "incr"))
    gate.opened.set()


def test_resources_that_no_machine_has_are_told(bob: FabricNode, ann: Caller) -> None:
    bob.hosts._machine = {"CPU": 2.0, "memory": 1e9}
    greedy = ann.make("Counter", num_cpus=4)
    for call in (greedy, ann.call(greedy, "incr")):
        with pytest.raises(ActorUnschedulableError, match="asks for 4 CPU, the domain has 2"):
            ann.take(call)


# --- names and sessions -----------------------------------------------------------------------


def test_a_named_actor_outlives_the_session_that_made_it(
    grid: Grid, bob: FabricNode, ann: Caller
) -> None:
    owner = Caller(grid.owner_of(bob))
    tally = owner.make("Counter", name="tally")
    owner.take(owner.call(tally, "incr"))
    with pytest.raises(DuplicateError, match="tally"):
        owner.make("Counter", name="tally")
    bob.node._loop.run(calls_of(bob).drop(tally[:8]))
    found = ann.ask(m.FindActor("tally")).message
    assert isinstance(found, m.ActorFound)
    assert (found.object_id, found.cls.name) == (tally, "Counter")
    assert ann.take(ann.call(found.object_id, "incr")) == 2


def test_only_owners_name_and_kill_named_actors(grid: Grid, bob: FabricNode, ann: Caller) -> None:
    with pytest.raises(PermissionDeniedError, match="naming an actor"):
        ann.make("Counter", name="mine")
    owner = Caller(grid.owner_of(bob))
    tally = owner.make("Counter", name="tally")
    with pytest.raises(PermissionDeniedError, match="killing a named actor"):
        ann.ask(m.KillActor(tally))
    owner.ask(m.KillActor(tally))
    with pytest.raises(ObjectGoneError, match="tally"):
        ann.ask(m.FindActor("tally"))
    with pytest.raises(ActorDiedError):
        ann.take(ann.call(tally, "incr"))
    owner.make("Counter", name="tally")


def test_an_actor_of_another_session_does_not_exist(
    grid: Grid, owner: DomainClient, ann: Caller
) -> None:
    counter = ann.make("Counter")
    result = ann.call(counter, "incr")
    eve = Caller(grid.user(owner, "eve"))
    with pytest.raises(ObjectGoneError):
        eve.call(counter, "incr")
    with pytest.raises(ObjectGoneError):
        eve.take(result)
    with pytest.raises(ObjectGoneError):
        eve.ask(m.KillActor(counter))
    with pytest.raises(ObjectGoneError):
        eve.call(eve.make("Counter"), "incr", Ref(result))
    eve.ask(m.CancelCall(result))
    assert ann.take(result) == 1


def test_the_actors_of_a_session_end_with_it(bob: FabricNode, ann: Caller) -> None:
    counter = ann.make("Counter")
    ann.take(counter)
    bob.node._loop.run(calls_of(bob).drop(counter[:8]))
    bob.node._loop.run(calls_of(bob).close())
    assert not bob.hosts._threads


# --- bounds -----------------------------------------------------------------------------------


@pytest.fixture
def small(make_grid: Callable[..., Grid]) -> Caller:
    """A program at a domain with narrow limits."""
    limits = Limits(session_objects=6, session_bytes=4096, session_actors=2, actors=3)
    grid = make_grid(limits=limits)
    return Caller(grid.user(grid.owner_of(hospital(grid)), "ann"))


def test_a_session_has_so_many_actors(small: Caller) -> None:
    first, _ = small.make("Counter"), small.make("Counter")
    with pytest.raises(QuotaExceededError, match="3 actors"):
        small.make("Counter")
    small.ask(m.KillActor(first))
    small.make("Counter")


def test_a_session_keeps_so_many_results(small: Caller) -> None:
    counter = small.make("Counter")
    calls = [small.call(counter, "incr") for _ in range(5)]
    with pytest.raises(QuotaExceededError, match="results"):
        small.call(counter, "incr")
    small.ask(m.Invoke((), (calls[0],)))
    assert small.take(small.call(counter, "incr")) == 6


def test_a_session_keeps_so_many_bytes_of_results(small: Caller) -> None:
    stats = small.make("Stats")
    kept = small.call(stats, "double", np.zeros(200))
    small.take(kept)
    with pytest.raises(QuotaExceededError, match="bytes"):
        small.take(small.call(stats, "double", np.zeros(400)))
    with pytest.raises(QuotaExceededError, match="bytes"):
        small.call(stats, "double", np.zeros(600))
    small.ask(m.Invoke((), (kept,)))
    small.take(small.call(stats, "double", np.zeros(200)))


# --- what arrives from elsewhere --------------------------------------------------------------


@pytest.mark.parametrize("is_early", [True, False])
def test_a_call_waits_for_what_another_domain_deposits(
    bob: FabricNode, ann: Caller, *, is_early: bool
) -> None:
    calls = calls_of(bob)
    counter, arriving = ann.make("Counter"), ann.name()

    def deposit() -> None:
        bob.node._loop.loop.call_soon_threadsafe(calls.deposit, arriving, 41)

    if is_early:
        deposit()
    call = ann.call(counter, "incr", Arriving(arriving))
    if not is_early:
        assert ann.ready(call, timeout_s=0) == set()
        deposit()
        deposit()
    assert ann.take(call) == 41
