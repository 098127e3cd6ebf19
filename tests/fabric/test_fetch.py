"""Documents from servers that are broken, hostile, or somebody else's; HTTP is real."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from nacl.signing import SigningKey

from p2pgrid import Client
from p2pgrid.client.fetch import _redirected, fetch_document
from p2pgrid.config import Timing
from p2pgrid.errors import (
    DomainUnreachableError,
    ExpiredRecordError,
    ForgedRecordError,
    IdentityMismatchError,
    NetworkUnreachableError,
    NotAGridNetworkError,
    PeerUnreachableError,
)
from p2pgrid.ids import peer_id_of
from p2pgrid.protocol.proxy import Proxy
from p2pgrid.protocol.records import NodeRecord, SignedRecord, sign
from p2pgrid.protocol.web import DOCUMENT_BYTES, WELL_KNOWN, document_of, web_address
from tests.fabric.conftest import FabricNode, Grid
from tests.fabric.web import Answer, read, site

SEED = bytes(range(32))
PEER = peer_id_of(bytes(SigningKey(SEED).verify_key))
TIMEOUT_S = 5.0
SHORT_S = 0.3


def record(**changes: object) -> NodeRecord:
    body = NodeRecord("network", "city", (f"/ip4/192.0.2.1/tcp/1/p2p/{PEER}",), 1, 0)
    expires = {"expires": int(time.time()) + 1800}
    return msgspec.structs.replace(body, **(expires | changes))


def document(**changes: object) -> bytes:
    return document_of(sign(record(**changes), signing_key=SEED), PEER)


def fetched(url: str, **settings: object) -> str:
    """The peer id in the document at a URL."""
    settings = {"timeout_s": TIMEOUT_S} | settings
    return fetch_document(web_address(url), **settings)[0]  # type: ignore[arg-type]


def test_c06_the_document_below_the_path_comes_first_and_then_that_of_the_host() -> None:
    def answer(path: str) -> Answer:
        return Answer(document()) if path == WELL_KNOWN else Answer(status=404)

    with site(answer) as host:
        assert fetched(f"{host.url}/pygrid") == PEER
        assert host.asked == [f"/pygrid{WELL_KNOWN}", WELL_KNOWN]
    with site(lambda _: Answer(document())) as host:
        fetched(f"{host.url}/pygrid")
        assert host.asked == [f"/pygrid{WELL_KNOWN}"]


@pytest.mark.parametrize(
    "given",
    [
        *(Answer(b"<html>"), Answer(b"", 500), Answer(b"", 204), Answer(status=404)),
        *(Answer(b"", 302), Answer(b"", 302, {"Location": "mailto:a@b"})),
        Answer(b"", 302, {"Location": "https://other.example/"}),
        Answer(b"", 302, {"Location": "http://127.0.0.1.example/"}),
        Answer(b"", 302, {"Location": WELL_KNOWN}),
    ],
    ids=lambda given: f"{given.status} {given.headers.get('Location', len(given.body))}",
)
def test_c05_what_has_no_document_is_not_a_grid_network(ana: Client, given: Answer) -> None:
    with site(lambda _: given) as host, pytest.raises(NotAGridNetworkError, match=host.url):
        ana.save_network(host.url)
    assert len(host.asked) <= 5


def test_c06_another_host_is_named_and_not_followed() -> None:
    away = Answer(status=301, headers={"Location": "http://localhost:9/elsewhere?a=b"})
    with site(lambda _: away) as host, pytest.raises(NotAGridNetworkError) as refused:
        fetched(host.url)
    assert "it redirects to " in str(refused.value)


def test_c05_a_document_without_end_is_not_read() -> None:
    long = Answer(document() + b" " * DOCUMENT_BYTES)
    with site(lambda _: long) as host, pytest.raises(NotAGridNetworkError, match="65,536 bytes"):
        fetched(host.url)


class Redirect:
    """An answer over HTTPS, which no test serves."""

    def __init__(self) -> None:
        self.headers = {"Location": "http://nhs.example/"}


def test_c06_a_redirect_does_not_lead_from_https_to_http() -> None:
    here = web_address("https://nhs.example/pygrid")
    with pytest.raises(NotAGridNetworkError, match="redirects to http://nhs"):
        _redirected(here, Redirect())  # type: ignore[arg-type]
    assert _redirected(here._replace(scheme="http", port=80), Redirect()).path == ""  # type: ignore[arg-type]


def test_c06_a_redirect_on_the_same_host_is_followed() -> None:
    def answer(path: str) -> Answer:
        if path.startswith("/new"):
            return Answer(document())
        return Answer(status=308, headers={"Location": "/new/place"})

    with site(answer) as host:
        assert fetched(host.url) == PEER


def forged() -> bytes:
    signed = sign(record(), signing_key=SEED)
    broken = SignedRecord(signed.payload, signed.public_key, bytes(64)).encode()
    return msgspec.json.encode(msgspec.json.decode(document()) | {"record": broken})


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (lambda: document_of(sign(record(), signing_key=bytes(32)), PEER), IdentityMismatchError),
        (lambda: document(expires=int(time.time()) - 1), ExpiredRecordError),
        (forged, ForgedRecordError),
    ],
)
def test_c06_an_impostor_is_refused_before_anything_is_dialled(
    ana: Client, content: Callable[[], bytes], error: type[Exception]
) -> None:
    with site(lambda _: Answer(content())) as host:
        for reach in (ana.save_network, ana.connect):
            with pytest.raises(error):
                reach(host.url)
    assert ana._peer is None
    assert ana.networks.empty


def test_c06_a_document_of_a_node_that_is_not_there_is_not_enough(ana: Client) -> None:
    with (
        site(lambda _: Answer(document())) as host,
        pytest.raises(NetworkUnreachableError, match=host.url),
    ):
        ana.save_network(host.url)
    assert ana.networks.empty


def test_c06_somebody_elses_document_leads_to_that_node_and_to_no_other(
    grid: Grid, ana: Client
) -> None:
    city = grid.launch("city", "network")
    copied = read(city.node.url + WELL_KNOWN)
    with site(lambda _: Answer(copied)) as host:
        assert list(ana.save_network(host.url).id) == [city.node.peer_id]


@contextlib.contextmanager
def port(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that does what it likes with one connection; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive()


def test_c08_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with port(lambda connection: connection.recv(1 << 20) and connection.recv(1)) as url:
        began = time.monotonic()
        with pytest.raises(PeerUnreachableError):
            fetched(url, timeout_s=SHORT_S)
        assert time.monotonic() - began < SHORT_S + 2


def test_c08_a_server_that_drips_is_given_up_in_time() -> None:
    dripped = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not dripped.wait(SHORT_S / 5):  # each byte comes in time, the whole never does
            connection.sendall(b" ")

    with port(drip) as url:
        with pytest.raises(PeerUnreachableError, match=r"no answer within 0\.3 s"):
            fetched(url, timeout_s=SHORT_S)
        dripped.set()


def test_c08_a_server_that_drips_is_hung_up_on() -> None:
    """Or a thread here would read its drops for days."""
    hung_up = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not hung_up.wait(SHORT_S / 5):
                connection.sendall(b" ")
        hung_up.set()

    with port(drip) as url:
        with pytest.raises(PeerUnreachableError):
            fetched(url, timeout_s=SHORT_S)
        assert hung_up.wait(TIMEOUT_S)


@pytest.mark.parametrize(
    "answer", [b"", b"\x13/multistream\x1b[2J\n", b"HTTP/1.1 " + b"x" * 70_000]
)
def test_c08_what_speaks_another_protocol_is_unreachable(ana: Client, answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1 << 20)
        connection.sendall(answer)

    with port(serve) as url, pytest.raises(DomainUnreachableError) as failed:
        ana.connect(url)
    assert str(failed.value).isprintable()


def test_c08_the_timeout_is_the_configured_one(grid: Grid) -> None:
    client = Client(grid.home / "quick", timing=Timing(dial_s=SHORT_S))
    with (
        port(lambda connection: connection.recv(1 << 20) and connection.recv(1)) as url,
        pytest.raises(NetworkUnreachableError, match=r"within 0\.3 s"),
    ):
        client.network(url)


@pytest.fixture
def ana(grid: Grid) -> Client:
    return grid.client("ana")


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with site(lambda _: Answer(document())) as host:
        assert fetched(host.url) == PEER


def test_the_proxy_of_the_client_is_asked_for_a_tunnel_with_its_password() -> None:
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        heads.append(connection.recv(1 << 16))
        connection.sendall(b"HTTP/1.1 407 no\r\n\r\n")

    with port(serve) as url:
        proxy = Proxy("127.0.0.1", web_address(url).port, "ana:secret")
        with pytest.raises(PeerUnreachableError, match="407"):
            fetched("http://nhs.example/pygrid", proxy=proxy)
    assert heads[0].startswith(b"CONNECT nhs.example:80 ")
    assert b"Proxy-Authorization: Basic YW5hOnNlY3JldA==" in heads[0]


def test_a_node_serves_what_the_client_reads(grid: Grid) -> None:
    bob: FabricNode = grid.launch("bob")
    assert fetched(bob.node.url) == bob.node.peer_id
