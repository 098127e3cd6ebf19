"""An actor in somebody else's domain, with Ray's words: remote, get, wait, cancel, kill.

``python examples/actor_calls.py`` starts a domain on this machine, which stands for the hospital.
"""

import asyncio
from pathlib import Path

import numpy as np

import p2pgrid
from p2pgrid import aio
from p2pgrid.errors import ActorDiedError, ArgumentError, TaskError

EXPORTED = Path(__file__).with_name("counter.py")


async def awaited(counter: p2pgrid.ActorPointer) -> None:
    """The same for programs with an event loop."""
    print("awaited:", await counter.incr.remote(), await aio.get(counter.incr.remote(), timeout=10))


def research(hospital: p2pgrid.DomainClient) -> None:
    """Calls what the hospital exports."""
    print(hospital.actors)
    counter = hospital.actors.Counter.options(num_cpus=0).remote(10)
    results = [counter.incr.remote(by) for by in (1, 2, 3)]
    print("calls keep their order:", p2pgrid.get(results))
    values = hospital.datasets[0]["values"]
    print("a pointer is an argument:", p2pgrid.get(counter.mean.remote(values * 2)))
    ready, waiting = p2pgrid.wait(results, num_returns=2, timeout=10)
    print(len(ready), "ready,", len(waiting), "not asked for")
    asyncio.run(awaited(counter))
    for wrong in (lambda: counter.incr.remote("one"), lambda: counter.fail.remote().get()):
        try:
            wrong()
        except (ArgumentError, TaskError) as error:
            print("told:", error)
    p2pgrid.kill(counter)
    try:
        counter.incr.remote().get()
    except ActorDiedError as died:
        print("told:", died)


if __name__ == "__main__":
    node = p2pgrid.launch("hospital")
    try:
        owner = node.connect()
        assert isinstance(owner, p2pgrid.DomainClient)
        owner.publish("study", {"values": np.arange(5.0)})
        node.export(EXPORTED)
        research(owner)
    finally:
        node.stop()
