"""Large arrays against plain TLS sockets: what tokens, checksums, resumption and listing cost.

The client is this process, the domain a real Ray cluster; the baseline is a pair of processes of
its own (``baselines/tls_socket.py``). Rounds alternate between the two, like against like: an
upload against TLS into a synced file, a download against TLS into fresh memory. Reported are
medians; MB are 10**6 bytes, CPU seconds those of both sides.
"""

import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from actors.cluster import load_cluster
from actors.processes import members
from benchmarks.baselines.tls_socket import Cost, TlsSocket, tls_socket
from benchmarks.nodes import launched, owner_at, report
from p2pgrid import DomainClient, Node

SIZES_MIB = (256, 1024)
ROUNDS = 5
SMALL_ROUNDS = 7
MIB = 1 << 20
MB = 1e6
HUNDRED_MB = 100_000_000
SAMPLE_S = 0.02

Bytes = NDArray[np.uint8]
_names = count()


def main() -> None:
    """Runs the benchmark and prints its line."""
    report(__doc__, run)


def run(home: Path) -> dict[str, float]:
    """All measurements, on a node that is made for them."""
    with launched(home) as (client, node, _):
        return measure(owner_at(client, node), node_processes(node), node.directory / "objects")


def measure(
    owner: DomainClient, processes: Sequence[psutil.Process], objects: Path
) -> dict[str, float]:
    """All measurements, by an owner of a running domain that is of no use afterwards.

    Args:
        owner: logged in.
        processes: the domain's gateway and store.
        objects: the domain's directory of objects; its new files are removed after every round.
    """
    result = peak_extra_mb(owner, processes)  # first: nothing has grown yet
    result["publish_100mb_s"] = publish_s(owner, HUNDRED_MB)
    with (
        tempfile.TemporaryDirectory(dir=objects.parent) as folder,
        tls_socket(Path(folder)) as baseline,
    ):
        for size_mib in SIZES_MIB:
            folders = (objects, Path(folder))
            result |= compare(owner, processes, baseline, folders, size_mib)
    ratios = [value for key, value in result.items() if key.startswith("bulk_cpu_ratio")]
    result["bulk_cpu_ratio"] = max(ratios)
    return result


def node_processes(node: Node) -> tuple[psutil.Process, psutil.Process]:
    """The gateway's process and the store's."""
    running = load_cluster(node.directory / "ray")
    assert running is not None
    found = [psutil.Process(pid) for pid in members(running.session)]
    (store,) = (it for it in found if "RemoteStore" in " ".join(it.cmdline()))
    return psutil.Process(node.gateway_pid), store


def publish_s(owner: DomainClient, size: int) -> float:
    """Seconds until so many bytes are durable and listed; the median of several."""
    data = random_bytes(size)
    return statistics.median(_timed(lambda: _publish(owner, data)) for _ in range(SMALL_ROUNDS))


def compare(
    owner: DomainClient,
    processes: Sequence[psutil.Process],
    baseline: TlsSocket,
    folders: Sequence[Path],
    size_mib: int,
) -> dict[str, float]:
    """Both arms, up and down, for one size, in turns; the first turn of each warms up."""
    size = size_mib * MIB
    data = random_bytes(size)
    stored = owner.publish(_name(), data).pointers[0]
    np.testing.assert_array_equal(stored.get(), data)
    clear = remove_new(folders)
    arms: Mapping[str, Callable[[], Cost]] = {
        "tls_file": lambda: baseline.send(data),
        "bulk_up": lambda: cost_of(lambda: _publish(owner, data), processes),
        "tls_socket": lambda: baseline.receive(size),
        "bulk_down": lambda: cost_of(lambda: _drop(stored.get()), processes),
    }

    def settle() -> None:
        """Begins every turn alike: a virtual machine is slow to give memory for the first time."""
        clear()
        np.ones(2 * size, np.uint8)

    rounds = [take_turns(arms, settle) for _ in range(ROUNDS + 1)][1:]
    wall = {name: statistics.median(it[name].wall_s for it in rounds) for name in arms}
    cpu = {name: statistics.median(it[name].cpu_s for it in rounds) for name in arms}
    result = {f"{name}_mb_per_s_{size_mib}": size / MB / wall[name] for name in arms}
    for ours, theirs in (("bulk_up", "tls_file"), ("bulk_down", "tls_socket")):
        direction = ours.removeprefix("bulk_")
        result[f"{ours}_ratio_{size_mib}"] = wall[theirs] / wall[ours]
        result[f"bulk_cpu_ratio_{direction}_{size_mib}"] = cpu[ours] / cpu[theirs]
    return result


def take_turns(
    arms: Mapping[str, Callable[[], Cost]], settle: Callable[[], None]
) -> dict[str, Cost]:
    """One round, with the same beginning for every arm."""
    costs = {}
    for name, arm in arms.items():
        settle()
        costs[name] = arm()
    return costs


def remove_new(folders: Sequence[Path]) -> Callable[[], None]:
    """Removes the files that come into folders from now on."""
    kept = {path for folder in folders for path in folder.iterdir()}

    def clear() -> None:
        for folder in folders:
            for path in set(folder.iterdir()) - kept:
                path.unlink()

    return clear


def cost_of(act: Callable[[], None], processes: Sequence[psutil.Process]) -> Cost:
    """What an act takes in this process and in those."""
    before = _cpu_s(processes)
    wall_s = _timed(act)
    return Cost(wall_s, _cpu_s(processes) - before)


def peak_extra_mb(owner: DomainClient, processes: Sequence[psutil.Process]) -> dict[str, float]:
    """Memory beside the payload of 1 GiB, at its peak, on each side; up and down."""
    size = SIZES_MIB[-1] * MIB
    data = random_bytes(size)
    own = (psutil.Process(),)
    with sampled(own) as client_up, sampled(processes) as node_up:
        pointer = owner.publish(_name(), data).pointers[0]
    result = (pointer + np.uint8(1)).block
    with sampled(own) as client_down, sampled(processes) as node_down:
        _drop(result.get())
    peaks = {
        "client_up": client_up[0],
        "node_up": node_up[0],
        "client_down": client_down[0] - size,
        "node_down": node_down[0],
    }
    named = {f"peak_extra_mb_{name}": peak / MB for name, peak in peaks.items()}
    return named | {"peak_extra_mb": max(named.values())}


@contextmanager
def sampled(processes: Sequence[psutil.Process]) -> Iterator[list[int]]:
    """The most resident bytes of the processes above what they had before; one number."""

    def now() -> int:
        return sum(int(it.memory_info().rss) for it in processes)

    before = now()
    most = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            most[0] = max(most[0], now() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


def random_bytes(size: int) -> Bytes:
    """Bytes that do not compress."""
    return np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)


def _publish(owner: DomainClient, data: Bytes) -> None:
    owner.publish(_name(), data)


def _drop(_: object) -> None:
    """What was taken home goes away."""


def _name() -> str:
    return f"array-{next(_names)}"


def _timed(act: Callable[[], None]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for process in processes:
        times = process.cpu_times()
        total += times.user + times.system
    return float(total)


if __name__ == "__main__":
    main()
