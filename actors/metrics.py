"""Prometheus text about one node, on loopback: counts and times, no names of anybody.

The numbers are read when they are asked for, on the gateway's own loop, so that counting costs
the hot path a few additions. Every node has a registry of its own: several may share a process.
"""

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
from actors.pages import Page, Pages
from p2pgrid.net.counters import Counters

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


def metrics_pages(collector: Collector) -> Pages:
    """The page at ``/metrics``."""
    registry = CollectorRegistry()
    registry.register(collector)

    async def metrics() -> Page:
        return Page(CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))

    return {"/metrics": metrics}
