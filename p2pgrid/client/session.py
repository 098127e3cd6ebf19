"""One logged-in link to a domain: names results and sends operations without waiting.

When the link breaks, the next one goes on with the same names, as long as the domain keeps them.
What was under way then fails, because nobody here knows whether it was done; it is never sent
again.

Operations, and calls of actors, gather in a batch while the network thread is busy, so a chain of
thousands costs a few messages. The domain carries them out in the order in which they were made
here; what failed is known when the batch is answered, and surfaces at ``block`` and ``get``.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from p2pgrid.client.batch import Ask, Batch, Bundle, Input, Names
from p2pgrid.client.call_batch import CallBatch, PackedCall
from p2pgrid.client.questions import Questions
from p2pgrid.config import Timing
from p2pgrid.errors import (
    LocalProtocolError,
    P2PGridError,
    RemoteProtocolError,
    RemoteTimeoutError,
)
from p2pgrid.ids import ObjectId
from p2pgrid.net.link import Link, Reply
from p2pgrid.protocol.arrays import Array, read_array
from p2pgrid.protocol.messages import (
    Get,
    Message,
    Value,
)
from p2pgrid.protocol.operations import Params

Soon = Callable[[Callable[[], object]], None]
Later = Callable[[float, Callable[[], object]], object]
SomeBundle = TypeVar("SomeBundle", bound=Bundle)

MAX_QUEUED = 16
WINDOW = 4
"""Batches on the way at once: enough to keep both ends busy, few enough to grow when busy."""


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
        self._open: Bundle = Batch(names.freed)
        self._queue: deque[Bundle | Ask] = deque()
        self._in_flight = 0
        self._scheduled = False
        self._sweeping = False
        self.questions = Questions(self.inquire)
        """About results of calls."""

    def apply(self, name: str, inputs: Iterable[Input], params: Params) -> tuple[ObjectId, Batch]:
        """Sends an operation; the name of its result, and the batch that carries it.

        Raises:
            RemoteTimeoutError: the queue stayed full for as long as a request may take.
        """
        with self._lock:
            self._wait_for_room()
            batch = self._gathering(Batch)
            out = self.names.next()
            batch.add(name, out, inputs, params)
            self._added(batch)
        return out, batch

    def call(self, packed: PackedCall) -> tuple[ObjectId, CallBatch]:
        """Sends a call; the name of what it makes, and the batch that carries it.

        Raises:
            RemoteTimeoutError: see ``apply``.
        """
        with self._lock:
            self._wait_for_room()
            batch = self._gathering(CallBatch)
            if not batch.has_room_for(packed):
                self._close_batch()
                batch = self._gathering(CallBatch)
            out = self.names.next()
            batch.add(out, packed)
            self._added(batch)
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

    def free_now(self, object_ids: Iterable[ObjectId]) -> Bundle:
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

    def inquire(self, message: Message, timeout_s: float) -> "Future[Reply]":
        """Asks what the domain may answer late, after what was made so far; does not wait."""
        ask = Ask(message, timeout_s + self._timing.request_s, patient=True)
        with self._lock:
            self._close_batch()
            self._queue.append(ask)
            self._schedule()
        return ask.answer

    def wait(self, batch: Bundle) -> None:
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

    def _gathering(self, kind: type[SomeBundle]) -> SomeBundle:
        """The open batch of a kind; one of another kind goes before it."""
        if not isinstance(self._open, kind):
            self._close_batch()
            self._open = kind(self.names.freed)
        return self._open

    def _added(self, batch: Bundle) -> None:
        batch.take_freed()
        if batch.is_full:
            self._close_batch()
        self._schedule()

    def _send_freed(self) -> Bundle:
        while True:
            last = self._open
            last.take_freed()
            self._close_batch()
            if not self.names.freed:
                self._schedule()
                return last

    def _close_batch(self) -> None:
        if self._open.free or not self._open.is_empty:
            self._queue.append(self._open)
            self._open = Batch(self.names.freed)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._soon(self._flush)

    def _flush(self) -> None:
        """Sends what waits, in order, as far as the window allows; in the network thread."""
        while (item := self._next()) is not None:
            is_patient = isinstance(item, Ask) and item.patient
            try:
                future = item.send(self.link)
            except P2PGridError as error:
                item.fail(error)
                self._landed()
            else:
                future.add_done_callback(item.settle)
                if is_patient:
                    self._landed()
                else:
                    future.add_done_callback(lambda _: self._land_and_flush())

    def _next(self) -> Bundle | Ask | None:
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
