"""How much a session may make and keep, and what arrives for it from elsewhere."""

from collections.abc import Callable

import numpy as np
import pytest

from actors.results import NO_SOURCES, Result, Results
from p2pgrid.config import Limits
from p2pgrid.errors import (
    GetNotPermittedError,
    ObjectGoneError,
    QuotaExceededError,
    TransportError,
)
from p2pgrid.ids import DatasetId
from p2pgrid.policy.access import Sources
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.values import Arriving
from tests.fabric.calling import Caller, calls_of, hospital
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.gates import Gate

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


def test_an_actor_that_works_for_nobody_counts_until_it_ends(small: Caller, gate: Gate) -> None:
    assert not gate.opened.is_set()
    for _ in range(2):
        busy = small.make("Counter")
        small.call(busy, "wait", "gate")
        small.ask(m.Invoke((), (busy,)))
    with pytest.raises(QuotaExceededError, match="3 actors"):
        small.make("Counter")


def test_an_actor_that_was_freed_without_a_call_ends(bob: FabricNode, ann: Caller) -> None:
    ann.ask(m.Invoke((), (ann.make("Counter"),)))
    assert len(calls_of(bob).roster) == 0


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


def on_loop(node: FabricNode, work: Callable[[], None]) -> None:
    """Does something in the node, where its requests are answered."""

    async def do() -> None:
        work()

    node.node._loop.run(do())


def place_of(node: FabricNode, arriving: bytes) -> tuple[Results, Result]:
    """Where something is deposited."""
    results = calls_of(node).results_of(arriving[:8])
    assert results is not None
    return results, results.get(arriving) or results.open(arriving, Result())


def deposit(node: FabricNode, arriving: bytes, value: int, sources: Sources = NO_SOURCES) -> None:
    """What another domain does."""

    def keep() -> None:
        results, result = place_of(node, arriving)
        result.sources = sources
        results.keep(result, value, (), header_size=1)

    on_loop(node, keep)


@pytest.mark.parametrize("is_early", [True, False])
def test_a_call_waits_for_what_another_domain_deposits(
    bob: FabricNode, ann: Caller, *, is_early: bool
) -> None:
    counter, arriving = ann.make("Counter"), ann.name()
    if is_early:
        deposit(bob, arriving, 41)
    call = ann.call(counter, "incr", Arriving(arriving))
    if not is_early:
        assert ann.ready(call, timeout_s=0) == set()
        deposit(bob, arriving, 41)
    assert ann.take(call) == 41
    with pytest.raises(GetNotPermittedError):
        ann.take(arriving)


def test_what_never_arrives_fails_the_call_with_the_reason(bob: FabricNode, ann: Caller) -> None:
    arriving = ann.name()
    call = ann.call(ann.make("Counter"), "incr", Arriving(arriving))
    gone = ObjectGoneError(object_id="x", domain="afar")
    on_loop(bob, lambda: place_of(bob, arriving)[1].fail(gone))
    for failed in (call, arriving):
        with pytest.raises(ObjectGoneError, match="afar"):
            ann.take(failed)


def test_what_arrives_decides_who_may_read_what_comes_of_it(bob: FabricNode, ann: Caller) -> None:
    arriving, source = ann.name(), DatasetId(b"a dataset afar..")
    call = ann.call(ann.make("Counter"), "incr", Arriving(arriving))
    deposit(bob, arriving, 41, frozenset({source}))
    with pytest.raises(GetNotPermittedError):
        ann.take(call)


def test_nothing_arrives_under_the_names_of_others(ann: Caller) -> None:
    counter = ann.make("Counter")
    with pytest.raises(TransportError):
        ann.call(counter, "incr", Arriving(b"another session!"))
