"""Results for programs with an event loop: the same values and errors, and no thread that waits."""

import asyncio
import threading

import numpy as np
import pytest

import p2pgrid
from p2pgrid import ActorPointer, DomainClient, aio
from p2pgrid.errors import (
    ActorDiedError,
    GetTimeoutError,
    SchemaError,
    TaskCancelledError,
    TaskError,
    TransportError,
)
from tests.fabric.conftest import Grid
from tests.fabric.gates import GATES, Gate


def test_results_are_awaited(owner: DomainClient, counter: ActorPointer) -> None:
    x = owner.publish("x", np.arange(3)).pointers[0]

    async def program() -> None:
        result = counter.incr.remote(2)
        assert await result == await aio.get(result) == 2
        assert await aio.get([counter.incr.remote(), x.sum(), result]) == [3, 3, 2]
        assert await aio.get(x.sum()) == 3
        assert await aio.get([]) == []
        assert await asyncio.gather(*[counter.incr.remote() for _ in range(500)]) == list(
            range(4, 504)
        )

    asyncio.run(program())


def test_errors_are_those_of_the_twins(counter: ActorPointer) -> None:
    async def program() -> None:
        failed = counter.fail.remote()
        with pytest.raises(TaskError):
            await failed
        assert await aio.wait([failed]) == ([failed], [])
        with pytest.raises(SchemaError):
            await aio.wait([failed], num_returns=2)
        assert await counter.incr.remote() == 1

    asyncio.run(program())


def test_hundreds_wait_without_a_thread_each(counter: ActorPointer, gate: Gate) -> None:
    async def program() -> None:
        slow = counter.wait.remote("gate")
        waiting = [asyncio.ensure_future(aio.get(slow)) for _ in range(300)]
        rest = [counter.incr.remote() for _ in range(300)]
        waiting += [asyncio.ensure_future(aio.get(result)) for result in rest]
        before = threading.active_count()
        with pytest.raises(GetTimeoutError, match="1 results"):
            await aio.get(slow, timeout=0.1)
        assert await aio.wait([slow], timeout=0.1) == ([], [slow])
        assert threading.active_count() <= before + 5
        gate.opened.set()
        values = await asyncio.gather(*waiting)
        assert values == ["gate"] * 300 + list(range(1, 301))

    asyncio.run(program())


def test_a_task_that_stops_waiting_leaves_the_call_alone(counter: ActorPointer, gate: Gate) -> None:
    async def program() -> None:
        slow = counter.wait.remote("gate")
        task = asyncio.ensure_future(aio.get(slow))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(task, 0.1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await aio.wait([slow])
        gate.opened.set()
        assert await slow == "gate"

    asyncio.run(program())


def test_calls_are_cancelled(counter: ActorPointer, gate: Gate) -> None:
    async def program() -> None:
        running, waiting = counter.wait.remote("gate"), counter.incr.remote()
        await asyncio.to_thread(gate.reached.wait, 10)
        await aio.cancel(waiting)
        gate.opened.set()
        with pytest.raises(TaskCancelledError):
            await waiting
        assert await running == "gate"
        again = GATES["gate"] = Gate()
        running = counter.wait.remote("gate")
        await asyncio.to_thread(again.reached.wait, 10)
        await aio.cancel(running, force=True)
        again.opened.set()
        with pytest.raises(ActorDiedError, match="by force"):
            await running

    asyncio.run(program())


def test_an_actor_is_killed(counter: ActorPointer) -> None:
    async def program() -> None:
        assert await counter.incr.remote() == 1
        await aio.kill(counter)
        with pytest.raises(ActorDiedError):
            await counter.incr.remote()

    asyncio.run(program())


def test_a_broken_link_is_told_and_dialled_again(
    grid: Grid, owner: DomainClient, counter: ActorPointer, gate: Gate
) -> None:
    async def program() -> None:
        slow = counter.wait.remote("gate")
        task = asyncio.ensure_future(aio.get(slow))
        await asyncio.to_thread(gate.reached.wait, 10)
        await asyncio.to_thread(grid.hang_up, owner)
        with pytest.raises(TransportError):
            await task
        gate.opened.set()
        assert await slow == "gate"
        assert p2pgrid.get(slow) == "gate"

    asyncio.run(program())
