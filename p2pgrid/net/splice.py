"""Joins two streams: what comes in at one goes out at the other, unread."""

import socket

import trio

from p2pgrid.net.counters import Counters

Stream = trio.abc.HalfCloseableStream

PIECE_BYTES = 1 << 16
"""What a direction holds at most, besides the buffers of the system."""
LINGER_S = 10.0
"""How long the second direction may rest when the first has ended."""

BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
"""What a stream raises that is over."""


class _Rest:
    """Ends a splice on which nothing moves."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self.scope = trio.CancelScope()
        self.moved()

    def moved(self) -> None:
        self.scope.deadline = trio.current_time() + self._idle_s

    def half_ended(self) -> None:
        self._idle_s = min(self._idle_s, LINGER_S)
        self.moved()


async def splice(one: Stream, two: Stream, *, idle_s: float, counters: Counters) -> None:
    """Passes bytes on until both directions have ended, then closes both streams.

    Who does not read is not sent more than ``PIECE_BYTES``, and then the other end is not read
    from either. Ends early when a stream breaks, or when nothing moves for ``idle_s``.
    """
    rest = _Rest(idle_s)
    async with one, two:
        with rest.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, one, two, rest, counters)
                nursery.start_soon(_pass_on, two, one, rest, counters)


async def _pass_on(source: Stream, sink: Stream, rest: _Rest, counters: Counters) -> None:
    try:
        while piece := await source.receive_some(PIECE_BYTES):
            rest.moved()
            counters.received += len(piece)
            await sink.send_all(piece)
            counters.sent += len(piece)
            rest.moved()
        rest.half_ended()
        await sink.send_eof()
    except BROKEN:
        rest.scope.cancel()


def without_delay(connection: socket.socket) -> None:
    """Sends small pieces at once; without it each may wait 40 ms for an acknowledgement."""
    if connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def stream_over(plain: socket.socket) -> trio.SocketStream:
    """A connected socket as a stream, which owns it."""
    plain.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(plain))


def socket_of(stream: trio.SocketStream) -> socket.socket:
    """The socket of a stream, which gives it up."""
    return socket.socket(fileno=stream.socket.detach())
