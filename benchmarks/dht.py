"""Sixty nodes in six processes on loopback: what finding and storing a signed record costs.

Cold gets come from nodes that hold no copy and never asked before, for records whose signers run
no node, so that nobody can be asked directly. Then a process of 20 nodes is killed, then one of 6
frozen. The baseline, py-libp2p's Kademlia as it comes, goes through the same in the same run.
"""

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.protocol.records import NodeRecord, SignedRecord, sign

NODES = (20, 20, 8, 6, 3, 3)
KILLED, FROZEN = 0, 3
READERS = (1, 2, 4, 5)
"""The processes that live; they ask."""
RECORDS = 60
WORD_S = 300.0
"""No word to a process takes longer, even on a busy machine."""


@dataclass(frozen=True)
class Counts:
    """How many gets of each kind; the baseline's frozen ones take half a minute each."""

    cold: int
    killed: int
    frozen: int


COUNTS = {"p2pgrid": Counts(120, 60, 60), "baseline": Counts(40, 20, 4)}


@dataclass
class Waits:
    """What was measured, in milliseconds."""

    put: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)
    get_cached: list[float] = field(default_factory=list)
    get_killed: list[float] = field(default_factory=list)
    get_frozen: list[float] = field(default_factory=list)
    found: list[bool] = field(default_factory=list)


class Process:
    """A process of nodes, see ``dht_worker``."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen
        self.addresses: list[str] = self._answer()

    def tell(self, word: str, argument: Any = None) -> Any:
        """Says a word; its answer."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps([word, argument]) + "\n")
        self._popen.stdin.flush()
        return self._answer()

    def signal(self, number: signal.Signals) -> None:
        """Kills or freezes it."""
        self._popen.send_signal(number)

    def _answer(self) -> Any:
        assert self._popen.stdout is not None
        readable, _, _ = select.select([self._popen.stdout], [], [], WORD_S)
        assert readable, f"process {self._popen.pid} did not answer in {WORD_S:g} s"
        return json.loads(self._popen.stdout.readline())


def main() -> None:
    """Runs the benchmark and prints its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    asked = parser.parse_args()
    ours, theirs = measure("p2pgrid"), measure("baseline")
    result = summary(ours) | {f"baseline_{key}": value for key, value in summary(theirs).items()}
    result |= {"nodes": float(sum(NODES)), "load_1m": os.getloadavg()[0]}
    if not asked.json:
        for key, value in result.items():
            print(f"{key:>32} {value:12,.3f}")
    print(json.dumps({key: round(value, 3) for key, value in result.items()}))


def summary(waits: Waits) -> dict[str, float]:
    """The figures of one arm."""
    p95 = statistics.quantiles(waits.get, n=20)[-1]
    return {
        "put_ms_p50": statistics.median(waits.put),
        "get_ms_p50": statistics.median(waits.get),
        "get_ms_p95": p95,
        "get_cached_ms_p50": statistics.median(waits.get_cached),
        "get_killed_ms_p50": statistics.median(waits.get_killed),
        "get_killed_ms_max": max(waits.get_killed),
        "get_frozen_ms_p50": statistics.median(waits.get_frozen),
        "get_frozen_ms_max": max(waits.get_frozen),
        "found_ratio": statistics.mean(waits.found),
    }


def measure(kind: str) -> Waits:
    """One arm: starts its processes, and ends them in any case."""
    counts, waits = COUNTS[kind], Waits()
    records = [_record(number) for number in range(RECORDS)]
    peers = [peer_id_of(record.public_key) for record in records]
    with ExitStack() as stack:
        starts = [1 + sum(NODES[:index]) for index in range(len(NODES))]
        processes = [
            stack.enter_context(_process(kind, first, count))
            for first, count in zip(starts, NODES, strict=True)
        ]
        for process in processes:
            process.tell("join", processes[0].addresses)
        for process in (*processes, *processes):
            process.tell("refresh")
        waits.put = [
            processes[number % len(processes)].tell("put", record.encode().hex())
            for number, record in enumerate(records)
        ]
        readers = [processes[index] for index in READERS]
        for number in range(counts.cold):
            reader, peer = readers[number % len(readers)], peers[number % len(peers)]
            waits.get += _gets([reader], [peer], 1, waits.found)
            waits.get_cached += _gets([reader], [peer], 1, waits.found, word="get_cached")
        processes[KILLED].signal(signal.SIGKILL)
        waits.get_killed = _gets(readers, peers, counts.killed, waits.found)
        processes[FROZEN].signal(signal.SIGSTOP)
        # They wait rather than work, so that all may wait at once.
        at_once = len(readers) if kind == "baseline" else 1
        waits.get_frozen = _gets(readers, peers, counts.frozen, waits.found, at_once=at_once)
    return waits


def _gets(
    readers: Sequence[Process],
    peers: Sequence[PeerId],
    count: int,
    found: list[bool],
    *,
    word: str = "get",
    at_once: int = 1,
) -> list[float]:
    def get(number: int) -> Any:
        return readers[number % len(readers)].tell(word, peers[number % len(peers)])

    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(get, range(count)))
    found.extend(was_found for _, was_found in answers)
    return [took_ms for took_ms, _ in answers]


@contextmanager
def _process(kind: str, first: int, count: int) -> Iterator[Process]:
    command = [sys.executable, "-m", "benchmarks.dht_worker", kind, str(first), str(count)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as popen:
        try:
            yield Process(popen)
        finally:
            popen.kill()  # a frozen one, too


def _record(number: int) -> SignedRecord:
    seed = (1000 + number).to_bytes(32, "big")
    body = NodeRecord("domain", "clinic", ("/ip4/192.0.2.7/tcp/4001",), 1, int(time.time()) + 3600)
    return sign(body, signing_key=seed)


if __name__ == "__main__":
    main()
