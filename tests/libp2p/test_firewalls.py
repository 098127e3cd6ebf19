"""Domains and programs in private networks, where only the network node is reached from both.

What passes the relay's machine is captured: sizes, times and who is dialled, but no plaintext.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from actors.layout import EVERYWHERE, NodeDirectory, NodeSettings
from tests.libp2p.conftest import ROOT, Clinic, make_clinic
from tests.libp2p.private_networks import CITY, GATE, WARD, PrivateNetworks, private_networks
from tests.libp2p.visitor_process import ROW, ROWS

pytestmark = pytest.mark.libp2p

PORT, RELAY_PORT, PROXY_PORT = 4001, 4002, 3128
PROXY = f"http://{GATE}:{PROXY_PORT}"
MARK = b"a word that everybody on the way may read"
LARGE = ROWS * len(ROW)
NAME, TAG = "heart-failure-cohort", "#cardiology-2026"
SECRETS = (ROW.tobytes() * 2, NAME.encode(), TAG[1:].encode(), b"multiply", b"publish", b"operate")

KNOCK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as it:
    it.sendall(sys.argv[3].encode())
    it.recv(1)
"""


class World:
    """The places, a network node in ``city``, and a proxy at ``gate`` that passes HTTPS only."""

    def __init__(self, places: PrivateNetworks, home: Path, stack: ExitStack) -> None:
        self.places, self.home, self._stack = places, home, stack
        self.network = NodeDirectory(home / "city")
        self.network.create(
            NodeSettings(
                name="city",
                kind="network",
                host=EVERYWHERE,
                port=PORT,
                relay_port=RELAY_PORT,
                websocket_port=443,
                announce=(f"/ip4/{CITY}/tcp/{PORT}",),
            )
        )

    def start(self, place: str, script: str, *arguments: object) -> "subprocess.Popen[str]":
        """Starts a program of the tests, and waits until it says that it is ready."""
        program = subprocess.Popen(
            self._command(place, script, arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._stack.callback(program.communicate)
        self._stack.callback(program.kill)
        assert program.stdout is not None
        assert program.stdout.readline()
        return program

    def run(self, place: str, script: str, *arguments: object) -> str:
        """Runs a program of the tests to its end; what it printed."""
        return subprocess.run(
            self._command(place, script, arguments),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=100,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        ).stdout

    def domain(self, place: str, *, by: str, proxy: str = "") -> Clinic:
        """Starts a domain that takes no connections."""
        clinic = make_clinic(self.home / place, relayed=True, networks=(by,), proxy=proxy)
        self._stack.callback(clinic.close)
        clinic.start(inside=self.places.inside(place))
        return clinic

    def visit(
        self, place: str, domain: Clinic, *, by: str, proxy: str | None = None
    ) -> dict[str, object]:
        """What a program of the owner there gets from a domain."""
        asked = {
            "home": str(domain.home),
            "address": next(address for address in domain.addresses if by in address),
            "name": f"{NAME}-from-{place}",
            "tag": TAG,
            "proxy": proxy,
        }
        told: dict[str, object] = json.loads(
            self.run(place, "visitor_process.py", json.dumps(asked))
        )
        return told

    def knock(self, place: str, host: str, port: int) -> int:
        """Says a word in the clear at a port; 0 when somebody heard it."""
        command = [sys.executable, "-c", KNOCK, host, str(port), MARK.decode()]
        inside = self.places.inside(place)
        done = subprocess.run([*inside, *command], check=False, stderr=subprocess.DEVNULL)
        return done.returncode

    def _command(self, place: str, script: str, arguments: Sequence[object]) -> list[str]:
        path = str(ROOT / "tests" / "libp2p" / script)
        return [*self.places.inside(place), sys.executable, path, *map(str, arguments)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with private_networks() as places, ExitStack() as stack:
        yield World(places, tmp_path, stack)


@contextmanager
def capturing(world: World) -> Iterator[list[bytes]]:
    """All that passes the relay's machine; in the list when the context has ended."""
    file = world.home / "captured"
    program = world.start("city", "capture_process.py", file)
    captured: list[bytes] = []
    yield captured
    program.communicate("")
    captured.append(file.read_bytes())


def test_all_of_a_domain_works_through_a_relay_that_sees_no_plaintext(world: World) -> None:
    world.start("city", "node_process.py", world.network.path)
    relay = world.network.peer_id()
    world.start("gate", "http_proxy.py", GATE, PROXY_PORT, 443)
    with capturing(world) as captured:
        ward = world.domain("ward", by=f"/ip4/{CITY}/tcp/{PORT}/p2p/{relay}")
        clinic = world.domain("clinic", by=f"/ip4/{CITY}/tcp/443/tls/ws/p2p/{relay}", proxy=PROXY)
        # Nobody reaches a domain, and the clinic not even the network.
        assert world.knock("home", WARD, PORT) != 0
        assert world.knock("clinic", CITY, PORT) != 0
        visits = [
            world.visit("home", ward, by=f"/tcp/{RELAY_PORT}/"),
            world.visit("home", clinic, by="/tcp/443/tls/ws/"),
            world.visit("clinic", ward, by="/tcp/443/tls/ws/", proxy=PROXY),
        ]
        assert world.knock("home", CITY, RELAY_PORT) == 0
    for visit, domain in zip(visits, (ward, clinic, ward), strict=True):
        assert visit["domain"] == domain.directory.peer_id()
        assert visit["total"] == 90.0
        assert visit["stream"] == "TlsStream"
        for way in ("bulk_sent", "bulk_received"):
            assert LARGE <= int(str(visit[way])) <= LARGE + 20_000
    (seen,) = captured
    assert MARK in seen  # what is in the clear is seen,
    assert ward.directory.peer_id().encode() in seen  # as is who is dialled at the plain port,
    assert len(seen) > 2 * 2 * 3 * LARGE  # and all of the bytes, in and out,
    assert [secret for secret in SECRETS if secret in seen] == []
