"""Pointers against plain Ray: what a checked operation over an encrypted link costs.

The client is this process; the node is a real Ray cluster with token auth; the baseline is a
driver of that same cluster. Rounds alternate between the two; reported are medians.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from actors.cluster import RunningCluster, driver_environment, load_cluster
from actors.processes import members
from benchmarks.nodes import launched, owner_at, report
from p2pgrid import Client, DomainClient, Node, TensorPointer

ROUNDS = 7
OPERATIONS = 2000
SINGLE_OPERATIONS = 300
CONNECTS = 20
MB = 1e6


def main() -> None:
    """Runs the benchmark and prints its line."""
    report(__doc__, run)


def run(home: Path) -> dict[str, float]:
    """All measurements on one node."""
    with launched(home) as (client, node, start_s):
        return {"node_start_s": start_s, **measure_node(owner_at(client, node), node, home)}


def measure_node(owner: DomainClient, node: Node, home: Path) -> dict[str, float]:
    """What operations and connections cost, by the owner of a node that has done nothing yet."""
    pointer = owner.publish("number", np.zeros(())).pointers[0]
    running = load_cluster(node.directory / "ray")
    assert running is not None
    check_processes(node, running)
    with baseline(running) as rounds:
        result = compare(rounds, pointer)
    return result | {"connect_ms_p50": connect_ms(home, node), "node_pss_mb": pss_mb(running)}


def compare(rounds: Iterator[dict[str, float]], pointer: TensorPointer) -> dict[str, float]:
    """Medians over alternating rounds of both arms."""
    measure(pointer)  # warms up, as the baseline does
    samples = [next(rounds) | measure(pointer) for _ in range(ROUNDS)]
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def measure(pointer: TensorPointer) -> dict[str, float]:
    """One round of the pointer arm."""
    singles = []
    for _ in range(SINGLE_OPERATIONS):
        started = time.perf_counter()
        (pointer + 1.0).block  # noqa: B018 waits for the domain's answer
        singles.append(time.perf_counter() - started)
    started = time.perf_counter()
    chain = pointer
    for _ in range(OPERATIONS):
        chain = chain + 1.0
    chain.block  # noqa: B018
    pipelined_s = time.perf_counter() - started
    assert chain.get() == OPERATIONS
    return {
        "op_ms_p50": statistics.median(singles) * 1e3,
        "pipelined_ops_per_s": OPERATIONS / pipelined_s,
    }


@contextmanager
def baseline(running: RunningCluster) -> Iterator[Iterator[dict[str, float]]]:
    """Rounds of the plain Ray arm, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.baselines.ray_calls", running.address]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=driver_environment(running), stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield _rounds(process)
        process.stdin.close()
        assert process.wait(30) == 0


def _rounds(process: "subprocess.Popen[str]") -> Iterator[dict[str, float]]:
    assert process.stdin is not None
    assert process.stdout is not None
    while True:
        process.stdin.write("\n")
        process.stdin.flush()
        yield json.loads(process.stdout.readline())


def connect_ms(home: Path, node: Node) -> float:
    """Dial, handshake, challenge and login of a program that has started already."""
    samples = []
    for _ in range(CONNECTS):
        fresh = Client(home)
        assert fresh.peer.peer_id
        started = time.perf_counter()
        owner_at(fresh, node)
        samples.append(time.perf_counter() - started)
        fresh.close()
    return statistics.median(samples) * 1e3


def check_processes(node: Node, running: RunningCluster) -> None:
    """Operations are carried out in another process than the one that talks to the network."""
    names = {pid: _title(pid) for pid in members(running.session)}
    stores = [pid for pid, title in names.items() if "Store" in title]
    assert len(stores) == 1, names
    assert "Gateway" in names[node.gateway_pid]
    assert stores[0] != node.gateway_pid


def _title(pid: int) -> str:
    return " ".join(psutil.Process(pid).cmdline())


def pss_mb(running: RunningCluster) -> float:
    """Memory of all processes of the node, each shared page counted once."""
    pids = members(running.session)
    return float(sum(psutil.Process(pid).memory_full_info().pss for pid in pids)) / MB


if __name__ == "__main__":
    main()
