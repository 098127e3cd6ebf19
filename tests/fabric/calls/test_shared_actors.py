"""Actors whose pointers are given on: what the other may call, read, cancel and end."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import p2pgrid
from p2pgrid import Client, DomainClient
from p2pgrid.client.actor_pointer import ActorPointer
from p2pgrid.errors import (
    ActorDiedError,
    CapabilityError,
    GetNotPermittedError,
    ObjectGoneError,
    PermissionDeniedError,
    TransportError,
)
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.gates import Gate


class People(NamedTuple):
    """Ann has an account at the hospital; cid has none, and only a key that she knows."""

    node: FabricNode
    owner: DomainClient
    ann: DomainClient
    cid: Client
    key: str
    """Cid's public key for the hospital."""


@pytest.fixture
def people(grid: Grid, bob: FabricNode, owner: DomainClient) -> People:
    cid = grid.client("cid")
    owner.publish("open", np.arange(4.0), allowed_users=("ann",))
    owner.publish("closed", np.arange(5.0))
    key = cid.wallet.new(owner.peer_id).public_key
    return People(bob, owner, grid.user(owner, "ann"), cid, key)


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(CapabilityError) as refused:
        call()
    return refused.value.reason


def shared(people: People, actor: ActorPointer, *operations: str) -> ActorPointer:
    """The actor as cid holds it; without operations he may do all that ann may."""
    text = actor.share(people.key, operations=operations or None)
    theirs = people.cid.accept(text)
    assert isinstance(theirs, ActorPointer)
    return theirs


def test_an_actor_is_called_by_somebody_without_an_account(people: People) -> None:
    mine = people.ann.actors.Counter.remote(10)
    theirs = shared(people, mine)
    assert p2pgrid.get(theirs.incr.remote(5)) == 15
    assert p2pgrid.get(mine.incr.remote()) == 16


def test_the_right_to_call_a_method_is_the_right_to_read_what_it_returns(people: People) -> None:
    theirs = shared(people, people.ann.actors.Counter.remote(), "call:incr")
    assert p2pgrid.get(theirs.incr.remote()) == 1


def test_methods_are_those_that_were_named(people: People) -> None:
    theirs = shared(people, people.ann.actors.Counter.remote(), "call:incr")
    assert reason(theirs.fail.remote().get) == "scope"
    assert people.node.state.audit_log()[-1].outcome == "refused"
    assert p2pgrid.get(theirs.incr.remote()) == 1


def test_other_actors_of_the_same_account_are_not_reached(people: People) -> None:
    mine, other = people.ann.actors.Counter.remote(), people.ann.actors.Counter.remote()
    theirs = shared(people, mine)
    theirs._id = other._id
    assert reason(theirs.incr.remote().get) == "scope"


def test_only_who_was_given_it_may_end_an_actor(people: People) -> None:
    mine = people.ann.actors.Counter.remote()
    assert reason(lambda: p2pgrid.kill(shared(people, mine, "call:incr"))) == "scope"
    assert p2pgrid.get(mine.incr.remote()) == 1
    p2pgrid.kill(shared(people, mine, "kill"))
    with pytest.raises(ActorDiedError):
        p2pgrid.get(mine.incr.remote())


def test_a_call_that_runs_is_ended_by_force_only_with_the_right_to_kill(
    people: People, gate: Gate
) -> None:
    mine = people.ann.actors.Counter.remote()
    running = shared(people, mine, "call:wait").wait.remote("gate")
    assert gate.reached.wait(10)
    assert reason(lambda: p2pgrid.cancel(running, force=True)) == "scope"
    gate.opened.set()
    assert running.get() == "gate"


def test_who_was_given_an_actor_makes_no_others(people: People) -> None:
    theirs = shared(people, people.ann.actors.Counter.remote())
    assert reason(lambda: theirs._domain.actors) == "scope"  # type: ignore[attr-defined]
    made = people.ann.actors.Counter
    made._domain = theirs._domain
    assert reason(made.remote().incr.remote().get) == "scope"


def test_what_was_not_given_is_no_argument_either(people: People) -> None:
    mine = people.ann.actors.Stats.remote()
    theirs = shared(people, mine)
    data = people.ann.datasets[0].pointers[0]
    data._domain = theirs._domain
    assert reason(theirs.mean.remote(data).get) == "scope"
    assert theirs.double.remote(np.ones(2)).get().tolist() == [2.0, 2.0]


def test_what_private_data_went_into_needs_the_right_to_get(people: People) -> None:
    mine = people.ann.actors.Stats.remote()
    mine.give.remote(people.ann.datasets[0].pointers[0])
    assert mine.mean.remote().get() == 1.5
    assert reason(shared(people, mine, "call:mean").mean.remote().get) == "scope"
    assert shared(people, mine, "call:mean", "get").mean.remote().get() == 1.5
    assert shared(people, mine, "call:rounded").rounded.remote().get() == 2.0


def test_a_token_gives_nothing_that_its_account_may_not_have(people: People) -> None:
    mine = people.ann.actors.Stats.remote()
    closed = next(it for it in people.ann.datasets if it.name == "closed")
    mine.give.remote(closed.pointers[0])
    theirs = shared(people, mine)
    with pytest.raises(GetNotPermittedError):
        theirs.mean.remote().get()
    with pytest.raises(PermissionDeniedError):
        theirs.size.remote().get()  # of bea's only


def test_who_holds_it_narrows_it_and_passes_it_on(people: People, grid: Grid) -> None:
    theirs = shared(people, people.ann.actors.Counter.remote(), "call:incr", "call:fail")
    dan = grid.client("dan")
    key = dan.wallet.new(people.owner.peer_id).public_key
    narrowed = dan.accept(theirs.share(key, operations="call:incr"))
    assert narrowed.incr.remote(2).get() == 2
    assert reason(narrowed.fail.remote().get) == "scope"
    assert reason(lambda: theirs.share(key, operations="call:lie")) == "widened"


def test_what_is_taken_back_ends_what_waits_and_what_runs(people: People, gate: Gate) -> None:
    mine = people.ann.actors.Counter.remote()
    text = mine.share(people.key)
    theirs = people.cid.accept(text)
    running, waiting = theirs.wait.remote("gate"), theirs.incr.remote(100)
    assert gate.reached.wait(10)
    people.ann.revoke(text)
    gate.opened.set()
    for result in (running, waiting):
        with pytest.raises((CapabilityError, TransportError, ObjectGoneError)):
            result.get()
    assert reason(theirs.incr.remote().get) == "revoked"
    assert mine.incr.remote().get() == 1  # what waited was not begun


def test_a_lent_actor_ends_when_who_lent_it_ends_it(people: People) -> None:
    mine = people.ann.actors.Counter.remote()
    theirs = shared(people, mine)
    assert theirs.incr.remote().get() == 1
    p2pgrid.kill(mine)
    with pytest.raises(ActorDiedError):
        theirs.incr.remote().get()


def test_the_audit_says_who_acted_for_whom(people: People) -> None:
    mine = people.ann.actors.Stats.remote()
    mine.give.remote(people.ann.datasets[0].pointers[0])
    shared(people, mine).mean.remote().get()
    event = people.node.state.audit_log()[-1]
    assert event.account.startswith(f"ann via {people.key[:16]}/")
    assert (event.action, event.outcome) == ("take", "given")
