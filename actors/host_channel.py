"""The channel between the gateway and the process of one actor: one socket, calls in, results out.

A Ray call per method call would take most of the time of a small one. Calls go in batches, each
with a number; answers come in the order of the calls, as soon as each is there. The bytes are
typed as on the network, and nothing is pickled.
"""

import asyncio
import logging
import mmap
import select
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import msgspec
from msgspec import Struct
from typing_extensions import override

from actors.frames import SIZES, chunks_of, read_exactly, split
from p2pgrid.errors import DtypeError, RemoteProtocolError
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.messages import Failure
from p2pgrid.protocol.values import Value, is_plain, kept, transfer

log = logging.getLogger(__name__)

CONSTRUCT = ""
"""In the place of a method: make the object."""


class FileArray(Struct, frozen=True, array_like=True):
    """The bytes of an array in a file, from ``start`` on; it is as long as the array."""

    path: str
    start: int
    size: int

    def __len__(self) -> int:
        return self.size


class HostCall(Struct, frozen=True, array_like=True):
    """A method and its arguments; each of its arrays is a file, or the next buffer of the frame."""

    number: int
    method: str
    args: tuple[Value, ...]
    kwargs: dict[str, Value]
    arrays: tuple[FileArray | None, ...] = ()


class Batch(Struct, tag="batch", array_like=True):
    """Calls to carry out in this order."""

    calls: list[HostCall]


class Cancel(Struct, tag="cancel", array_like=True):
    """Do not begin this call; one that has begun goes on."""

    number: int


class HostAnswer(Struct, frozen=True, array_like=True):
    """How a call ended; the arrays of its value are the next ``buffers`` of the frame."""

    number: int
    value: Value = None
    failure: Failure | None = None
    buffers: int = 0


Request = Batch | Cancel
Array = memoryview | FileArray
NO_BYTES = memoryview(b"")
Answered = Callable[[HostAnswer, int, list[memoryview]], None]
"""Takes an answer, the size of its header in bytes, and its arrays."""

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(tuple[Request, list[int]])
_answers = msgspec.msgpack.Decoder(tuple[HostAnswer, list[int]])


class Inbox:
    """The calls that have come and are not begun, at the host's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._incoming = connection.makefile("rb", buffering=0)
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._waiting: deque[tuple[HostCall, list[Array]]] = deque()

    def next(self) -> tuple[HostCall, list[Array]]:
        """The next call, when it comes.

        Raises:
            EOFError, ConnectionError: the gateway hung up.
        """
        while not self._waiting or self._poll.poll(0):  # what was sent meanwhile may cancel some
            self._read()
        return self._waiting.popleft()

    def answer(self, answer: HostAnswer, buffers: Sequence[Buffer] = ()) -> None:
        """Tells the gateway how a call ended."""
        header = _encoder.encode((answer, [len(buffer) for buffer in buffers]))
        for chunk in chunks_of(header, buffers):
            self._connection.sendall(chunk)

    def shut(self) -> None:
        """Ends the connection for both sides, from any thread."""
        with suppress(OSError):  # it is over already
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Hangs up."""
        self._incoming.close()
        self._connection.close()

    def _read(self) -> None:
        header_size, body_size = SIZES.unpack(read_exactly(self._incoming, SIZES.size))
        request, sizes = _requests.decode(read_exactly(self._incoming, header_size))
        buffers = iter(split(memoryview(read_exactly(self._incoming, body_size)), sizes))
        if isinstance(request, Cancel):
            self._cancel(request.number)
        else:
            self._waiting.extend((call, _arrays(call, buffers)) for call in request.calls)

    def _cancel(self, number: int) -> None:
        self._waiting = deque(it for it in self._waiting if it[0].number != number)


def _arrays(call: HostCall, buffers: Iterator[memoryview]) -> list[Array]:
    return [next(buffers, NO_BYTES) if file is None else file for file in call.arrays]


class HostChannel(asyncio.Protocol):
    """The gateway's end, on its event loop."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered
        self._incoming = bytearray()
        self._transport: asyncio.Transport | None = None
        self.lost = asyncio.get_running_loop().create_future()
        """Done when the host has hung up."""

    def send(self, calls: Sequence[HostCall], buffers: Sequence[Buffer]) -> None:
        """Sends calls, with all their buffers."""
        self._write(Batch(list(calls)), buffers)

    def cancel(self, number: int) -> None:
        """Asks not to begin a call, which then is not answered; it may have begun."""
        self._write(Cancel(number), ())

    def close(self) -> None:
        """Hangs up at once."""
        if self._transport is not None:
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    @override
    def data_received(self, data: bytes) -> None:
        self._incoming += data
        try:
            del self._incoming[: self._take_all()]
        except (DtypeError, RemoteProtocolError, *MALFORMED):
            log.exception("the process of an actor sent no answer")
            self.close()

    def _take_all(self) -> int:
        """Takes the answers that are whole; how many bytes they were."""
        start, end = 0, len(self._incoming)
        while end - start >= SIZES.size:
            header_size, body_size = SIZES.unpack_from(self._incoming, start)
            body = start + SIZES.size + header_size
            if end < body + body_size:
                break
            header = bytes(self._incoming[start + SIZES.size : body])
            start = body + body_size
            answer, sizes = _answers.decode(header)
            arrays = split(memoryview(bytes(self._incoming[body:start])), sizes)
            if not is_plain(answer.value):
                transfer(answer.value, arrays, [], resolve=kept)  # raises when they do not fit
            self._answered(answer, header_size, arrays)
        return start

    def _write(self, request: Request, buffers: Sequence[Buffer]) -> None:
        if self._transport is not None:
            header = _encoder.encode((request, [len(buffer) for buffer in buffers]))
            self._transport.writelines(chunks_of(header, buffers))


def bytes_of(array: Buffer | FileArray) -> Buffer:
    """The bytes of an array; those of a file are mapped and not copied."""
    if not isinstance(array, FileArray):
        return array
    if array.size == 0:  # which cannot be mapped
        return b""
    with Path(array.path).open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    return memoryview(mapped)[array.start : array.start + array.size]
