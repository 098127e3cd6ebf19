"""A port for a new node."""

import random
import socket

RANGE = range(12_000, 20_000)
"""Below what Ray clusters of nodes take and what the kernel takes for outgoing connections, so
that a stopped node finds its port free again."""


def free_port() -> int:
    """A TCP port on which nobody listens now."""
    for port in random.SystemRandom().sample(RANGE, len(RANGE)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free TCP port")
