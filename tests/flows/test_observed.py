"""On a real cluster: what numpy gives, one request in all logs, metrics."""

import json
import logging
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from actors.cluster import load_cluster
from p2pgrid import Node, TensorPointer
from p2pgrid.errors import ObjectGoneError
from tests.flows.grids import RealDomain, RealGrid

pytestmark = pytest.mark.ray

VALUES = np.arange(15.0).reshape(5, 3)

STEPS: list[Callable[[Any], Any]] = [
    lambda x: np.where(x > 0, x, -0.5),
    lambda x: np.concatenate([x, x[:1]], axis=0)[1:],
    lambda x: (x - np.mean(x, axis=0)) / (1 + np.std(x, axis=0)),
    lambda x: x.reshape(3, -1).T + np.arange(3),
    lambda x: np.clip(x, -2, 2)[[4, 3, 2, 1, 0]],
    lambda x: x[:, np.array([True, False, True])].sum(axis=1, keepdims=True) + x,
    lambda x: np.exp(-np.abs(x)) @ np.eye(3),
]


@pytest.fixture(scope="module")
def bob(clusters: RealGrid) -> RealDomain:
    """A domain with a dataset."""
    domain = clusters.domain()
    domain.owner().publish("observed", VALUES, tags=("#observed",))
    return domain


@pytest.fixture
def pointer(bob: RealDomain) -> TensorPointer:
    pointer: TensorPointer = bob.owner().search("#observed")[0].pointers[0]
    return pointer


def test_programs_give_what_numpy_gives(pointer: TensorPointer) -> None:
    same = np.testing.assert_allclose  # sums of the same order, in another process
    numbers = np.random.default_rng(3)
    x, y = pointer, VALUES
    for _ in range(200):
        step = STEPS[numbers.integers(len(STEPS))]
        x, y = step(x), step(y)
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
    same(x.get_copy(), y, rtol=1e-12)
    assert x.exists
    same(x.get(), y, rtol=1e-12)
    with pytest.raises(ObjectGoneError):
        x.get()


def test_large_arrays_go_in_and_come_home_by_the_bulk_port(bob: RealDomain, tmp_path: Path) -> None:
    owner = bob.owner()
    large = np.random.default_rng(2).normal(size=(2000, 1000))
    pointer = owner.publish("large", large).pointers[0]
    np.testing.assert_array_equal(pointer.get(), large)
    mapped = (pointer.T + 1).get(to=tmp_path / "result.npy")
    np.testing.assert_array_equal(mapped, large.T + 1)
    counters = owner.transfers.counters
    assert counters.sent >= large.nbytes
    assert counters.received >= 2 * large.nbytes
    assert carried(bob, "in") >= large.nbytes
    assert carried(bob, "out") >= 2 * large.nbytes
    objects = bob.directory.objects
    assert not [*objects.glob("*.part"), *(objects / "spool").iterdir()]


def metrics_of(bob: RealDomain) -> list[Metric]:
    with urllib.request.urlopen(bob.node.metrics, timeout=10) as page:  # noqa: S310 our own
        return list(text_string_to_metric_families(page.read().decode()))


def carried(bob: RealDomain, direction: str) -> float:
    """Bytes that the node's bulk plane has carried."""
    labels = {"plane": "bulk", "direction": direction}
    samples = [sample for family in metrics_of(bob) for sample in family.samples]
    return sum(
        it.value for it in samples if it.name == "p2pgrid_bytes_total" and it.labels == labels
    )


def test_one_request_is_found_in_the_logs_of_client_gateway_and_store(
    bob: RealDomain, pointer: TensorPointer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="p2pgrid"):
        trace = (pointer + 1).trace()
    (pointer + 2).block  # noqa: B018 by now the gateway has written its line
    assert trace.request in {record.__dict__.get("request") for record in caplog.records}
    loggers = {line["logger"] for line in lines_of(bob.node, trace.request)}
    assert loggers == {"actors.gateway", "actors.store"}
    assert min(trace.gateway_s, trace.store_queue_s, trace.store_s) > 0


def lines_of(node: Node, request: str) -> list[dict[str, object]]:
    """The lines of the node's processes that carry a request id, by one grep."""
    running = load_cluster(node.directory / "ray")
    assert running is not None
    lines = [
        line
        for log in running.temp_dir.rglob("worker-*.err")
        for line in log.read_text().splitlines()
        if f'"request":"{request}"' in line
    ]
    return [json.loads(line) for line in lines]


def test_a_node_shows_where_its_metrics_are(bob: RealDomain, pointer: TensorPointer) -> None:
    (pointer + 1).block  # noqa: B018
    families = {family.name for family in metrics_of(bob)}
    assert {"p2pgrid_requests", "p2pgrid_sessions", "p2pgrid_store_restarts"} <= families
    assert bob.node.metrics.startswith("http://127.0.0.1:")
