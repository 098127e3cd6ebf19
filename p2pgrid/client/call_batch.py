"""Calls of actors that travel together, and what became of them."""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

from typing_extensions import override

from p2pgrid.client.batch import MAX_BATCH_BYTES, Bundle
from p2pgrid.client.calls import checked
from p2pgrid.ids import ObjectId
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol.codec import MAX_BUFFERS, MAX_HEADER
from p2pgrid.protocol.messages import MAX_OPERATIONS, Call, Invoke, Invoked, Make
from p2pgrid.protocol.values import Value, kept, transfer

MAX_BATCH_CALLS = 2048
MAX_HEADER_BYTES = MAX_HEADER - (MAX_OPERATIONS + 4096) * 18
"""Of all calls together: the header also has the names of freed objects, and sizes of buffers."""
CALL_BYTES = 200
"""Of a header, at most, for what a call is without its arguments."""

Positional = tuple[Value, ...]
Named = Mapping[str, Value]


class PackedCall(NamedTuple):
    """A call without a name for its result; its arrays are numbered from 0."""

    make: Callable[[ObjectId, Positional, Named], Make | Call]
    args: Positional
    kwargs: Named
    buffers: list[bytes]
    header_size: int
    """Bytes that it takes of the header."""


class CallBatch(Bundle):
    """Calls in the order in which they were made."""

    __slots__ = ("_header_size", "calls", "size")

    def __init__(self, freed: deque[ObjectId]) -> None:
        super().__init__(freed)
        self.calls: list[Make | Call] = []
        self.size = self._header_size = 0

    @property
    @override
    def is_empty(self) -> bool:
        return not self.calls

    @property
    @override
    def is_full(self) -> bool:
        return len(self.calls) >= MAX_BATCH_CALLS or self.size >= MAX_BATCH_BYTES

    def has_room_for(self, packed: PackedCall) -> bool:
        """False when the call has to go into another batch."""
        return (
            self._header_size + packed.header_size <= MAX_HEADER_BYTES
            and len(self.buffers) + len(packed.buffers) <= MAX_BUFFERS
        )

    def add(self, out: ObjectId, packed: PackedCall) -> None:
        """Appends a call."""
        args, kwargs = packed.args, packed.kwargs
        if packed.buffers:
            args = tuple(self._renumbered(it, packed.buffers) for it in args)
            kwargs = {name: self._renumbered(it, packed.buffers) for name, it in kwargs.items()}
        self.calls.append(packed.make(out, args, kwargs))
        self.size += sum(map(len, packed.buffers))
        self._header_size += packed.header_size

    def _renumbered(self, value: Value, buffers: list[bytes]) -> Value:
        return transfer(value, buffers, self.buffers, resolve=kept)

    @override
    def send(self, link: Link) -> "Future[Reply]":
        return link.request(Invoke(calls=tuple(self.calls), free=tuple(self.free)), self.buffers)

    @override
    def _note(self, reply: Reply) -> None:
        self._note_failed(checked(reply.message, Invoked).failed)

    @override
    def _end(self) -> None:
        self.calls = []
        super()._end()
