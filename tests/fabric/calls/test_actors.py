"""Actors as a scientist holds them: handles, results, and what get, wait, cancel and kill do."""

import copy
import gc
import inspect
import pickle
import pydoc
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import p2pgrid
from p2pgrid import ActorPointer, DomainClient, ResultPointer
from p2pgrid.client import inside
from p2pgrid.config import Limits
from p2pgrid.errors import (
    ActorDiedError,
    ActorUnschedulableError,
    ArgumentError,
    GetNotPermittedError,
    ObjectGoneError,
    PermissionDeniedError,
    QuotaExceededError,
    TaskError,
    TooLargeError,
    TransportError,
    UnsupportedRemoteOpError,
    ValueTypeError,
)
from p2pgrid.ids import PeerId
from tests.fabric.calling import calls_of, hospital
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.gates import Gate


@pytest.fixture
def ann(grid: Grid, owner: DomainClient) -> DomainClient:
    return grid.user(owner, "ann")


@pytest.fixture
def counter(ann: DomainClient) -> ActorPointer:
    return ann.actors.Counter.remote()


def held(node: FabricNode) -> int:
    """Results and actors that a domain keeps for all sessions."""
    return sum(len(it.results._named) for it in calls_of(node)._held.values())


def until(condition: Callable[[], bool], counter: ActorPointer) -> None:
    """Makes calls, with which what was freed is told, until something is so."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        assert counter.incr.remote().get() > 0
    assert condition()


# --- calls and results ------------------------------------------------------------------------


def test_an_actor_and_its_results_are_there_at_once(ann: DomainClient) -> None:
    counter = ann.actors["Counter"].remote(10)
    first, second = counter.incr.remote(5), counter.incr.remote(by=2)
    assert isinstance(counter, ActorPointer)
    assert isinstance(first, ResultPointer)
    assert p2pgrid.get([second, first]) == [17, 15]
    assert p2pgrid.get(first) == first.get() == 15
    assert p2pgrid.get([]) == []


def test_calls_are_carried_out_in_the_order_in_which_they_were_made(
    counter: ActorPointer,
) -> None:
    results = [counter.incr.remote(1) for _ in range(3000)]
    assert p2pgrid.get(results) == list(range(1, 3001))


def test_calls_and_operations_share_one_order(ann: DomainClient, owner: DomainClient) -> None:
    values = np.arange(4.0)
    x = owner.publish("x", values, allowed_users=["ann"]).pointers[0]
    x = ann.datasets[0].pointers[0]
    stats = ann.actors.Stats.remote()
    results, chain = [], x
    for _ in range(30):
        chain = chain + 1.0
        results.append(stats.mean.remote(chain))
    assert p2pgrid.get(results) == [1.5 + n for n in range(1, 31)]
    found = p2pgrid.get([results[0], chain])
    assert found[0] == 2.5
    assert np.array_equal(found[1], values + 30)


def test_values_arrays_and_results_go_in_and_come_back(ann: DomainClient) -> None:
    stats = ann.actors.Stats.remote()
    twice = stats.double.remote(np.array([[1.0, 2.0]]))
    four = stats.double.remote(twice)
    assert p2pgrid.get(four).tolist() == [[4.0, 8.0]]
    assert not p2pgrid.get(four).flags.writeable
    told = stats.describe.remote({"a": [1.0, None], "b": []})
    assert told.get() == [("a", 2), ("b", 0)]


def test_an_array_travels_as_it_was_when_the_call_was_made(ann: DomainClient) -> None:
    stats = ann.actors.Stats.remote()
    array, results = np.zeros(3), []
    for number in range(20):
        array[:] = number
        results.append(stats.mean.remote(values=array))
    assert p2pgrid.get(results) == list(range(20))


def test_results_of_two_domains_come_home_together(grid: Grid, counter: ActorPointer) -> None:
    other = grid.owner_of(hospital(grid, "clinic")).actors.Counter.remote(100)
    mixed = [actor.incr.remote() for _ in range(3) for actor in (counter, other)]
    assert p2pgrid.get(mixed) == [1, 101, 2, 102, 3, 103]
    ready, waiting = p2pgrid.wait(mixed, num_returns=6, timeout=5)
    assert (ready, waiting) == (mixed, [])


def test_large_arguments_go_in_batches_of_their_own(ann: DomainClient) -> None:
    stats = ann.actors.Stats.remote()
    text = {"x" * 60_000: [1.0]}
    results = [stats.describe.remote(text) for _ in range(60)]
    assert all(p2pgrid.get(result) == [("x" * 60_000, 1)] for result in results)
    with pytest.raises(TooLargeError, match="arguments"):
        stats.describe.remote({str(n) + "x" * 60_000: [] for n in range(20)})


# --- what is refused before anything is sent --------------------------------------------------


def test_a_call_that_does_not_fit_is_refused_before_it_is_sent(
    ann: DomainClient, counter: ActorPointer
) -> None:
    with pytest.raises(ArgumentError, match=r"Counter.incr needs by: int, got str"):
        counter.incr.remote("row 7")
    with pytest.raises(ArgumentError, match="no parameter bye"):
        counter.incr.remote(bye=1)
    with pytest.raises(ArgumentError, match="Counter needs start: int, got float"):
        ann.actors.Counter.remote(0.5)
    with pytest.raises(ValueTypeError, match="set"):
        counter.incr.remote({1})
    assert counter._origin is not None
    assert counter._origin.session._open.is_empty
    assert counter.incr.remote().get() == 1


def test_an_unknown_method_or_class_is_refused_with_the_nearest_name(
    ann: DomainClient, counter: ActorPointer
) -> None:
    with pytest.raises(UnsupportedRemoteOpError, match=r"Counter.inc .* nearest one is incr"):
        _ = counter.inc
    assert not hasattr(counter, "hidden")
    assert not hasattr(counter, "__len__")
    with pytest.raises(KeyError, match="Counter"):
        _ = ann.actors["counter"]
    with pytest.raises(AttributeError, match="Counter"):
        _ = ann.actors.Conter


@pytest.mark.parametrize(
    "options",
    [
        {"num_cpus": -1},
        {"num_gpus": "x"},
        {"memory": 0.5},
        {"max_restarts": -2},
        {"name": "x" * 200},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_out_of_range_are_refused(ann: DomainClient, options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=r"Counter.options"):
        ann.actors.Counter.options(**options)


@pytest.mark.parametrize("timeout", [-1.0, float("nan"), 1e10])
def test_a_timeout_that_is_none_is_refused(counter: ActorPointer, timeout: float) -> None:
    with pytest.raises(ArgumentError, match="timeout"):
        counter.incr.options(timeout=timeout)


def test_only_pointers_to_values_are_taken_home(counter: ActorPointer) -> None:
    with pytest.raises(ArgumentError, match="ActorPointer"):
        p2pgrid.get(counter)  # type: ignore[call-overload]


# --- errors -----------------------------------------------------------------------------------


def test_a_method_that_raises_is_told_without_its_text(counter: ActorPointer) -> None:
    failed, after = counter.fail.remote(), counter.incr.remote()
    with pytest.raises(TaskError, match=r"Counter.fail raised") as caught:
        p2pgrid.get(failed)
    with pytest.raises(TaskError, match=r"Counter.fail raised"):
        p2pgrid.get(failed)
    assert "private" not in str(caught.value)
    assert p2pgrid.get(after) == 1


def test_what_needs_a_failed_call_fails_as_it_did(ann: DomainClient) -> None:
    counter, stats = ann.actors.Counter.remote(), ann.actors.Stats.remote()
    poisoned = stats.double.remote(counter.fail.remote())
    with pytest.raises(TaskError, match=r"Counter.fail"):
        poisoned.get()
    with pytest.raises(TaskError, match=r"Counter.fail"):
        p2pgrid.get([counter.incr.remote(), stats.mean.remote(poisoned)])


def test_an_actor_that_could_not_be_made_fails_its_calls(
    bob: FabricNode, ann: DomainClient
) -> None:
    bad = ann.actors.Counter.remote(-1)
    with pytest.raises(ActorDiedError, match="died"):
        bad.incr.remote().get()
    bob.hosts._machine = {"CPU": 2.0, "GPU": 0.0}
    greedy = ann.actors.Counter.options(num_gpus=1).remote()
    with pytest.raises(ActorUnschedulableError, match="1 GPU, the domain has 0"):
        greedy.incr.remote().get()


def test_a_call_that_was_refused_is_told_at_get_and_poisons_at_once(
    make_grid: Callable[[Limits], Grid],
) -> None:
    node = hospital(make_grid(Limits(session_actors=1)))
    owner = node._grid.owner_of(node)
    kept = owner.actors.Counter.remote()
    refused = owner.actors.Counter.remote()
    result = refused.incr.remote()
    with pytest.raises(QuotaExceededError, match="actors"):
        result.get()
    assert isinstance(result.error, QuotaExceededError)
    with pytest.raises(QuotaExceededError):
        refused.incr.remote()
    assert kept.incr.remote().get() == 1


def test_private_results_go_to_whom_the_owner_allows(
    owner: DomainClient, ann: DomainClient
) -> None:
    owner.publish("x", np.arange(4.0))
    x = ann.datasets[0].pointers[0]
    stats = ann.actors.Stats.remote()
    stats.give.remote(x)
    with pytest.raises(GetNotPermittedError):
        stats.mean.remote().get()
    assert stats.rounded.remote().get() == 2.0
    with pytest.raises(GetNotPermittedError):
        stats.rounded.remote().get("bea")


# --- names, links, sessions -------------------------------------------------------------------


def test_a_named_actor_is_found_by_others(owner: DomainClient, ann: DomainClient) -> None:
    named = owner.actors.Counter.options(name="tally").remote(5)
    first = named.incr.remote()
    found = owner.actor("tally")
    assert first.get() == 6
    assert found.incr.remote().get() == 7
    del named, found
    gc.collect()
    assert owner.actor("tally").incr.remote().get() == 8
    with pytest.raises(ObjectGoneError):
        ann.actor("tall")
    p2pgrid.kill(owner.actor("tally"))


def test_after_a_broken_link_actors_and_results_go_on(
    grid: Grid, ann: DomainClient, counter: ActorPointer, gate: Gate
) -> None:
    done, slow = counter.incr.remote(), counter.wait.remote("gate")
    assert gate.reached.wait(10)
    grid.hang_up(ann)
    gate.opened.set()
    assert p2pgrid.get([done, slow]) == [1, "gate"]
    assert counter.incr.remote().get() == 2


def test_who_waits_when_the_link_breaks_is_told(
    grid: Grid, ann: DomainClient, counter: ActorPointer, gate: Gate
) -> None:
    slow = counter.wait.remote("gate")
    assert gate.reached.wait(10)
    breaker = threading.Timer(0.2, grid.hang_up, (ann,))
    breaker.start()
    with pytest.raises(TransportError):
        slow.get()
    breaker.join()
    breaker = threading.Timer(0.2, grid.hang_up, (ann,))
    breaker.start()
    with pytest.raises(TransportError):
        p2pgrid.wait([slow])
    breaker.join()
    gate.opened.set()
    assert slow.get() == "gate"


def test_results_of_a_session_that_has_ended_are_gone(
    bob: FabricNode, ann: DomainClient, counter: ActorPointer
) -> None:
    result = counter.incr.remote()
    assert result.get() == 1
    bob.stop()
    bob.start()
    for use in (result.get, lambda: p2pgrid.wait([result]), counter.incr.remote):
        with pytest.raises((ObjectGoneError, TransportError)):
            use()
    with pytest.raises(ObjectGoneError, match="ended session"):
        result.get()
    again = ann.actors.Counter.remote()
    with pytest.raises(ObjectGoneError, match="ended session"):
        again.incr.remote(result)
    assert again.incr.remote().get() == 1


def test_results_and_actors_are_freed_with_their_pointers(
    bob: FabricNode, ann: DomainClient, counter: ActorPointer
) -> None:
    assert counter.incr.remote().get() == 1
    before = held(bob)
    results = [counter.incr.remote() for _ in range(50)]
    assert results[-1].get() == 51
    assert held(bob) == before + 50
    del results
    until(lambda: held(bob) <= before + 3, counter)
    last = ann.actors.Counter.remote().incr.remote()
    assert last.get() == 1
    assert len(calls_of(bob).roster) == 2
    del last
    until(lambda: len(calls_of(bob).roster) == 1, counter)


def test_a_call_whose_result_nobody_holds_is_carried_out(counter: ActorPointer) -> None:
    for _ in range(10):
        counter.incr.remote()
    assert counter.incr.remote().get() == 11


# --- what people see --------------------------------------------------------------------------


def test_reprs_say_what_and_where_and_no_values(ann: DomainClient, counter: ActorPointer) -> None:
    assert "<ActorClass Counter(start: int = ...) at hospital: " in repr(ann.actors.Counter)
    assert "Stats(first: array | None = ...)  describe, " in repr(ann.actors)
    result = counter.incr.remote(12345)
    result.get()
    assert repr(counter).startswith(f"<ActorPointer Counter {counter._id[-4:].hex()} at hospital: ")
    assert repr(result) == f"<ResultPointer {result._id[-4:].hex()} of Counter.incr at hospital>"
    assert "<method incr(by: int = ...) -> int of ActorPointer Counter " in repr(counter.incr)


def test_help_and_tab_completion_know_the_methods(ann: DomainClient, counter: ActorPointer) -> None:
    assert str(inspect.signature(counter.incr)) == "(by: int = ...) -> int"
    assert counter.incr.__doc__ == "Adds to the count."
    assert {"incr", "fail", "actor"} <= set(dir(counter))
    assert {"Counter", "Stats"} <= set(dir(ann.actors))
    text = pydoc.plain(pydoc.render_doc(counter.incr))
    assert "Adds to the count." in text
    assert "incr(by: int = ...) -> int" in text
    assert str(inspect.signature(ann.actors.Counter)) == "(start: int = ...)"
    assert "Counts." in pydoc.plain(pydoc.render_doc(ann.actors.Counter))


def test_classes_and_methods_are_not_called_directly(
    ann: DomainClient, counter: ActorPointer
) -> None:
    with pytest.raises(TypeError, match=r"Counter.remote\("):
        ann.actors.Counter(1)
    with pytest.raises(TypeError, match=r"incr.remote\("):
        counter.incr(1)


def test_handles_are_copied_as_references_and_never_pickled(counter: ActorPointer) -> None:
    result = counter.incr.remote()
    for handle in (counter, result):
        assert copy.copy(handle) is copy.deepcopy(handle) is handle
        with pytest.raises(TypeError, match="belongs to the session"):
            pickle.dumps(handle)


def test_the_owning_actor_is_a_pointer_outside_and_rays_handle_inside(
    owner: DomainClient, counter: ActorPointer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = owner.publish("x", np.zeros(3))
    tensor, result = dataset.pointers[0], counter.incr.remote()
    assert counter.actor is counter is result.actor
    for handle in (tensor, dataset, tensor + 1):
        assert isinstance(handle.actor, ActorPointer)
        assert repr(handle.actor).startswith("<ActorPointer Store")
        assert handle.actor.location == owner.peer_id
    with pytest.raises(UnsupportedRemoteOpError):
        _ = tensor.actor.execute
    with pytest.raises((PermissionDeniedError, ObjectGoneError)):
        p2pgrid.kill(tensor.actor)
    asked: list[tuple[PeerId, str]] = []

    def resolve(domain: PeerId, actor: str) -> object:
        asked.append((domain, actor))
        return "Ray's handle"

    monkeypatch.setattr(inside, "resolve", resolve)
    assert [handle.actor for handle in (tensor, counter)] == ["Ray's handle"] * 2
    assert asked == [(owner.peer_id, "store"), (owner.peer_id, counter._id.hex())]
