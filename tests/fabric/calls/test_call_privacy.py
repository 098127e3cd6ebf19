"""What calls may tell of private data, and to whom."""

import logging
from pathlib import Path

import numpy as np
import pytest

from p2pgrid import DomainClient, TensorPointer
from p2pgrid.errors import (
    ActorDiedError,
    GetNotPermittedError,
    ObjectGoneError,
    PermissionDeniedError,
    TaskError,
)
from p2pgrid.ids import ObjectId
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.values import Ref
from tests.fabric.calling import Caller
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.gates import GATES, Gate

VALUES = np.array([1.25, 2.5, 4.0])
LARGE = np.arange(100_000.0)
"""More than travels inside a message."""


@pytest.fixture
def owner(grid: Grid, bob: FabricNode) -> DomainClient:
    made = grid.owner_of(bob)
    made.publish("open", VALUES, allowed_users=("ann",))
    made.publish("closed", VALUES * 2)
    made.publish("large", LARGE, allowed_users=("ann",))
    return made


@pytest.fixture
def bea(grid: Grid, owner: DomainClient) -> Caller:
    return Caller(grid.user(owner, "bea"))


def dataset(caller: Caller, name: str) -> TensorPointer:
    pointer: TensorPointer = next(it for it in caller.domain.datasets if it.name == name).pointers[
        0
    ]
    return pointer


def ref(pointer: TensorPointer) -> Ref:
    return Ref(pointer._id)


def test_whoever_may_get_a_dataset_may_read_what_comes_of_it(ann: Caller) -> None:
    stats = ann.make("Stats")
    assert ann.take(ann.call(stats, "mean", ref(dataset(ann, "open")))) == VALUES.mean()
    doubled = ann.call(stats, "double", ref((dataset(ann, "open") + 1).block))
    np.testing.assert_array_equal(ann.take(doubled), (VALUES + 1) * 2)


@pytest.mark.parametrize("derive", [False, True])
def test_a_large_array_reaches_the_actor_as_a_file(
    bob: FabricNode, ann: Caller, *, derive: bool
) -> None:
    pointer = dataset(ann, "large")
    given = (pointer + 1).block if derive else pointer
    stats = ann.make("Stats")
    assert ann.take(ann.call(stats, "mean", ref(given))) == LARGE.mean() + derive
    spool = bob.directory.objects / "spool"
    assert not spool.exists() or not any(spool.iterdir())


def test_nobody_else_may_read_it_and_the_refusal_tells_nothing(bea: Caller) -> None:
    stats = bea.make("Stats")
    result = bea.call(stats, "mean", ref(dataset(bea, "open")))
    with pytest.raises(GetNotPermittedError):
        bea.take(result)
    later = bea.call(stats, "describe", {})  # the actor may have kept what it was given
    with pytest.raises(GetNotPermittedError):
        bea.take(later)
    assert bea.take(bea.call(bea.make("Stats"), "describe", {})) == []


def test_sources_are_those_before_the_call_or_with_it(bea: Caller) -> None:
    stats = bea.make("Stats")
    before = bea.call(stats, "describe", {})
    bea.call(stats, "give", ref(dataset(bea, "open")))
    assert bea.take(before) == []


def test_sources_go_on_with_results_to_other_actors(ann: Caller, bea: Caller) -> None:
    for caller, may in ((ann, True), (bea, False)):
        first, second = caller.make("Stats"), caller.make("Stats")
        doubled = caller.call(first, "double", ref(dataset(caller, "open")))
        result = caller.call(second, "mean", Ref(doubled))
        if may:
            assert caller.take(result) == VALUES.mean() * 2
        else:
            with pytest.raises(GetNotPermittedError):
                caller.take(result)


def test_permission_is_needed_for_every_source(ann: Caller) -> None:
    stats = ann.make("Stats")
    ann.call(stats, "give", ref(dataset(ann, "closed")))
    with pytest.raises(GetNotPermittedError):
        ann.take(ann.call(stats, "mean", ref(dataset(ann, "open"))))


def test_what_a_method_releases_is_read_by_whoever_may_call_it(bea: Caller) -> None:
    stats = bea.make("Stats")
    bea.call(stats, "give", ref(dataset(bea, "open")))
    assert bea.take(bea.call(stats, "rounded")) == 3.0


def test_failure_and_success_are_told_alike_to_who_may_not_read(ann: Caller, bea: Caller) -> None:
    for caller, refusal in ((ann, TaskError), (bea, GetNotPermittedError)):
        counter = caller.make("Counter")
        mean = caller.call(caller.make("Stats"), "mean", ref(dataset(caller, "open")))
        failed = caller.call(counter, "fail", Ref(mean))
        dependent = caller.call(caller.make("Counter"), "incr", Ref(failed))
        for told in (failed, dependent):
            with pytest.raises(refusal):
                caller.take(told)


def test_so_is_the_end_of_an_actor(bob: FabricNode, ann: Caller, bea: Caller) -> None:
    for caller, refusal in ((ann, ActorDiedError), (bea, GetNotPermittedError)):
        counter = caller.make("Counter")
        mean = caller.call(caller.make("Stats"), "mean", ref(dataset(caller, "open")))
        caller.ready(caller.call(counter, "fail", Ref(mean)))
        bob.hosts._threads[counter].crash()
        with pytest.raises(refusal):
            caller.take(caller.call(counter, "incr"))


def test_so_is_a_restart(bob: FabricNode, bea: Caller) -> None:
    gate = GATES["private"] = Gate()
    mean = bea.call(bea.make("Stats"), "mean", ref(dataset(bea, "open")))
    counter = bea.make("Counter", max_restarts=1)
    bea.call(counter, "fail", Ref(mean))
    running = bea.call(counter, "wait", "private")
    assert gate.reached.wait(10)
    bob.hosts._threads[counter].crash()
    with pytest.raises(GetNotPermittedError):
        bea.take(running)
    gate.opened.set()


