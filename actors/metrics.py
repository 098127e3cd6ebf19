"""Prometheus text about one node, on loopback: counts and times, no names of anybody.

The numbers are read when they are asked for, on the gateway's own loop, so that counting costs
the hot path a few additions. Every node has a registry of its own: several may share a process.
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from typing_extensions import override

from actors.meter import BUCKETS_S, Load, Meter
from p2pgrid.errors import PortInUseError
from p2pgrid.net.counters import Counters

LOOPBACK = "127.0.0.1"
ASK_S = 5.0
MAX_ASK_BYTES = 8192
GAUGES = {
    "objects": "results that sessions hold",
    "object_bytes": "bytes of memory that they take",
    "store_queue": "requests that wait for the store",
}


class NodeCollector(Collector):
    """Reads the counters of a node.

    ``load`` tells what it holds, ``links`` how many peers are connected, ``planes`` what each
    plane has carried.
    """

    def __init__(
        self,
        meter: Meter,
        *,
        load: Callable[[], Load],
        links: Callable[[], int],
        planes: Mapping[str, Counters],
    ) -> None:
        self._meter, self._load, self._links, self._planes = meter, load, links, planes

    @override
    def collect(self) -> Iterable[Metric]:
        yield self._requests()
        yield self._latencies()
        yield self._traffic()
        yield GaugeMetricFamily("p2pgrid_requests_open", "requests at work", self._meter.open)
        yield GaugeMetricFamily("p2pgrid_links", "peers that are connected", self._links())
        yield from self._held(self._load())

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "p2pgrid_requests", "requests that were answered", labels=("kind", "outcome")
        )
        for labels, count in self._meter.outcomes.items():
            family.add_metric(labels, count)
        return family

    def _latencies(self) -> Metric:
        family = HistogramMetricFamily(
            "p2pgrid_request_seconds", "from request to answer, in the gateway", labels=("kind",)
        )
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        for kind, latency in self._meter.latencies.items():
            buckets = list(zip(bounds, accumulate(latency.counts), strict=True))
            family.add_metric((kind,), buckets, latency.sum_s)
        return family

    def _traffic(self) -> Metric:
        family = CounterMetricFamily(
            "p2pgrid_bytes", "bytes of frames, by plane", labels=("plane", "direction")
        )
        for plane, carried in self._planes.items():
            family.add_metric((plane, "in"), carried.received)
            family.add_metric((plane, "out"), carried.sent)
        return family

    def _held(self, load: Load) -> Iterable[Metric]:
        sessions = GaugeMetricFamily("p2pgrid_sessions", "sessions", labels=("state",))
        sessions.add_metric(("connected",), load.sessions_connected)
        sessions.add_metric(("waiting",), load.sessions_waiting)
        yield sessions
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"p2pgrid_{name}", text, getattr(load, name))
        yield CounterMetricFamily(
            "p2pgrid_store_restarts", "times that the store was lost", load.store_restarts
        )


class MetricsServer:
    """Answers ``GET /metrics`` on loopback, and nothing else."""

    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        self.url = ""

    async def start(self, port: int) -> None:
        """Listens on a port of this machine; 0 takes a free one.

        Raises:
            PortInUseError: another process listens there.
        """
        try:
            self._server = await asyncio.start_server(
                self._answer, LOOPBACK, port, limit=MAX_ASK_BYTES
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(port=port) from error
            raise
        self.url = f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}/metrics"

    async def stop(self) -> None:
        """Stops to listen."""
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(
            TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError
        ):
            async with asyncio.timeout(ASK_S):
                asked = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._page(asked))
                await writer.drain()
        writer.close()

    def _page(self, asked: bytes) -> bytes:
        if not asked.startswith(b"GET /metrics "):
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        body = generate_latest(self._registry)
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE_PLAIN_0_0_4}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body
