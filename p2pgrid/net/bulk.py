"""The bulk plane: one array, one way, over one connection; the same code at both ends.

After the hello the sender writes chunks, each behind its header; the receiver writes back how many
bytes are durable, now and then, and last when all are. Both ends run in plain threads, with
blocking calls: no event loop is slowed down by a large array. Memory is bounded by a chunk, and
bytes that wait for the disk by two times ``SYNC_BYTES``: a receiver whose disk is slow reads no
more.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from p2pgrid.net.bulk_ends import Sink, Source
from p2pgrid.net.bulk_pipe import Pipe
from p2pgrid.protocol.bulk import (
    CHUNK_BYTES,
    HEADER_BYTES,
    MARK_BYTES,
    ChunkHeader,
    Progress,
    check_digest,
    digest_of,
    read_header,
    read_mark,
    write_mark,
)

OnDurable = Callable[[int], None]

MARK_EVERY_BYTES = 16 << 20
SYNC_BYTES = 64 << 20


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
        if progress.durable - told >= MARK_EVERY_BYTES or progress.is_whole:
            told = progress.durable
            pipe.write(write_mark(told))
            on_durable(told)
