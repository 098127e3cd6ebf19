"""Objects that move: many domains push an array each into calls of one actor of another domain.

The sending domains are packed, 20 in one process; the receiver has processes of its own, and so has
its actor, which reads every byte. The time is that from the first call to the last result, all
moves being under way at once; none of the bytes comes to this process.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import p2pgrid
from benchmarks import sink
from benchmarks.nodes import owner_at, report
from p2pgrid import ActorPointer, Client, DomainClient, TensorPointer, launch, stop
from p2pgrid.config import MIB
from p2pgrid.errors import P2PGridError

DOMAINS = 20
BYTES = 16 * MIB
ROUNDS = 3
DEADLINE_S = 120.0


def measure(home: Path) -> dict[str, float]:
    """Starts the domains, lets them push, and stops them."""
    client = Client(home)
    receiver = launch("receiver", isolation="cluster", client=client)
    try:
        receiver.export(Path(sink.__file__))
        actor = owner_at(client, receiver).actors["Sink"].remote()
        names = [f"sender-{number}" for number in range(DOMAINS)]
        senders = launch(names, isolation="packed", client=client)
        try:
            pointers = [published(owner_at(client, it), actor) for it in senders]
            return pushed(actor, pointers)
        finally:
            stop([it.directory for it in senders])
    finally:
        client.close()
        stop(receiver.directory)


def published(owner: DomainClient, actor: ActorPointer) -> TensorPointer:
    """An array of a domain that may move to the actor's."""
    values = np.arange(float(BYTES // 8))
    owner.publish("values", values, allowed_domains=actor.location, progress=False)
    pointer: TensorPointer = owner.datasets[0].pointers[0]
    return pointer


def pushed(actor: ActorPointer, pointers: Sequence[TensorPointer]) -> dict[str, float]:
    """The median of some rounds, and the errors of all."""
    expected = float(np.arange(float(BYTES // 8)).sum())
    errors, seconds = 0, []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        results = [actor.total.remote(pointer) for pointer in pointers]
        for result in results:
            try:
                errors += p2pgrid.get(result, timeout=DEADLINE_S) != expected
            except P2PGridError:
                errors += 1
        seconds.append(time.perf_counter() - started)
    push_s = statistics.median(seconds)
    return {
        "push_domains": len(pointers),
        "push_mib_each": BYTES / MIB,
        "push_s": push_s,
        "push_mb_per_s": len(pointers) * BYTES / push_s / 1e6,
        "push_errors": errors,
    }


if __name__ == "__main__":
    report(__doc__, measure)