def test_a_constructor_gives_the_actor_its_sources(bea: Caller) -> None:
    stats = bea.make("Stats", ref(dataset(bea, "open")))
    for told in (stats, bea.call(stats, "mean")):
        with pytest.raises(GetNotPermittedError):
            bea.take(told)


def test_what_made_the_making_fail_is_told_to_who_may_read_it(ann: Caller, bea: Caller) -> None:
    for caller, refusal in ((ann, ActorDiedError), (bea, GetNotPermittedError)):
        mean = caller.call(caller.make("Stats"), "mean", ref(dataset(caller, "open")))
        failed = caller.call(caller.make("Counter"), "fail", Ref(mean))
        stats = caller.make("Stats", Ref(failed))
        with pytest.raises(refusal):
            caller.take(caller.call(stats, "mean"))


def test_rights_to_classes_and_methods(grid: Grid, owner: DomainClient, ann: Caller) -> None:
    eve = Caller(grid.user(owner, "eve"))
    with pytest.raises(PermissionDeniedError, match="calling Stats"):
        eve.make("Stats")
    answer = eve.ask(m.ListClasses()).message
    assert isinstance(answer, m.Classes)
    assert [it.name for it in answer.classes] == ["Counter"]
    with pytest.raises(PermissionDeniedError, match=r"calling Stats\.size"):
        ann.call(ann.make("Stats"), "size")


def test_a_named_actor_is_found_by_who_may_use_its_class(
    grid: Grid, bob: FabricNode, owner: DomainClient, ann: Caller
) -> None:
    shared = Caller(grid.owner_of(bob)).make("Stats", name="shared")
    found = ann.ask(m.FindActor("shared")).message
    assert isinstance(found, m.ActorFound)
    eve = Caller(grid.user(owner, "eve"))
    with pytest.raises(ObjectGoneError, match="shared"):
        eve.ask(m.FindActor("shared"))
    with pytest.raises(PermissionDeniedError):
        eve.call(shared, "mean")


def test_what_one_caller_gives_a_named_actor_bars_the_others(
    grid: Grid, bob: FabricNode, ann: Caller, bea: Caller
) -> None:
    shared = Caller(grid.owner_of(bob)).make("Stats", name="shared")
    assert bea.take(bea.call(shared, "describe", {})) == []
    ann.take(ann.call(shared, "give", ref(dataset(ann, "open"))))
    with pytest.raises(GetNotPermittedError):
        bea.take(bea.call(shared, "mean"))
    assert ann.take(ann.call(shared, "mean")) == VALUES.mean()


def test_a_second_account_of_the_link_reads_by_its_own_right(
    owner: DomainClient, bea: Caller
) -> None:
    domain = bea.domain
    wallet = domain._logins._wallet
    wallet.new(domain.peer_id, "ann")
    owner.users.add("ann", wallet.public_key(domain.peer_id, "ann"))
    domain.login("ann")
    mean = bea.call(bea.make("Stats"), "mean", ref(dataset(bea, "open")))
    with pytest.raises(GetNotPermittedError):
        bea.take(mean, account="bea")
    assert bea.take(mean, account="ann") == VALUES.mean()
    with pytest.raises(PermissionDeniedError):
        bea.take(mean, account="owner")


def test_the_audit_log_has_who_did_what_and_no_value(bob: FabricNode, bea: Caller) -> None:
    stats = bea.make("Stats")
    result = bea.call(stats, "mean", ref(dataset(bea, "open")))
    with pytest.raises(GetNotPermittedError):
        bea.take(result)
    released = [bea.call(stats, "rounded") for _ in range(2)]
    bea.ready(*released, count=2)
    bea.take_all(*released)
    with pytest.raises(PermissionDeniedError):
        bea.make("Counter", name="mine")
    bea.ask(m.KillActor(stats))
    told = [event for event in bob.state.audit_log() if event.account == "bea"]
    name = {it: it[-4:].hex() for it in (stats, result, released[0])}
    assert [event[1:] for event in told] == [
        ("make", f"Stats {name[stats]}", "done"),
        ("take", f"Stats.mean {name[result]}", "refused"),
        ("take", f"Stats.rounded {name[released[0]]} and 1 more", "given"),
        ("call", "naming an actor", "refused"),
        ("kill", f"Stats {name[stats]}", "done"),
    ]


def test_logs_have_no_arguments_and_no_results(
    ann: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "actors"):
        counter = ann.make("Counter", 777_000_777_001)
        assert ann.take(ann.call(counter, "incr", 1)) == 777_000_777_002
    assert "777000777" not in caplog.text


def test_a_tensor_that_failed_or_is_gone_fails_the_call(ann: Caller) -> None:
    stats = ann.make("Stats")
    with pytest.raises(ObjectGoneError):
        ann.call(stats, "mean", Ref(ObjectId(b"no such object!!")))
    derived, used = (dataset(ann, "open") + 1).block, ann.name()
    call = m.Call(used, stats, "mean", (ref(derived),))
    ann.ask(m.Invoke((call,), (derived._id,)))  # freed after the calls of the same message
    assert ann.take(used) == VALUES.mean() + 1
    with pytest.raises(ObjectGoneError):
        ann.call(stats, "mean", ref(derived))


def test_the_exported_file_is_for_the_owner_only(bob: FabricNode) -> None:
    modes = {Path(it).stat().st_mode & 0o777 for it in bob.directory.exports.iterdir()}
    assert modes == {0o600}
