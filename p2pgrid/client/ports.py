"""Ports for new nodes."""

import random
import socket

RANGE = range(12_000, 20_000)
"""Below what Ray clusters of nodes take and what the kernel takes for outgoing connections, so
that a stopped node finds its port free again."""


def free_ports(count: int) -> tuple[int, ...]:
    """Distinct TCP ports on which nobody listens now."""
    candidates = random.SystemRandom().sample(RANGE, len(RANGE))
    found: list[int] = []
    while candidates and len(found) < count:
        port = candidates.pop()
        if _is_free(port):
            found.append(port)
    if len(found) < count:
        raise OSError(f"{count} free TCP ports are needed, {len(found)} are there")
    return tuple(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
