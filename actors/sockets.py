"""TCP ports for the Ray processes of a node, and the check that nobody outside reaches them."""

import ipaddress
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from p2pgrid.errors import NodeError

PORTS = range(20_000, 32_000)
"""Below where Linux picks its ephemeral ports, above the services that people know by number."""
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


@contextmanager
def free_ports(count: int) -> Iterator[tuple[int, ...]]:
    """Distinct free TCP ports, not given to another ``free_ports`` on this machine meanwhile.

    Ray binds its ports seconds after we chose them. Two nodes that start at once must not choose
    the same ones: Ray would join the wrong cluster, or crash. A port is therefore reserved, while
    the context is held, by a name in Linux' abstract Unix socket space, which vanishes with its
    process. Ephemeral ports are left out, as any outgoing connection could take one.

    Raises:
        NodeError: there are not so many free ports.
    """
    with ExitStack() as reserved:
        ports: list[int] = []
        for port in _candidates():
            if len(ports) == count:
                break
            if _reserve(port, reserved) and port_is_free(port):
                ports.append(port)
        if len(ports) < count:
            raise NodeError(
                f"{count} free ports are needed between {PORTS[0]} and {PORTS[-1]}, "
                f"but only {len(ports)} are there; stop a node, or what else listens there"
            )
        yield tuple(ports)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the TCP port, on loopback and on all interfaces."""
    return all(_can_bind(host, port) for host in ("127.0.0.1", ""))


def outside_listeners(pids: Iterable[int]) -> tuple[str, ...]:
    """Listening TCP sockets of the processes that are not bound to loopback, as ``host:port``.

    Processes that ended are left out. One whose sockets cannot be read counts as reachable.
    """
    return tuple(sorted({text for pid in pids for text in _outside(pid)}))


def _candidates() -> Iterator[int]:
    """All usable ports once, from a random one on: a port that was just given up rests a while."""
    low, high = (int(word) for word in EPHEMERAL.read_text().split())
    # Where everything is ephemeral, the check of each port has to do.
    ports = [port for port in PORTS if not low <= port <= high] or list(PORTS)
    first = secrets.randbelow(len(ports))
    yield from ports[first:] + ports[:first]


def _reserve(port: int, reserved: ExitStack) -> bool:
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(f"\0p2pgrid-port-{port}")
    except OSError:
        name.close()
        return False
    reserved.enter_context(name)
    return True


def _can_bind(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections that were just closed do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _outside(pid: int) -> list[str]:
    try:
        sockets = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return []
    except psutil.AccessDenied:
        return [f"unreadable sockets of process {pid}"]
    listening = [it.laddr for it in sockets if it.status == psutil.CONN_LISTEN]
    return [_text(host, port) for host, port in listening if not _is_loopback(host)]


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback  # how gRPC listens on 127.0.0.1
    return address.is_loopback


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
