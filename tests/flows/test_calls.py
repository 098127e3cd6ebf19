"""Calls of exported actors: on fakes, on packed nodes, on Ray clusters; and what only Ray shows."""

import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from actors.exports import Exports
from p2pgrid.errors import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    GetNotPermittedError,
    ObjectGoneError,
    TaskCancelledError,
)
from p2pgrid.protocol import messages as m
from p2pgrid.protocol.values import Ref
from tests.fabric.calling import Caller
from tests.flows import exported
from tests.flows.grids import FlowDomain, FlowGrid, RealDomain, RealGrid, user
from tests.flows.test_cluster import actor_pid, kill_and_wait

ROWS = np.arange(100_000.0)


def caller(grid: FlowGrid, domain: FlowDomain, person: str) -> Caller:
    """A scientist's program at a domain that exports the class of ``exported``."""
    Exports(domain.directory.exports).add(Path(exported.__file__))
    return Caller(user(domain, grid.client(person), person).login(person))


def test_a_scientist_calls_an_owners_actor(grid: FlowGrid, tmp_path: Path) -> None:
    bob = grid.domain()
    bob.owner().publish("rows", ROWS, tags=("#rows",), allowed_users=("cat",))
    cat, pipe = caller(grid, bob, "cat"), tmp_path / "pipe"
    os.mkfifo(pipe)
    tally = cat.make("Tally", 5)
    assert [cat.take(cat.call(tally, "incr", by)) for by in (1, 2)] == [6, 8]
    rows = cat.domain.search("#rows")[0].pointers[0]
    assert cat.take(cat.call(tally, "total", Ref((rows + 1).block._id))) == ROWS.sum() + len(ROWS)
    running, waiting = cat.call(tally, "read", str(pipe)), cat.call(tally, "incr", 100)
    with pipe.open("w") as writer:  # it returns when somebody reads
        cat.ask(m.CancelCall(waiting))
        assert cat.ready(running, waiting, count=1) == {waiting}
        writer.write("done")
    with pytest.raises(TaskCancelledError):
        cat.take(waiting)
    assert cat.take(running) == "done"
    cat.ask(m.KillActor(tally))
    with pytest.raises(ActorDiedError, match="it was killed"):
        cat.take(cat.call(tally, "incr"))


def test_what_private_data_went_into_is_refused(grid: FlowGrid) -> None:
    bob = grid.domain()
    bob.owner().publish("private", ROWS, tags=("#private",))
    dan = caller(grid, bob, "dan")
    tally = dan.make("Tally")
    rows = dan.domain.search("#private")[0].pointers[0]
    for call in (dan.call(tally, "total", Ref(rows._id)), dan.call(tally, "incr")):
        with pytest.raises(GetNotPermittedError):
            dan.take(call)


@pytest.mark.ray
def test_processes_that_are_killed(clusters: RealGrid, tmp_path: Path) -> None:
    bob = clusters.domain()
    fay, pipe = caller(clusters, bob, "fay"), tmp_path / "pipe"
    os.mkfifo(pipe)
    once, again = fay.make("Tally", 5), fay.make("Tally", 5, max_restarts=1)
    pids = [fay.take(fay.call(actor, "pid")) for actor in (once, again)]
    assert len({*pids, actor_pid(bob.node, "RemoteGateway"), os.getpid()}) == 4
    assert fay.take(fay.call(once, "devices")) == ""
    running = fay.call(again, "read", str(pipe))
    with pipe.open("w"):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ActorUnavailableError):
            fay.take(running)
    assert fay.take(fay.call(again, "incr")) == 6
    for _ in range(2):
        with pytest.raises(ActorDiedError, match="no restarts left"):
            fay.take(fay.call(once, "incr"))
    kill_and_wait(fay.take(fay.call(again, "pid")))
    with pytest.raises(ActorDiedError):
        fay.take(fay.call(again, "incr"))


@pytest.mark.ray
def test_resources_are_checked_and_waited_for(clusters: RealGrid) -> None:
    bob = clusters.domain()
    fay = caller(clusters, bob, "fay")
    with pytest.raises(ActorUnschedulableError, match="asks for 3 GPU, the domain has 0"):
        fay.take(fay.make("Tally", num_gpus=3))
    first, second = fay.make("Tally", num_cpus=1), fay.make("Tally", num_cpus=1)
    assert fay.take(fay.call(first, "incr")) == 1
    waiting = fay.call(second, "incr")
    assert fay.ready(waiting, timeout_s=0.2) == set()
    fay.ask(m.KillActor(first))
    assert fay.take(waiting) == 1


@pytest.mark.ray
def test_a_named_actor_is_shared_and_ends_with_the_gateway(clusters: RealGrid) -> None:
    bob: RealDomain = clusters.domain()
    gus = caller(clusters, bob, "gus")
    owner = Caller(bob.owner())
    shared = owner.make("Tally", name="shared")
    assert owner.take(owner.call(shared, "incr")) == 1
    found = gus.ask(m.FindActor("shared")).message
    assert isinstance(found, m.ActorFound)
    assert gus.take(gus.call(found.object_id, "incr")) == 2
    host = gus.take(gus.call(shared, "pid"))
    kill_and_wait(actor_pid(bob.node, "RemoteGateway"))
    bob.start()
    with pytest.raises(ObjectGoneError, match="shared"):
        gus.ask(m.FindActor("shared"))
    with pytest.raises(ObjectGoneError):
        gus.call(shared, "incr")
    psutil.wait_procs([psutil.Process(host)] if psutil.pid_exists(host) else [], timeout=10)
    assert not psutil.pid_exists(host)
    assert gus.take(gus.call(gus.make("Tally"), "incr")) == 1


@pytest.mark.ray
def test_inside_the_cluster_a_handle_is_rays_own(clusters: RealGrid) -> None:
    bob = clusters.domain()
    hal = caller(clusters, bob, "hal")
    first, second = hal.make("Tally", 5), hal.make("Tally")
    assert hal.take(hal.call(first, "incr")) == 6
    assert hal.take(hal.call(second, "incr_of", bob.peer_id, first.hex())) == 16
    assert hal.take(hal.call(first, "incr")) == 17
