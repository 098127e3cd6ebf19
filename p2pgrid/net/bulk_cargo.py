"""One array of this program on its way to or from a domain: by socket, or by chunks on the link."""

import threading
from collections import deque
from concurrent.futures import Future

from p2pgrid.errors import RemoteProtocolError, TransportError
from p2pgrid.net.bulk import OnDurable, Receiver, receive, send
from p2pgrid.net.bulk_ends import Sink, Source
from p2pgrid.net.bulk_pipe import TICK_S, Pipe
from p2pgrid.net.calls import checked
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol.bulk import LINK_CHUNK_BYTES, Progress, digest_of
from p2pgrid.protocol.messages import Chunk, Durable, FetchChunk, Opened, SendChunk

WINDOW = 4
"""Chunks on the link at once: operations wait behind 1 MiB at most."""


class _Cargo:
    """What both directions have in common."""

    def __init__(self, transfer_id: bytes, size: int, stop: threading.Event) -> None:
        self.transfer_id = transfer_id
        self.progress = Progress(size)
        self.stop = stop
        self.link: Link | None = None

    def check_stop(self) -> None:
        """Raises ``TransportError`` when the caller wants no more."""
        if self.stop.is_set():
            raise TransportError("the transfer was stopped", retryable=False)

    def _result(self, future: "Future[Reply]") -> Reply:
        while True:
            self.check_stop()
            try:
                return future.result(TICK_S)
            except TimeoutError:
                continue


class Outgoing(_Cargo):
    """An array that is sent."""

    def __init__(self, transfer_id: bytes, source: Source, stop: threading.Event) -> None:
        super().__init__(transfer_id, source.size, stop)
        self._source = source

    def begin(self, link: Link, opened: Opened) -> None:
        """Goes on where the domain says: it may have less than it said before it died."""
        self.link = link
        _check_size(opened, self.progress)
        self.progress = Progress(opened.size, durable=opened.offset)

    def by_socket(self, pipe: Pipe, on_durable: OnDurable) -> None:
        """Sends the rest over a connection to the bulk port."""
        send(pipe, self._source, self.progress, on_durable=on_durable)

    def by_link(self, link: Link, on_durable: OnDurable) -> None:
        """Sends the rest over the control stream."""
        progress = self.progress
        sent: deque[Future[Reply]] = deque()
        while not progress.is_whole:
            while len(sent) < WINDOW and (size := progress.next_chunk(LINK_CHUNK_BYTES)):
                sent.append(self._send_chunk(link, progress.moved, size))
                progress.move(size)
            if not sent:
                raise RemoteProtocolError("the domain has every chunk, but not the whole")
            answer = checked(self._result(sent.popleft()).message, Durable)
            progress.confirm(answer.offset)
            on_durable(progress.durable)

    def _send_chunk(self, link: Link, offset: int, size: int) -> "Future[Reply]":
        chunk = bytes(self._source.chunk(offset, size))  # a source may use its memory again
        return link.request(SendChunk(self.transfer_id, offset, digest_of(chunk)), (chunk,))


class Incoming(_Cargo):
    """An array that is received."""

    def __init__(self, transfer_id: bytes, sink: Sink, size: int, stop: threading.Event) -> None:
        super().__init__(transfer_id, size, stop)
        self.receiver = Receiver(sink, self.progress)

    def begin(self, link: Link, opened: Opened) -> None:
        """Goes on behind what is durable here."""
        self.link = link
        _check_size(opened, self.progress)
        if opened.offset != self.progress.resume():
            raise RemoteProtocolError(f"the domain goes on at {opened.offset:,}")

    def by_socket(self, pipe: Pipe, on_durable: OnDurable) -> None:
        """Receives the rest over a connection to the bulk port."""
        try:
            receive(pipe, self.receiver, on_durable=on_durable)
        finally:
            self.receiver.settle()

    def by_link(self, link: Link, on_durable: OnDurable) -> None:
        """Receives the rest over the control stream."""
        progress = self.progress
        asked: deque[Future[Reply]] = deque()
        ahead = progress.moved
        try:
            while not progress.is_whole:
                while len(asked) < WINDOW and ahead < progress.size:
                    asked.append(link.request(FetchChunk(self.transfer_id, ahead)))
                    ahead += min(LINK_CHUNK_BYTES, progress.size - ahead)
                self._take(self._result(asked.popleft()))
                on_durable(progress.durable)
        finally:
            self.receiver.settle()

    def _take(self, reply: Reply) -> None:
        message = checked(reply.message, Chunk)
        if len(reply.buffers) != 1:
            raise RemoteProtocolError("a chunk came without its bytes")
        (chunk,) = reply.buffers
        place = self.receiver.place(message.offset, len(chunk), LINK_CHUNK_BYTES)
        place[:] = chunk
        self.receiver.keep(message.offset, place, message.digest)


def _check_size(opened: Opened, progress: Progress) -> None:
    if opened.size != progress.size:
        raise RemoteProtocolError(
            f"the domain speaks of {opened.size:,} bytes, the array has {progress.size:,}"
        )
