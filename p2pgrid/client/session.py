"""One logged-in link to a domain: names results and sends operations without waiting.

When the link breaks, the next one goes on with the same names, as long as the domain keeps them.
What was under way then fails, because nobody here knows whether it was done; it is never sent
again.

Operations gather in a batch while the network thread is busy, so a chain of thousands costs a few
messages. The domain carries them out in the order in which they were made here; what failed is
known when the batch is answered, and surfaces at ``block`` and ``get``.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress

import numpy as np

from p2pgrid.client.trace import Trace
from p2pgrid.config import Timing
from p2pgrid.errors import (
    LocalProtocolError,
    P2PGridError,
    RemoteProtocolError,
    RemoteTimeoutError,
)
from p2pgrid.ids import ObjectId
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import Array, ArrayHeader, header_of, raw_bytes, read_array
from p2pgrid.protocol.messages import (
    MAX_OPERATIONS,
    TICKS_PER_S,
    Get,
    Message,
    Op,
    Operate,
    Operated,
    Spent,
    Value,
)
from p2pgrid.protocol.operations import Params

Input = ObjectId | Array | int | float | bool
Soon = Callable[[Callable[[], object]], None]
Later = Callable[[float, Callable[[], object]], object]

MAX_BATCH_OPS = 2048
MAX_BATCH_BYTES = 8 << 20
MAX_QUEUED = 16
MAX_NAMES = 1 << 62
WINDOW = 4
"""Batches on the way at once: enough to keep both ends busy, few enough to grow when busy."""


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


class Session:
    """Batches and answers of one link; may be used from several threads."""

    def __init__(
        self, link: Link, names: Names, *, soon: Soon, later: Later, timing: Timing
    ) -> None:
        self.link = link
        self.names = names
        self._soon, self._later, self._timing = soon, later, timing
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._open = Batch(names.freed)
        self._queue: deque[Batch | Ask] = deque()
        self._in_flight = 0
        self._scheduled = False
        self._sweeping = False

    def apply(self, name: str, inputs: Iterable[Input], params: Params) -> tuple[ObjectId, Batch]:
        """Sends an operation; the name of its result, and the batch that carries it.

        Raises:
            RemoteTimeoutError: the queue stayed full for as long as a request may take.
        """
        with self._lock:
            self._wait_for_room()
            batch = self._open
            out = self.names.next()
            batch.add(name, out, inputs, params)
            batch.take_freed()
            if batch.is_full:
                self._close_batch()
            self._schedule()
        return out, batch

    def free(self, object_id: ObjectId) -> None:
        """Tells the domain, with the next operations or soon, that an object is needed no more.

        Takes no lock, because the garbage collector may call it at any point of this class.
        """
        self.names.freed.append(object_id)
        if not self._sweeping:
            self._sweeping = True
            with suppress(LocalProtocolError):  # the program ends
                self._later(self._timing.sweep_s, self._sweep)

    def free_now(self, object_ids: Iterable[ObjectId]) -> Batch:
        """Tells the domain at once; ``wait`` for the batch ends when it has let go."""
        with self._lock:  # no wait for room: nobody frees more often than he gets an answer
            self.names.freed.extend(object_ids)
            return self._send_freed()

    def get(self, object_id: ObjectId, *, account: str) -> Array:
        """The values of an object, by the right of an account that logged in on this link.

        Raises:
            GetNotPermittedError, ObjectGoneError, TransportError: see the classes.
        """
        reply = self.ask(Get(object_id=object_id, account=account))
        if not isinstance(reply.message, Value) or len(reply.buffers) != 1:
            raise RemoteProtocolError("the domain answered a get with another message")
        return read_array(reply.message.header, reply.buffers[0])

    def ask(self, message: Message, *, timeout_s: float | None = None) -> Reply:
        """Asks the domain, after the operations made so far, and waits for the answer."""
        ask = Ask(message, timeout_s)
        with self._lock:
            self._wait_for_room()
            self._close_batch()
            self._queue.append(ask)
            self._schedule()
        return ask.answer.result()

    def wait(self, batch: Batch) -> None:
        """Waits until a batch is answered.

        Raises:
            RemoteTimeoutError: it was not, in the time that a request may take.
        """
        # Twice the time of a request: a batch may wait for the answer to the one before it.
        if not batch.settled.wait(2 * self._timing.request_s):
            raise RemoteTimeoutError(peer=self.link.peer, timeout_s=2 * self._timing.request_s)

    def _wait_for_room(self) -> None:
        if not self._room.wait_for(
            lambda: len(self._queue) < MAX_QUEUED, timeout=self._timing.request_s
        ):
            raise RemoteTimeoutError(peer=self.link.peer, timeout_s=self._timing.request_s)

    def _sweep(self) -> None:
        """Sends what was freed when no operation took it along; in the network thread."""
        self._sweeping = False
        if self.names.freed and self.link.is_open:
            with self._lock:
                self._send_freed()

    def _send_freed(self) -> Batch:
        while True:
            last = self._open
            last.take_freed()
            self._close_batch()
            if not self.names.freed:
                self._schedule()
                return last

    def _close_batch(self) -> None:
        if self._open.ops or self._open.free:
            self._queue.append(self._open)
            self._open = Batch(self.names.freed)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._flush)

    def _flush(self) -> None:
        """Sends what waits, in order, as far as the window allows; in the network thread."""
        while (item := self._next()) is not None:
            try:
                future = item.send(self.link)
            except P2PGridError as error:
                item.fail(error)
                self._landed()
            else:
                future.add_done_callback(item.settle)
                future.add_done_callback(lambda _: self._land_and_flush())

    def _next(self) -> Batch | Ask | None:
        with self._lock:
            self._scheduled = False
            if self._in_flight >= WINDOW:
                return None
            if not self._queue:
                self._close_batch()
            if not self._queue:
                return None
            self._in_flight += 1
            self._room.notify_all()
            return self._queue.popleft()

    def _land_and_flush(self) -> None:
        self._landed()
        self._flush()

    def _landed(self) -> None:
        with self._lock:
            self._in_flight -= 1
