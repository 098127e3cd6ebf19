"""What an operator and a scientist see of a request: log lines, metrics, a trace."""

import json
import logging
import time
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from typing_extensions import override

from actors.logs import JsonFormatter
from p2pgrid import DomainClient, TensorPointer
from p2pgrid.errors import GetNotPermittedError, ShapeError
from tests.fabric.conftest import FabricNode, Grid

A = np.arange(6.0)
SECRET = 1234.5678


class Lines(logging.Handler):
    """The lines of a log as an operator reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[dict[str, object]] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))

    def of(self, request: str) -> set[object]:
        """The loggers that spoke of a request."""
        return {line["logger"] for line in self.lines if line.get("request") == request}


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    loggers = [logging.getLogger(name) for name in ("p2pgrid", "actors")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def no_connections() -> None:
    """The metrics are asked for over loopback."""


@pytest.fixture
def a(owner: DomainClient) -> TensorPointer:
    pointer: TensorPointer = owner.publish("a", A * SECRET, tags=("#secret-tag",)).pointers[0]
    return pointer


def scrape(node: FabricNode) -> dict[tuple[str, ...], float]:
    """All samples: the name, then the values of its labels by their names."""
    with urllib.request.urlopen(node.node.metrics, timeout=10) as page:  # noqa: S310 our own
        text = page.read().decode()
    return {
        (sample.name, *(it for _, it in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_one_request_is_found_in_client_gateway_and_store(a: TensorPointer, lines: Lines) -> None:
    (a + 1).block  # noqa: B018
    request = (a + 2).trace().request
    (a + 3).block  # noqa: B018 by now the gateway has written its line
    assert lines.of(request) == {"p2pgrid.net.link", "actors.gateway", "actors.store"}
    (done,) = (
        line
        for line in lines.lines
        if line.get("request") == request and line["logger"] == "actors.gateway"
    )
    assert (done["kind"], done["outcome"]) == ("Operate", "done")


def test_what_failed_is_logged_under_its_request(
    a: TensorPointer, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr("actors.computing._ticks", broken)
    failed = a + 1
    with pytest.raises(Exception, match="reference"):
        failed.block  # noqa: B018
    (line,) = (line for line in lines.lines if line["event"] == "request failed")
    assert "a mistake" in str(line["error"])
    assert "p2pgrid.net.link" in lines.of(str(line["request"]))


def test_no_line_holds_a_value_a_tag_or_a_nonce(
    grid: Grid, owner: DomainClient, a: TensorPointer, lines: Lines
) -> None:
    eve = grid.user(owner, "eve")
    found = eve.search("#secret-tag")[0].pointers[0]
    with pytest.raises(GetNotPermittedError):
        (found * 2).get_copy()
    (a * 2).get_copy()
    text = json.dumps(lines.lines)
    assert str(SECRET) not in text
    assert "secret-tag" not in text
    nonce = eve._logins._nonce
    assert nonce[:4].hex() in text
    assert nonce[4:].hex() not in text


def test_a_program_at_the_default_level_pays_for_no_lines(
    a: TensorPointer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.clear()
    for _ in range(20):
        (a + 1).block  # noqa: B018
    assert caplog.records == []


@pytest.mark.usefixtures("no_connections")
def test_the_metrics_count_what_was_done(
    grid: Grid, bob: FabricNode, owner: DomainClient, a: TensorPointer
) -> None:
    eve = grid.user(owner, "eve")
    before = scrape(bob)
    kept = [(a + number).block for number in range(5)]
    with pytest.raises(GetNotPermittedError):
        eve.datasets[0].pointers[0].get_copy()
    after = scrape(bob)

    def grew(*name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert grew("p2pgrid_requests_total", "Operate", "done") == 5
    assert grew("p2pgrid_requests_total", "Get", "refused") == 1
    assert grew("p2pgrid_request_seconds_count", "Operate") == 5
    assert after["p2pgrid_request_seconds_bucket", "Operate", "+Inf"] == 5
    assert 0 < after["p2pgrid_request_seconds_sum", "Operate"] < 5
    assert grew("p2pgrid_objects") == len(kept)
    assert grew("p2pgrid_object_bytes") == len(kept) * A.nbytes
    assert grew("p2pgrid_bytes_total", "in", "control") > 0
    assert grew("p2pgrid_bytes_total", "out", "control") > 0
    assert after["p2pgrid_links",] == after["p2pgrid_sessions", "connected"] == 2
    assert after["p2pgrid_requests_open",] == after["p2pgrid_sessions", "waiting"] == 0
    assert after["p2pgrid_store_restarts_total",] == after["p2pgrid_store_queue",] == 0


@pytest.mark.usefixtures("no_connections")
def test_nodes_of_one_process_count_apart_and_on_loopback_only(
    grid: Grid, bob: FabricNode, a: TensorPointer
) -> None:
    other = grid.launch("ucsf", "network")
    (a + 1).block  # noqa: B018
    assert not [name for name in scrape(other) if name[0] == "p2pgrid_requests_total"]
    for node in (bob, other):
        assert node.node.metrics.startswith("http://127.0.0.1:")
        server = node.node._metrics._server
        assert server is not None
        assert [listening.getsockname()[0] for listening in server.sockets] == ["127.0.0.1"]


@pytest.mark.usefixtures("no_connections")
def test_the_metrics_answer_nothing_else(bob: FabricNode) -> None:
    for wrong in ("/", "/metrics/../node.db"):
        url = bob.node.metrics.replace("/metrics", wrong)
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(url, timeout=10)  # noqa: S310 our own


def test_a_trace_adds_up_to_the_measured_round_trip(a: TensorPointer) -> None:
    (a + 1).block  # noqa: B018 logs in
    began = time.perf_counter()
    trace = (a + 2).trace()
    measured_s = time.perf_counter() - began
    parts = (trace.queued_s, trace.network_s, trace.gateway_s, trace.store_queue_s, trace.store_s)
    assert all(part >= 0 for part in parts)
    assert sum(parts) == pytest.approx(trace.total_s)
    assert 0 < trace.total_s <= measured_s
    assert trace.operations == 1
    assert trace.store_s > 0
    for seconds in (trace.gateway_s, trace.store_queue_s, trace.store_s):
        assert seconds == pytest.approx(round(seconds, 5))  # nothing finer leaves the domain
    lines = repr(trace).splitlines()
    assert lines[0] == f"request {trace.request}, 1 operations"
    assert [line.split("  ")[0] for line in lines[1:]] == [
        *("queued", "network", "gateway", "store queue", "store", "total")
    ]


def test_a_chain_is_traced_as_one_request(a: TensorPointer) -> None:
    chain = a
    for _ in range(500):
        chain = chain + 1.0
    assert chain.trace().operations > 1


def test_a_trace_of_a_dataset_says_so_and_that_of_a_failure_raises_it(a: TensorPointer) -> None:
    assert "dataset's own" in repr(a.trace())
    assert a.trace().total_s == 0
    with pytest.raises(ShapeError):
        (a + np.zeros(4)).trace()
