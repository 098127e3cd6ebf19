"""Actors across domains: calls against plain Ray, and tokens, relays and moves with them.

For calls, the client is this process; the domain is a real Ray cluster with token auth, and the
exported actor a Ray actor of it; the baseline is a driver of that same cluster that calls an actor
of its own. Rounds alternate between the two; reported are medians. The other keys are those of
``capability``, ``relay`` and ``moves``.
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import p2pgrid
from actors.cluster import load_cluster
from benchmarks import calculator, capability, moves, relay
from benchmarks.baselines.ray_calls import CALLS, SINGLE_CALLS
from benchmarks.nodes import owner_at, report
from benchmarks.pointer import baseline
from p2pgrid import ActorPointer, Client, launch, stop

ROUNDS = 7


def run(home: Path) -> dict[str, float]:
    """All keys; each measurement makes nodes of its own."""
    return {
        **calls(home / "calls"),
        **capability.measure(),
        **relay.measure(home / "relay"),
        **moves.measure(home / "moves"),
    }


def calls(home: Path) -> dict[str, float]:
    """Calls of one actor of one domain, and the baseline in its cluster."""
    client = Client(home)
    node = launch("bench", client=client)
    try:
        node.export(Path(calculator.__file__))
        running = load_cluster(node.directory / "ray")
        assert running is not None
        actor = owner_at(client, node).actors["Calculator"].remote()
        with baseline(running) as rounds:
            return compare(rounds, actor)
    finally:
        client.close()
        stop(node.directory)


def compare(rounds: Iterator[dict[str, float]], actor: ActorPointer) -> dict[str, float]:
    """Medians over alternating rounds of both arms."""
    measure(actor)  # warms up, as the baseline does
    keys = ("ray_call_ms_p50", "ray_calls_per_s")
    samples = []
    for _ in range(ROUNDS):
        ray = next(rounds)
        samples.append({key: ray[key] for key in keys} | measure(actor))
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def measure(actor: ActorPointer) -> dict[str, float]:
    """One round of calls: each of both ways gets every result."""
    before = p2pgrid.get(actor.value.remote())
    singles = []
    for _ in range(SINGLE_CALLS):
        started = time.perf_counter()
        p2pgrid.get(actor.add.remote(1.0))
        singles.append(time.perf_counter() - started)
    started = time.perf_counter()
    p2pgrid.get([actor.add.remote(1.0) for _ in range(CALLS)])
    pipelined_s = time.perf_counter() - started
    assert p2pgrid.get(actor.value.remote()) - before == SINGLE_CALLS + CALLS
    return {
        "actor_call_ms_p50": statistics.median(singles) * 1e3,
        "actor_calls_per_s": CALLS / pipelined_s,
    }


if __name__ == "__main__":
    report(__doc__, run)
