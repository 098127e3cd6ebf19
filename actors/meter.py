"""What a node counts: plain numbers, written on its hot path, read when somebody asks."""

import time
from bisect import bisect_left
from collections import Counter
from typing import NamedTuple

BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes of latency; one more class has the rest."""


class Latency:
    """How long requests of one kind took."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Counts one request."""
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum_s += seconds


class Meter:
    """The requests of a gateway, by kind of message and outcome; both are few and ours."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.latencies: dict[str, Latency] = {}
        self.open = 0
        """Requests that came and are not answered yet."""

    def begin(self) -> float:
        """Counts a request that came; gives the time."""
        self.open += 1
        return time.perf_counter()

    def end(self, kind: str, outcome: str, *, began: float) -> float:
        """Counts a request that ended; how long it took, in seconds."""
        seconds = time.perf_counter() - began
        self.open -= 1
        self.outcomes[kind, outcome] += 1
        latency = self.latencies.get(kind)
        if latency is None:
            latency = self.latencies[kind] = Latency()
        latency.add(seconds)
        return seconds


class Load(NamedTuple):
    """What a node holds at this moment."""

    sessions_connected: int = 0
    sessions_waiting: int = 0
    objects: int = 0
    object_bytes: int = 0
    store_queue: int = 0
    store_restarts: int = 0
