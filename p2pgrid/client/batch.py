"""What a session sends: names of results, operations that travel together, other requests."""

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future

import numpy as np

from p2pgrid.client.trace import Trace
from p2pgrid.errors import P2PGridError, RemoteProtocolError
from p2pgrid.ids import ObjectId
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import Array, ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.messages import (
    MAX_OPERATIONS,
    TICKS_PER_S,
    Message,
    Op,
    Operate,
    Operated,
    Spent,
)
from p2pgrid.protocol.operations import Params

Input = ObjectId | Array | int | float | bool

MAX_BATCH_OPS = 2048
MAX_BATCH_BYTES = 8 << 20
MAX_NAMES = 1 << 62


class Names:
    """The names of one session's objects at the domain; they go up, over all links of it.

    Raises:
        RemoteProtocolError: ``last``, the last name that was used, leaves no room for others.
    """

    def __init__(self, prefix: bytes, *, last: bytes) -> None:
        used = int.from_bytes(last, "big")
        if used > MAX_NAMES:
            raise RemoteProtocolError("the domain says that the names of a session are used up")
        self.prefix = prefix
        self.freed: deque[ObjectId] = deque()
        """Objects that nobody needs any more and that the domain was not told about."""
        self._numbers = itertools.count(used + 1)

    def next(self) -> ObjectId:
        """A name that was never used."""
        return ObjectId(self.prefix + next(self._numbers).to_bytes(8, "big"))


class Batch:
    """Operations that travel together, and what became of them."""

    __slots__ = (
        "_answered_at",
        "_freed",
        "_made_at",
        "_sent_at",
        "buffers",
        "error",
        "failures",
        "free",
        "ops",
        "request",
        "sent",
        "settled",
        "size",
        "spent",
    )

    def __init__(self, freed: deque[ObjectId]) -> None:
        self._freed = freed
        self.ops: list[Op] = []
        self.buffers: list[bytes] = []
        self.size = 0
        self.free: list[ObjectId] = []
        """Objects needed by nothing after these operations."""
        self.sent = 0
        """How many operations were sent."""
        self.request = ""
        """The id of the request that carried them."""
        self.spent = Spent()
        self._made_at = self._sent_at = self._answered_at = 0.0
        self.settled = threading.Event()
        self.failures: dict[bytes, P2PGridError] = {}
        self.error: P2PGridError | None = None

    @property
    def is_full(self) -> bool:
        """True when the next operation has to go into another batch."""
        return len(self.ops) >= MAX_BATCH_OPS or self.size >= MAX_BATCH_BYTES

    def take_freed(self) -> None:
        """What was freed by now was used, if at all, by operations of this batch or before it."""
        while self._freed and len(self.free) < MAX_OPERATIONS:
            self.free.append(self._freed.popleft())

    def add(self, name: str, out: ObjectId, inputs: Iterable[Input], params: Params) -> None:
        """Appends an operation; arrays among its inputs are copied as they are at this moment."""
        if not self.ops:
            self._made_at = time.perf_counter()
        operands = tuple(
            self._literal(value) if isinstance(value, np.ndarray) else value for value in inputs
        )
        self.ops.append(Op(name, out, operands, params))

    def _literal(self, array: Array) -> ArrayHeader:
        self.buffers.append(bytes(raw_bytes(array)))
        self.size += array.nbytes
        return header_of(array, buffer=len(self.buffers) - 1)

    def send(self, link: Link) -> "Future[Reply]":
        """Sends the operations; in the network thread."""
        self._sent_at = time.perf_counter()
        self.sent, self.request = len(self.ops), link.label
        return link.request(Operate(ops=tuple(self.ops), free=tuple(self.free)), self.buffers)

    def settle(self, answered: "Future[Reply]") -> None:
        """Notes the answer; called in the network thread."""
        try:
            message, _, number = answered.result()
        except P2PGridError as error:
            self.fail(error)
            return
        if isinstance(message, Operated):
            self._answered_at = time.perf_counter()
            self.request, self.spent = f"{self.request}-{number}", message.spent
            self.failures = {f.out: faults.error_of(f.failure) for f in message.failed}
            self._end()
        else:
            self.fail(RemoteProtocolError("the domain answered operations with another message"))

    def fail(self, error: P2PGridError) -> None:
        """Notes that none of the operations is known to have been done."""
        self.error = error
        self._freed.extend(self.free)  # to be told again: that does no harm
        self._end()

    def _end(self) -> None:
        self.ops, self.buffers, self.free = [], [], []
        self.settled.set()

    def trace(self) -> Trace:
        """Where the time went, once the batch is answered."""
        spent = self.spent
        there = [ticks / TICKS_PER_S for ticks in (spent.gateway, spent.store_queue, spent.store)]
        away_s = self._answered_at - self._sent_at
        return Trace(
            self.request,
            self.sent,
            self._sent_at - self._made_at,
            max(0.0, away_s - sum(there)),
            *there,
        )

    def error_of(self, object_id: ObjectId) -> P2PGridError | None:
        """Why this object was not made; None when it was."""
        return self.error or self.failures.get(object_id)


class Ask:
    """A request that must not overtake the operations made before it."""

    __slots__ = ("answer", "message", "timeout_s")

    def __init__(self, message: Message, timeout_s: float | None) -> None:
        self.message, self.timeout_s = message, timeout_s
        self.answer: Future[Reply] = Future()

    def send(self, link: Link) -> "Future[Reply]":
        """Sends the request; in the network thread."""
        return link.request(self.message, timeout_s=self.timeout_s)

    def settle(self, answered: "Future[Reply]") -> None:
        """Passes the answer on; called in the network thread."""
        error = answered.exception()
        if error is None:
            self.answer.set_result(answered.result())
        else:
            self.answer.set_exception(error)

    def fail(self, error: P2PGridError) -> None:
        """Passes an error on."""
        self.answer.set_exception(error)
