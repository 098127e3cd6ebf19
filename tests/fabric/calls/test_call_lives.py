"""How calls and actors end: cancelled, late, killed, crashed, restarted, with their session."""

import pytest

from p2pgrid import DomainClient
from p2pgrid.errors import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    DuplicateError,
    ObjectGoneError,
    PermissionDeniedError,
    TaskCancelledError,
)
from p2pgrid.ids import ObjectId
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.values import Ref
from tests.fabric.calling import Caller, calls_of
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.gates import Gate

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
    ann.take(counter)
    running = ann.call(counter, "wait", "gate", timeout_s=0.5)
    assert gate.reached.wait(10)
    waiting = ann.call(counter, "incr", 100, timeout_s=0.01)
    for late in (waiting, running):
        with pytest.raises(TaskCancelledError, match=r"by its deadline of 0\.\d+ s"):
            ann.take(late)
    gate.opened.set()
    assert ann.take(ann.call(counter, "incr", timeout_s=10)) == 1


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
        with pytest.raises(ActorDiedError, match="the constructor of Counter raised") as died:
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


def test_an_actor_whose_process_cannot_start_is_dead(
    bob: FabricNode, ann: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("something private about the machine")

    monkeypatch.setattr(bob.hosts, "start", fail)
    counter = ann.make("Counter")
    with pytest.raises(ActorDiedError, match="the owner finds why as") as died:
        ann.take(ann.call(counter, "incr"))
    assert "private" not in str(died.value)
    assert "something private" in caplog.text


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


def test_only_owners_name_and_kill_named_actors(
    grid: Grid, bob: FabricNode, ann: Caller, gate: Gate
) -> None:
    with pytest.raises(PermissionDeniedError, match="naming an actor"):
        ann.make("Counter", name="mine")
    owner = Caller(grid.owner_of(bob))
    tally = owner.make("Counter", name="tally")
    with pytest.raises(PermissionDeniedError, match="killing a named actor"):
        ann.ask(m.KillActor(tally))
    running = ann.call(tally, "wait", "gate")
    assert gate.reached.wait(10)
    with pytest.raises(PermissionDeniedError, match="killing a named actor"):
        ann.ask(m.CancelCall(running, force=True))
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
