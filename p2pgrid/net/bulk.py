"""The bulk plane on a socket: one TLS 1.3 connection carries one array one way.

After the hello the sender writes chunks, each behind its header; the receiver writes back how many
bytes are durable, whenever that changes, and last when all are. Both ends run in plain threads,
with blocking calls: no event loop is slowed down by a large array.

Rule 1: nothing waits for ever. A peer that moves less than ``STALL_BYTES`` in ``stall_s``
is hung up on, be it frozen, slow, or a stranger that says nothing.
Rule 2: memory is bounded by a chunk, and bytes that wait for the disk by two times ``SYNC_BYTES``:
a receiver whose disk is slow reads no more.
"""

import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from p2pgrid.config import Timing
from p2pgrid.errors import IdentityMismatchError, TransportError
from p2pgrid.ids import PeerId
from p2pgrid.net.bulk_ends import Sink, Source
from p2pgrid.net.certificate import check_fingerprint, client_context
from p2pgrid.net.counters import Counters
from p2pgrid.protocol.bulk import (
    CHUNK_BYTES,
    HEADER_BYTES,
    MARK_BYTES,
    Binding,
    ChunkHeader,
    Progress,
    check_digest,
    digest_of,
    read_header,
    read_mark,
    write_mark,
)
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import Ticket

OnDurable = Callable[[int], None]

PIECE_BYTES = 128 << 10
READS = 4
STALL_BYTES = 64 << 10
MARK_BYTES_APART = 16 << 20
SYNC_BYTES = 64 << 20
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
        # Headers and marks are small: without this each may wait 40 ms for an acknowledgement.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


class Receiver:
    """Takes chunks into a sink, and makes them durable while the next ones come in."""

    def __init__(self, sink: Sink, progress: Progress) -> None:
        self.sink, self.progress = sink, progress
        self._syncing: Future[int] | None = None
        self._sync_from = progress.durable
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="p2pgrid-sync")

    def place(self, offset: int, size: int, most: int = CHUNK_BYTES) -> memoryview:
        """Memory for the next chunk, of at most ``most`` bytes.

        Raises:
            RemoteProtocolError: this is not the next chunk.
        """
        self.progress.check(offset, size, most)
        return self.sink.place(offset, size)

    def keep(self, offset: int, chunk: memoryview, digest: bytes) -> None:
        """Checks and keeps the chunk that was written into ``place``.

        Raises:
            RemoteProtocolError: the chunk is damaged.
        """
        check_digest(chunk, digest)
        self.sink.keep(offset, chunk)
        self.progress.move(len(chunk))
        if self.sink.is_durable or self.progress.moved == self.progress.size:
            self.settle()
        else:
            self._sync_behind()

    def settle(self) -> None:
        """Makes durable what was kept; also to be called after a break."""
        self._end_sync()
        if not self.sink.is_durable and self.progress.durable < self.progress.moved:
            self.sink.sync()
        self.progress.confirm(self.progress.moved)
        self._sync_from = self.progress.durable

    def close(self) -> None:
        """Waits for what runs in the background."""
        self._thread.shutdown()

    def _sync_behind(self) -> None:
        if self._syncing is not None and self._syncing.done():
            self._end_sync()
        if self.progress.moved - self._sync_from >= SYNC_BYTES:
            self._end_sync()
            self._sync_from = self.progress.moved
            self._syncing = self._thread.submit(self._sync, self.progress.moved)

    def _sync(self, moved: int) -> int:
        self.sink.sync()
        return moved

    def _end_sync(self) -> None:
        if self._syncing is not None:
            self.progress.confirm(self._syncing.result())
            self._syncing = None


def send(
    pipe: Pipe, source: Source, progress: Progress, *, on_durable: OnDurable = lambda _: None
) -> None:
    """Sends what is not durable yet; returns when the receiver said that all of it is.

    Raises:
        TransportError: the connection broke; ``progress`` says where to go on.
        RemoteProtocolError: the receiver claims what cannot be.
    """
    progress.resume()
    while size := progress.next_chunk():
        offset = progress.moved
        chunk = source.chunk(offset, size)
        pipe.write(ChunkHeader(offset, size, digest_of(chunk)).encode())
        pipe.write(chunk)
        progress.move(size)
        while pipe.has_input():
            _confirm(pipe, progress, on_durable)
    while not progress.is_whole:
        _confirm(pipe, progress, on_durable)


def _confirm(pipe: Pipe, progress: Progress, on_durable: OnDurable) -> None:
    progress.confirm(read_mark(pipe.read(MARK_BYTES)))
    on_durable(progress.durable)


def receive(pipe: Pipe, receiver: Receiver, *, on_durable: OnDurable = lambda _: None) -> None:
    """Receives what is missing; returns when all of it is durable and the sender was told.

    Raises:
        TransportError: the connection broke; ``Receiver.settle`` keeps what came.
        RemoteProtocolError: a chunk is out of place or damaged.
    """
    progress = receiver.progress
    told = progress.durable
    while not progress.is_whole:
        header = read_header(pipe.read(HEADER_BYTES))
        place = receiver.place(header.offset, header.size)
        pipe.read_into(place)
        receiver.keep(header.offset, place, header.digest)
        if progress.durable - told >= MARK_BYTES_APART or progress.is_whole:
            told = progress.durable
            pipe.write(write_mark(told))
            on_durable(told)


def dial(
    host: str,
    ticket: Ticket,
    *,
    client: PeerId,
    server: PeerId,
    transfer_id: bytes,
    timing: Timing,
    stop: threading.Event,
    counters: Counters,
) -> tuple[ssl.SSLSocket, Pipe]:
    """Connects to a peer's bulk port, checks its certificate, and shows the ticket's token.

    Raises:
        TransportError: nobody answered, or the connection broke.
        IdentityMismatchError: somebody else answered; the token was not shown.
    """
    try:
        plain = socket.create_connection((host, ticket.port), timeout=timing.connect_s)
    except OSError as error:
        raise TransportError(f"the bulk port of {server} cannot be reached") from error
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
