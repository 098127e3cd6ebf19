"""Ports are reserved and free; listeners that others can reach are found."""

import os
import secrets
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from actors import sockets
from actors.sockets import free_ports, outside_listeners, port_is_free
from p2pgrid.errors import NodeError


def listening(host: str, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind((host, 0))
    server.listen()
    return server


@pytest.fixture
def two_ports(monkeypatch: pytest.MonkeyPatch) -> range:
    """Lets ``free_ports`` try two ports only, in order, which are free outside of this test."""
    with free_ports(40) as ports:
        first = next(port for port in sorted(ports) if port_is_free(port + 1))
    monkeypatch.setattr(sockets, "PORTS", range(first, first + 2))
    monkeypatch.setattr(secrets, "randbelow", lambda _: 0)
    return range(first, first + 2)


def test_free_ports_are_distinct_free_and_not_ephemeral() -> None:
    low, high = (int(word) for word in sockets.EPHEMERAL.read_text().split())
    with free_ports(20) as ports:
        assert len(set(ports)) == 20
        assert all(port_is_free(port) for port in ports)
        assert not any(low <= port <= high for port in ports)


def test_where_every_port_is_ephemeral_there_are_ports_still(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "range").write_text("1024\t65535\n")
    monkeypatch.setattr(sockets, "EPHEMERAL", tmp_path / "range")
    with free_ports(3) as ports:
        assert len(ports) == 3


def test_ports_held_by_one_start_are_not_given_to_another(two_ports: range) -> None:
    with free_ports(1) as held, free_ports(1) as other:
        assert held + other == tuple(two_ports)
    with free_ports(2) as again:
        assert again == tuple(two_ports)


def test_a_port_where_somebody_listens_is_not_given(two_ports: range) -> None:
    with socket.create_server(("127.0.0.1", two_ports[0])), free_ports(1) as ports:
        assert ports == (two_ports[1],)


def test_a_port_held_by_another_process_is_not_given(two_ports: range) -> None:
    code = f"""
from actors import sockets
sockets.PORTS = range({two_ports[0]}, {two_ports[0]} + 1)
with sockets.free_ports(1):
    print("held", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with free_ports(1) as ports:
            assert ports == (two_ports[1],)
        other.communicate("\n")


def test_too_few_free_ports_are_an_error_that_says_how_many(two_ports: range) -> None:
    with pytest.raises(NodeError, match=r"3 free ports are needed .* only 2"), free_ports(3):
        pytest.fail("there are two ports only")
    with free_ports(len(two_ports)):
        pass


EVERYWHERE = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", EVERYWHERE, "127.0.0.9"])
def test_a_port_where_somebody_listens_is_not_free(host: str) -> None:
    with closing(listening(host)) as server:
        port = server.getsockname()[1]
        assert not port_is_free(port)
    assert port_is_free(port)


def test_a_listener_on_loopback_is_not_outside() -> None:
    with closing(listening("127.0.0.1")), closing(listening("::1", socket.AF_INET6)):
        mapped = listening("::ffff:127.0.0.1", socket.AF_INET6)
        with closing(mapped):
            assert outside_listeners([os.getpid()]) == ()


@pytest.mark.parametrize(
    ("host", "family", "text"),
    [
        (EVERYWHERE, socket.AF_INET, "0.0.0.0:{}"),
        ("::", socket.AF_INET6, "[::]:{}"),
        ("::ffff:0.0.0.0", socket.AF_INET6, "[::ffff:0.0.0.0]:{}"),
    ],
)
def test_a_listener_on_all_interfaces_is_outside(
    host: str, family: socket.AddressFamily, text: str
) -> None:
    with closing(listening(host, family)) as server:
        expected = text.format(server.getsockname()[1])
        assert outside_listeners([os.getpid()]) == (expected,)


def test_a_listener_of_another_process_is_seen_only_with_its_pid() -> None:
    code = "import socket; s = socket.create_server(('', 0)); print(s.getsockname()[1], flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}; input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert outside_listeners([os.getpid()]) == ()
        assert outside_listeners([os.getpid(), other.pid]) == (f"0.0.0.0:{port}",)
        other.communicate("\n")


def test_a_process_that_ended_has_no_listeners() -> None:
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()
    assert outside_listeners([ended.pid]) == ()
