"""What a session sends: names of results, operations that travel together, other requests."""

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import numpy as np
from typing_extensions import override

from p2pgrid.client.trace import Trace
from p2pgrid.errors import P2PGridError, RemoteProtocolError
from p2pgrid.ids import ObjectId
from p2pgrid.net.calls import checked
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import Array, ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.messages import (
    MAX_OPERATIONS,
    TICKS_PER_S,
    FailedOp,
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


class Bundle(ABC):
    """What travels in one message, and what became of it."""

    __slots__ = ("_after", "_freed", "_lock", "buffers", "error", "failures", "free", "settled")

    def __init__(self, freed: deque[ObjectId]) -> None:
        self._freed = freed
        self.buffers: list[bytes] = []
        self.free: list[ObjectId] = []
        """Objects needed by nothing after this."""
        self.settled = threading.Event()
        self.failures: dict[bytes, P2PGridError] = {}
        self.error: P2PGridError | None = None
        self._lock = threading.Lock()
        self._after: list[Callable[[], None]] = []

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """True when there is nothing to send but what was freed."""

    @property
    @abstractmethod
    def is_full(self) -> bool:
        """True when what comes next has to go into another one."""

    def take_freed(self) -> None:
        """What was freed by now was used, if at all, by what is in here or was sent before it."""
        while self._freed and len(self.free) < MAX_OPERATIONS:
            self.free.append(self._freed.popleft())

    @abstractmethod
    def send(self, link: Link) -> "Future[Reply]":
        """Sends it; in the network thread."""

    def settle(self, answered: "Future[Reply]") -> None:
        """Notes the answer; called in the network thread."""
        try:
            self._note(answered.result())
        except P2PGridError as error:
            self.fail(error)
        else:
            self._end()

    def fail(self, error: P2PGridError) -> None:
        """Notes that nothing in here is known to have been done."""
        self.error = error
        self._freed.extend(self.free)  # to be told again: that does no harm
        self._end()

    def after(self, call: Callable[[], None]) -> None:
        """Calls once it is answered: at once, or later in the network thread."""
        with self._lock:
            if not self.settled.is_set():
                self._after.append(call)
                return
        call()

    def error_of(self, object_id: ObjectId) -> P2PGridError | None:
        """Why this object was not made; None when it was, or when nothing is known yet."""
        return self.error or self.failures.get(object_id)

    @abstractmethod
    def _note(self, reply: Reply) -> None:
        """Takes the answer; raises ``RemoteProtocolError`` when it is of another kind."""

    def _note_failed(self, failed: Iterable[FailedOp]) -> None:
        self.failures = {each.out: faults.error_of(each.failure) for each in failed}

    def _end(self) -> None:
        self.buffers, self.free = [], []
        with self._lock:
            self.settled.set()
            waiting, self._after = self._after, []
        for call in waiting:
            call()


class Batch(Bundle):
    """Operations that travel together, and what became of them."""

    __slots__ = ("_answered_at", "_made_at", "_sent_at", "ops", "request", "sent", "size", "spent")

    def __init__(self, freed: deque[ObjectId]) -> None:
        super().__init__(freed)
        self.ops: list[Op] = []
        self.size = 0
        self.sent = 0
        """How many operations were sent."""
        self.request = ""
        """The id of the request that carried them."""
        self.spent = Spent()
        self._made_at = self._sent_at = self._answered_at = 0.0

    @property
    @override
    def is_empty(self) -> bool:
        return not self.ops

    @property
    @override
    def is_full(self) -> bool:
        return len(self.ops) >= MAX_BATCH_OPS or self.size >= MAX_BATCH_BYTES

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

    @override
    def send(self, link: Link) -> "Future[Reply]":
        self._sent_at = time.perf_counter()
        self.sent, self.request = len(self.ops), link.label
        return link.request(Operate(ops=tuple(self.ops), free=tuple(self.free)), self.buffers)

    @override
    def _note(self, reply: Reply) -> None:
        message = checked(reply.message, Operated)
        self._answered_at = time.perf_counter()
        self.request, self.spent = f"{self.request}-{reply.number}", message.spent
        self._note_failed(message.failed)

    @override
    def _end(self) -> None:
        self.ops = []
        super()._end()

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


class Ask:
    """A request that must not overtake what was made before it.

    One that may be answered late is ``patient``: it does not keep others from being sent.
    """

    __slots__ = ("answer", "message", "patient", "timeout_s")

    def __init__(self, message: Message, timeout_s: float | None, *, patient: bool = False) -> None:
        self.message, self.timeout_s, self.patient = message, timeout_s, patient
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
