"""What a node answers over HTTP, and to whom it does not."""

import contextlib
import json
import socket
import urllib.request
from urllib.error import HTTPError

import pytest

from actors import pages
from p2pgrid.errors import PortInUseError, SchemaError, UnavailableError
from p2pgrid.net.key_file import make_key
from p2pgrid.protocol.web import CONNECTED_NODES, WELL_KNOWN, web_address
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.web import read
from tests.waiting import until


@pytest.fixture
def city(grid: Grid) -> FabricNode:
    return grid.launch("city", "network")


def exchange(node: FabricNode, request: bytes) -> bytes:
    """All that a node answers to bytes."""
    url = web_address(node.node.url)
    answer = b""
    with (
        socket.create_connection((url.host, url.port), timeout=10) as connection,
        contextlib.suppress(ConnectionResetError),  # a node that hangs up does not read all
    ):
        connection.sendall(request)
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


def status(answer: bytes) -> bytes:
    return answer[9:12]


def test_c06_every_node_serves_its_document(city: FabricNode, bob: FabricNode) -> None:
    for node in (city, bob):
        with urllib.request.urlopen(node.node.url + WELL_KNOWN, timeout=10) as page:  # noqa: S310
            assert page.headers["Content-Type"] == "application/json"
            document = json.loads(page.read())
        assert document["peer_id"] == node.node.peer_id
        assert document["addresses"] == [node.address]
        assert document["name"] == node.directory.settings().name
        assert set(document) == {"kind", "name", "peer_id", "addresses", "record"}


def test_a_query_is_passed_over(city: FabricNode) -> None:
    assert json.loads(read(f"{city.node.url}{CONNECTED_NODES}?t=1")) == {"grid-nodes": []}


@pytest.mark.parametrize("path", ["/", "/metrics", "/node.json", f"{WELL_KNOWN}/../x", "/%2e%2e/"])
def test_there_are_no_other_pages(city: FabricNode, path: str) -> None:
    with pytest.raises(HTTPError, match="404"):
        read(city.node.url + path)


def test_only_networks_tell_who_is_connected(bob: FabricNode) -> None:
    with pytest.raises(HTTPError, match="404"):
        read(bob.node.url + CONNECTED_NODES)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"POST /connected-nodes HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"GET /connected-nodes HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /connected-nodes HTTP/1.1\r\n\r\n", b"400"),
        (b"\x13/multistream/1.0.0\n\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"400"),
        (b"GET " + b"/" * 20_000, b"400"),
    ],
)
def test_a_request_that_is_odd(city: FabricNode, request_: bytes, expected: bytes) -> None:
    assert status(exchange(city, request_)) == expected


def test_a_second_request_of_a_connection_is_not_answered(city: FabricNode) -> None:
    one = b"GET /connected-nodes HTTP/1.1\r\nHost: a\r\n\r\n"
    assert exchange(city, one + one).count(b"HTTP/1.1 200") == 1


def test_a_request_that_does_not_end_is_cut_off(
    city: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ASK_S", 0.1)
    assert exchange(city, b"GET / HTTP/1.1\r\n") == b""


def test_visitors_beyond_the_limit_are_turned_away_and_those_before_them_served(
    city: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_VISITORS", 1)
    url = web_address(city.node.url)
    ask = b"GET /connected-nodes HTTP/1.1\r\nHost: a\r\n\r\n"
    with socket.create_connection((url.host, url.port), timeout=10) as first:
        until(lambda: city.node._web._visitors == 1)
        assert exchange(city, ask) == b""
        first.sendall(ask)
        assert status(first.recv(1 << 16)) == b"200"
    until(lambda: city.node._web._visitors == 0)
    assert status(exchange(city, ask)) == b"200"


def test_while_the_registry_restarts_there_is_no_page(
    city: FabricNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise UnavailableError(domain="city")

    monkeypatch.setattr(city.registry, "census", away)
    with pytest.raises(HTTPError, match="503"):
        read(city.node.url + CONNECTED_NODES)


def test_pages_are_on_loopback_unless_the_operator_says_otherwise(city: FabricNode) -> None:
    server = city.node._web._server
    assert server is not None
    assert [it.getsockname()[0] for it in server.sockets] == ["127.0.0.1"]


def test_a_port_that_is_taken_is_named(grid: Grid) -> None:
    bob = grid.launch("bob")
    bob.stop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bob.directory.change({"http_port": port})
        with pytest.raises(PortInUseError, match=str(port)):
            bob.start()
        bob.state.close()
        bob.registry.close()
    bob.start()
    assert bob.node.url == f"http://127.0.0.1:{port}"


def test_a_closed_node_has_no_pages(grid: Grid) -> None:
    make_key(grid.home / "network.key")
    bob = grid.launch("bob")
    bob.stop()
    with pytest.raises(SchemaError, match="are for open nodes"):
        bob.directory.change({"network_key": str(grid.home / "network.key"), "http_port": 5000})
    bob.directory.change({"network_key": str(grid.home / "network.key")})
    bob.start()
    assert bob.node.url == ""
    assert bob.node._web._server is None
