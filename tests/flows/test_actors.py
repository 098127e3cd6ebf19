"""A scientist holds an owner's actor: on fakes, on packed nodes, on Ray clusters."""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

import p2pgrid
from p2pgrid import aio
from p2pgrid.errors import ActorDiedError, GetNotPermittedError, GetTimeoutError, TaskCancelledError
from tests.flows.grids import FlowGrid
from tests.flows.test_calls import ROWS, caller


def test_a_scientist_works_with_an_owners_actor(grid: FlowGrid, tmp_path: Path) -> None:
    bob = grid.domain()
    bob.owner().publish("sums", ROWS, tags=("#sums",), allowed_users=("ivy",))
    bob.owner().publish("secrets", ROWS, tags=("#secrets",))
    ivy, pipe = caller(grid, bob, "ivy").domain, tmp_path / "pipe"
    os.mkfifo(pipe)
    tally = ivy.actors.Tally.options(max_restarts=1).remote(5)
    results = [tally.incr.remote() for _ in range(1000)]
    assert p2pgrid.get(results) == list(range(6, 1006))
    rows = ivy.search("#sums")[0].pointers[0]
    assert tally.total.remote(rows + 1).get() == ROWS.sum() + len(ROWS)
    assert tally.total.remote(np.ones(3)).get() == 3

    running, waiting = tally.read.remote(str(pipe)), tally.incr.remote()
    with pipe.open("w") as writer:  # it returns when somebody reads
        assert p2pgrid.wait([running, results[0]], timeout=10) == ([results[0]], [running])
        with pytest.raises(GetTimeoutError):
            running.get(timeout=0.1)
        p2pgrid.cancel(waiting)
        writer.write("done")
    with pytest.raises(TaskCancelledError):
        waiting.get()
    assert asyncio.run(awaited(running, tally)) == ["done", 1006]

    secret = ivy.actors.Tally.remote()
    secret.total.remote(ivy.search("#secrets")[0].pointers[0])
    with pytest.raises(GetNotPermittedError):
        secret.incr.remote().get()
    p2pgrid.kill(tally)
    with pytest.raises(ActorDiedError, match="it was killed"):
        tally.incr.remote().get()


async def awaited(running: p2pgrid.ResultPointer, tally: p2pgrid.ActorPointer) -> list[object]:
    return [await running, await aio.get(tally.incr.remote(), timeout=10)]
