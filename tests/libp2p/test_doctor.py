"""The doctor on real sockets: every way to fail is made, and found at the right step in time."""

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from typer.testing import CliRunner

from p2pgrid import Client
from p2pgrid.cli.main import REFUSED, UNREACHABLE, USAGE, app
from p2pgrid.client.doctor import Case, Finding, diagnose, examine
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING
from p2pgrid.errors import (
    AuthenticationError,
    ClockSkewError,
    IdentityMismatchError,
    NetworkKeyError,
    NoKeyError,
    P2PGridError,
    PeerUnreachableError,
    RelayRefusedError,
    RemoteProtocolError,
    RemoteTimeoutError,
)
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.key_file import make_key
from p2pgrid.net.link import Inbound
from p2pgrid.net.peer import Routing, libp2p_peer
from p2pgrid.net.probe import Probe
from p2pgrid.net.relay import Relay, RelayPorts
from p2pgrid.protocol.messages import Challenge
from p2pgrid.protocol.records import NodeRecord, sign
from tests.libp2p.conftest import Clinic
from tests.libp2p.dht_nodes import peer_of, process

pytestmark = pytest.mark.libp2p

PROMISED_S = 10.0
IMPATIENT_S = 1.0
PEER = peer_of(7)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path / "home", wallet=Wallet(tmp_path / "other.json"))
    yield made
    made.close()


def at(port: int, peer: PeerId = PEER, host: str = "/ip4/127.0.0.1") -> str:
    return f"{host}/tcp/{port}/p2p/{peer}"


def port_of(address: str) -> int:
    return int(address.split("/")[4])


def failed(findings: tuple[Finding, ...]) -> Finding:
    """The one step that failed; there is advice, and nothing was tried after it."""
    (found,) = [it for it in findings if it.outcome == "failed"]
    place = findings.index(found)
    assert found.advice
    assert all(it.outcome in {"ok", "not needed"} for it in findings[:place])
    assert all(it.outcome == "not tried" for it in findings[place + 1 :])
    return found


def impatient(client: Client, address: str) -> Finding:
    """As ``diagnose``, for a second only: what hangs would take all the time there is."""
    peer = PeerId(address.rpartition("/")[2])
    case = Case(peer, (address,), Probe(lambda: client.peer, None), client.wallet)
    begun = time.monotonic()
    findings = examine(case, total_s=IMPATIENT_S)
    assert time.monotonic() - begun < PROMISED_S / 2
    return failed(findings)


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose connections ``answer`` gets, one after the other."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(4096):
        connection.sendall(data)


def test_a_name_that_nobody_has(client: Client) -> None:
    found = failed(diagnose(client, at(4001, host="/dns4/nowhere.invalid")))
    assert (found.step, type(found.error)) == ("name", PeerUnreachableError)
    assert "nowhere.invalid" in found.found


