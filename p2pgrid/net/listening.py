"""What ports for strangers share: how they are taken, and how few strangers wait there."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from p2pgrid.errors import NodeError, PortInUseError

BACKLOG = 128
"""As many as may wait for ``accept``."""


class Strangers:
    """Connections that have not shown what they are for: few, and brief.

    Of more than ``limit`` the oldest is cut off, and each of them after ``wait_s``.
    """

    def __init__(self, *, limit: int, wait_s: float) -> None:
        self._limit, self._wait_s = limit, wait_s
        self._scopes: dict[trio.CancelScope, None] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """One of them, while the context is open; it may be cancelled there."""
        if len(self._scopes) >= self._limit:
            oldest = next(iter(self._scopes))
            del self._scopes[oldest]
            oldest.cancel()
        scope = trio.CancelScope(deadline=trio.current_time() + self._wait_s)
        self._scopes[scope] = None
        try:
            with scope:
                yield
        finally:
            self._scopes.pop(scope, None)


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        PortInUseError: another process listens there.
        NodeError: this machine does not let us listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUseError(port=port) from error
        raise NodeError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
    listening.setblocking(False)
    return listening
