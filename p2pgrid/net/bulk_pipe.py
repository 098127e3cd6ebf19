"""One TLS 1.3 connection of the bulk plane, on which nothing waits for ever.

A peer that moves less than ``STALL_BYTES`` in ``stall_s`` is hung up on, be it frozen, slow, or a
stranger that says nothing.
"""

import select
import socket
import ssl
import threading
import time

from p2pgrid.config import Timing
from p2pgrid.errors import IdentityMismatchError, TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net.certificate import check_fingerprint, client_context
from p2pgrid.net.counters import Counters
from p2pgrid.net.splice import without_delay
from p2pgrid.protocol.bulk import Binding
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Ticket

PIECE_BYTES = 128 << 10
READS = 4
"""TLS records, of 16 KiB at most, between two looks at the clock."""
STALL_BYTES = 64 << 10
TICK_S = 0.5
"""How soon a blocked call notices that it is to stop."""


class Pipe:
    """A connection whose calls end, at the latest ``stall_s`` after the last progress."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        stall_s: float,
        stop: threading.Event,
        counters: Counters,
    ) -> None:
        connection.settimeout(TICK_S)
        without_delay(connection)  # headers and marks are small
        self._socket = connection
        self._input = select.poll()
        self._input.register(connection, select.POLLIN)
        self._stall_s, self._stop, self._counters = stall_s, stop, counters

    def read_into(self, view: memoryview) -> None:
        """Fills the view.

        Raises:
            TransportError: the connection broke, stalled, or is to stop.
        """
        done = mark = 0
        deadline = time.monotonic() + self._stall_s
        while done < len(view):
            done += self._read_some(view[done:])
            if done - mark >= STALL_BYTES:
                mark, deadline = done, time.monotonic() + self._stall_s
            self._check(deadline)
        self._counters.received += done

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes; see ``read_into``."""
        data = bytearray(size)
        self.read_into(memoryview(data))
        return bytes(data)

    def write(self, data: Buffer) -> None:
        """Writes all of the data.

        Raises:
            TransportError: the connection broke, stalled, or is to stop.
        """
        view = memoryview(data)
        done = 0
        deadline = time.monotonic() + self._stall_s
        while done < len(view):
            sent = self._write_some(view[done : done + PIECE_BYTES])
            if sent:
                done, deadline = done + sent, time.monotonic() + self._stall_s
            self._check(deadline)
        self._counters.sent += done

    def has_input(self) -> bool:
        """Whether the other end has written something."""
        return bool(self._input.poll(0))

    def _read_some(self, view: memoryview) -> int:
        """Reads a few TLS records: one at a time would spend much on looking at the clock."""
        done = 0
        try:
            for _ in range(READS):
                count = self._socket.recv_into(view[done:])
                if count == 0:
                    raise TransportError("the other end closed the bulk connection")
                done += count
                if done == len(view):
                    break
        except TimeoutError:
            pass
        except OSError as error:
            raise TransportError("the bulk connection broke while reading") from error
        return done

    def _write_some(self, view: memoryview) -> int:
        try:
            return self._socket.send(view)
        except TimeoutError:
            return 0
        except OSError as error:
            raise TransportError("the bulk connection broke while writing") from error

    def _check(self, deadline: float) -> None:
        if self._stop.is_set():
            raise TransportError("the transfer was stopped", retryable=False)
        if time.monotonic() > deadline:
            raise TransportError(f"the bulk connection moved nothing for {self._stall_s:g} s")


def dial(
    plain: socket.socket,
    ticket: Ticket,
    *,
    client: PeerId,
    server: PeerId,
    transfer_id: bytes,
    timing: Timing,
    stop: threading.Event,
    counters: Counters,
) -> tuple[ssl.SSLSocket, Pipe]:
    """Checks the certificate of a peer's bulk port, and shows the ticket's token there.

    Args:
        plain: connected to the port; it belongs to the pipe from here on.
        ticket: what the peer sent.
        client: who we are.
        server: who the peer is.
        transfer_id: what the ticket is for.
        timing: how long anything may take.
        stop: set it to end all that waits here.
        counters: of the bytes.

    Raises:
        TransportError: the connection broke.
        IdentityMismatchError: somebody else answered; the token was not shown.
    """
    plain.settimeout(timing.connect_s)
    try:
        connection = client_context().wrap_socket(plain)
    except OSError as error:
        plain.close()
        raise TransportError(f"the bulk port of {server} does not speak TLS 1.3") from error
    try:
        check_fingerprint(connection, ticket.fingerprint)
        pipe = Pipe(connection, stall_s=timing.stall_s, stop=stop, counters=counters)
        binding = Binding(client, server, ticket.fingerprint, transfer_id)
        pipe.write(binding.hello(ticket.token))
    except (IdentityMismatchError, TransportError):
        connection.close()
        raise
    return connection, pipe
