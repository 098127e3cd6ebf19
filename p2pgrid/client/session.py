"""One logged-in link to a domain: names results and sends operations without waiting.

Operations gather in a batch while the network thread is busy, so a chain of thousands costs a few
messages. The domain carries them out in the order in which they were made here; what failed is
known when the batch is answered, and surfaces at ``block`` and ``get``.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import numpy as np

from p2pgrid.config import Timing
from p2pgrid.errors import P2PGridError, RemoteProtocolError, RemoteTimeoutError
from p2pgrid.ids import ObjectId
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import Array, ArrayHeader, header_of, raw_bytes, read_array
from p2pgrid.protocol.messages import MAX_OPERATIONS, Get, Message, Op, Operate, Operated, Value
from p2pgrid.protocol.operations import Params

Input = ObjectId | Array | int | float | bool
Soon = Callable[[Callable[[], object]], None]

MAX_BATCH_OPS = 2048
MAX_BATCH_BYTES = 8 << 20
MAX_QUEUED = 16
WINDOW = 4
"""Batches on the way at once: enough to keep both ends busy, few enough to grow when busy."""


class Batch:
    """Operations that travel together, and what became of them."""

    __slots__ = ("buffers", "error", "failures", "free", "ops", "settled", "size")

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.buffers: list[bytes] = []
        self.size = 0
        self.free: list[ObjectId] = []
        """Objects needed by nothing after these operations."""
        self.settled = threading.Event()
        self.failures: dict[bytes, P2PGridError] = {}
        self.error: P2PGridError | None = None

    @property
    def is_full(self) -> bool:
        """True when the next operation has to go into another batch."""
        return len(self.ops) >= MAX_BATCH_OPS or self.size >= MAX_BATCH_BYTES

    def add(self, name: str, out: ObjectId, inputs: Iterable[Input], params: Params) -> None:
        """Appends an operation; arrays among its inputs are copied as they are at this moment."""
        operands = tuple(
            self._literal(value) if isinstance(value, np.ndarray) else value for value in inputs
        )
        self.ops.append(Op(name, out, operands, params))

    def _literal(self, array: Array) -> ArrayHeader:
        self.buffers.append(bytes(raw_bytes(array)))
        self.size += array.nbytes
        return header_of(array, buffer=len(self.buffers) - 1)

    def settle(self, answered: "Future[Reply]") -> None:
        """Notes the answer; called in the network thread."""
        try:
            message = answered.result().message
        except P2PGridError as error:
            self.fail(error)
            return
        if isinstance(message, Operated):
            self.failures = {f.out: faults.error_of(f.failure) for f in message.failed}
            self._end()
        else:
            self.fail(RemoteProtocolError("the domain answered operations with another message"))

    def fail(self, error: P2PGridError) -> None:
        """Notes that none of the operations is known to have been done."""
        self.error = error
        self._end()

    def _end(self) -> None:
        self.ops, self.buffers, self.free = [], [], []
        self.settled.set()

    def error_of(self, object_id: ObjectId) -> P2PGridError | None:
        """Why this object was not made; None when it was."""
        return self.error or self.failures.get(object_id)


class Ask:
    """A request that must not overtake the operations made before it."""

    __slots__ = ("answer", "message", "timeout_s")

    def __init__(self, message: Message, timeout_s: float | None) -> None:
        self.message, self.timeout_s = message, timeout_s
        self.answer: Future[Reply] = Future()

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
    """Names, batches and answers of one link; may be used from several threads."""

    def __init__(self, link: Link, *, prefix: bytes, soon: Soon, timing: Timing) -> None:
        self.link = link
        self._prefix, self._soon, self._timing = prefix, soon, timing
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._count = 0
        self._open = Batch()
        self._queue: deque[Batch | Ask] = deque()
        self._freed: deque[ObjectId] = deque()
        self._in_flight = 0
        self._scheduled = False

    def apply(self, name: str, inputs: Iterable[Input], params: Params) -> tuple[ObjectId, Batch]:
        """Sends an operation; the name of its result, and the batch that carries it.

        Raises:
            RemoteTimeoutError: the queue stayed full for as long as a request may take.
        """
        with self._lock:
            self._wait_for_room()
            batch = self._open
            self._count += 1
            out = ObjectId(self._prefix + self._count.to_bytes(8, "big"))
            batch.add(name, out, inputs, params)
            self._take_freed(batch)
            if batch.is_full:
                self._close_batch()
            self._schedule()
        return out, batch

    def free(self, object_id: ObjectId) -> None:
        """Tells the domain, with the next operations, that an object is not needed any more.

        Takes no lock, because the garbage collector may call it at any point of this class.
        """
        self._freed.append(object_id)

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
            if self._open.ops:
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

    def _close_batch(self) -> None:
        self._queue.append(self._open)
        self._open = Batch()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._flush)

    def _flush(self) -> None:
        """Sends what waits, in order, as far as the window allows; in the network thread."""
        while (item := self._next()) is not None:
            try:
                future = self._send(item)
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
            if not self._queue and self._open.ops:
                self._close_batch()
            if not self._queue:
                return None
            self._in_flight += 1
            self._room.notify_all()
            return self._queue.popleft()

    def _send(self, item: Batch | Ask) -> "Future[Reply]":
        if isinstance(item, Ask):
            return self.link.request(item.message, timeout_s=item.timeout_s)
        operate = Operate(ops=tuple(item.ops), free=tuple(item.free))
        return self.link.request(operate, item.buffers)

    def _take_freed(self, batch: Batch) -> None:
        """What was freed by now was used, if at all, by operations of this batch or before it."""
        while self._freed and len(batch.free) < MAX_OPERATIONS:
            batch.free.append(self._freed.popleft())

    def _land_and_flush(self) -> None:
        self._landed()
        self._flush()

    def _landed(self) -> None:
        with self._lock:
            self._in_flight -= 1