def test_a_port_that_is_closed(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = failed(diagnose(client, at(port)))
    assert (found.step, type(found.error)) == ("TCP", PeerUnreachableError)
    assert f"127.0.0.1 port {port}: Connection refused" in found.found


def test_a_firewall_that_swallows(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.create_connection(("127.0.0.1", port))]  # no second one is answered
        found = impatient(client, at(port))
        assert (found.step, type(found.error)) == ("TCP", RemoteTimeoutError)
        waiting[0].close()


def test_a_port_that_never_says_a_word(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = impatient(client, at(silent.getsockname()[1]))
    assert (found.step, type(found.error)) == ("noise", RemoteTimeoutError)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (echo, PeerUnreachableError),
        (lambda it: it.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"), NetworkKeyError),
        (lambda it: it.recv(4096), PeerUnreachableError),
    ],
    ids=["echo", "ssh", "hangs up"],
)
def test_a_port_of_something_else(
    client: Client, answer: Callable[[socket.socket], None], error: type[P2PGridError]
) -> None:
    with serving(answer) as port:
        found = failed(diagnose(client, at(port)))
    assert (found.step, type(found.error)) == ("noise", error)


def test_a_relay_at_which_the_node_has_no_place(client: Client) -> None:
    relay = Relay("127.0.0.1", RelayPorts(0, None), limits=DEFAULT_LIMITS, timing=DEFAULT_TIMING)
    network = libp2p_peer(
        secrets.token_bytes(32),
        listen=("/ip4/127.0.0.1/tcp/0",),
        on_request=lambda _: None,
        routing=Routing(relay=relay),
    )
    network.start()
    try:
        (address,) = relay.addresses
        found = failed(diagnose(client, f"{address}/p2p-circuit/p2p/{PEER}"))
    finally:
        network.stop()
    assert (found.step, type(found.error)) == ("relay", RelayRefusedError)


def test_something_else_where_a_relay_should_be(client: Client) -> None:
    with serving(echo) as port:
        circuit = at(port, peer_of(8)) + f"/p2p-circuit/p2p/{PEER}"
        found = failed(diagnose(client, circuit))
    assert (found.step, type(found.error)) == ("relay", RemoteProtocolError)


def test_a_proxy_that_refuses(tmp_path: Path) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    with serving(refuse) as port:
        client = Client(tmp_path, proxy=f"http://127.0.0.1:{port}")
        found = failed(diagnose(client, at(4001)))
    assert found.step == "TCP"
    assert "403" in found.found


def test_another_identity(client: Client, clinic: Clinic) -> None:
    clinic.start_here()
    found = failed(diagnose(client, at(port_of(clinic.address))))
    assert (found.step, type(found.error)) == ("noise", IdentityMismatchError)


def test_another_network_key(client: Client, clinic: Clinic, tmp_path: Path) -> None:
    make_key(tmp_path / "network.key")
    clinic.directory.change({"network_key": str(tmp_path / "network.key")})
    clinic.start_here()
    found = failed(diagnose(client, clinic.address))
    assert (found.step, type(found.error)) == ("noise", NetworkKeyError)
    member = Client(tmp_path / "home", network_key=tmp_path / "network.key", wallet=clinic.wallet)
    assert [it.outcome for it in diagnose(member, clinic.address)].count("ok") == 5
    member.close()


def test_a_libp2p_peer_that_is_no_node(client: Client) -> None:
    with process(1) as dht_only:  # it resets every control stream
        found = failed(diagnose(client, dht_only.addresses[0]))
    assert (found.step, type(found.error)) == ("version", PeerUnreachableError)


@contextmanager
def node(answer: Callable[[Inbound, SigningKey], None]) -> Iterator[str]:
    """A peer that speaks the wire, and answers as the test wants."""
    key = SigningKey.generate()
    peer = libp2p_peer(
        bytes(key),
        listen=("/ip4/127.0.0.1/tcp/0",),
        on_request=lambda inbound: answer(inbound, key),
    )
    peer.start()
    try:
        yield peer.addresses[0]
    finally:
        peer.stop()


def test_an_older_version_of_the_wire(client: Client) -> None:
    with node(lambda inbound, _: inbound.link.close("what version is this?")) as address:
        found = failed(diagnose(client, address))
    assert (found.step, type(found.error)) == ("version", RemoteProtocolError)
    assert "update" in found.advice


@pytest.mark.parametrize(("ahead_s", "outcome"), [(100, "failed"), (-100, "failed"), (20, "ok")])
def test_a_clock_that_is_wrong(client: Client, ahead_s: float, outcome: str) -> None:
    def answer(inbound: Inbound, key: SigningKey) -> None:
        body = NodeRecord(seq=1, expires=1 << 31, kind="network", name="city", addresses=())
        record = sign(body, signing_key=bytes(key)).encode()
        nonce = secrets.token_bytes(16)
        inbound.answer(Challenge("network", "city", nonce, record, time.time() + ahead_s))

    with node(answer) as address:
        *_, clock, account = diagnose(client, address)
    assert (clock.step, clock.outcome) == ("clock", outcome)
    if outcome == "failed":
        assert isinstance(clock.error, ClockSkewError)
        assert clock.error.ahead_s == pytest.approx(ahead_s, abs=5)
        assert account.outcome == "not tried"
    else:
        assert account.outcome == "not needed"  # a network has none


def test_a_key_that_is_missing_unknown_and_enrolled(client: Client, clinic: Clinic) -> None:
    clinic.start_here()
    found = failed(diagnose(client, clinic.address))
    assert (found.step, type(found.error)) == ("account", NoKeyError)
    client.wallet.new(clinic.directory.peer_id(), "ana")
    found = failed(diagnose(client, clinic.address))
    assert (found.step, type(found.error)) == ("account", AuthenticationError)
    key = client.wallet.public_key(clinic.directory.peer_id(), "ana")
    clinic.owner().users.add("ana", key)
    findings = diagnose(client, clinic.address, user="ana")
    assert (findings[-1].outcome, findings[-1].found) == ("ok", "ana, scientist")


def test_the_command_prints_its_findings_and_ends_with_the_error(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.start_here()
    clinic.owner()  # the home knows the clinic from now on
    monkeypatch.setenv("P2PGRID_HOME", str(clinic.home))
    good = CliRunner().invoke(app, ["doctor", "clinic", "--format=json"])
    assert good.exit_code == 0, good.stderr
    outcomes = {it["step"]: it["outcome"] for it in json.loads(good.stdout)}
    assert outcomes == {
        "name": "not needed",
        "TCP": "ok",
        "relay": "not needed",
        "noise": "ok",
        "version": "ok",
        "clock": "ok",
        "account": "ok",
    }
    clinic.wallet.remove(clinic.directory.peer_id(), "owner")
    clinic.wallet.new(clinic.directory.peer_id(), "mallory")
    unknown = at(port_of(clinic.address), peer_id_of(bytes(range(32))))
    for words, code in (
        (["clinic"], REFUSED),
        (["clinic", "--user=nobody"], USAGE),
        ([unknown], UNREACHABLE),
        (["city"], USAGE),
    ):
        bad = CliRunner().invoke(app, ["doctor", *words])
        assert bad.exit_code == code
        assert bad.stderr.startswith("p2pgrid: P2PG-")
        assert ("failed" in bad.stdout) is (words != ["city"])
