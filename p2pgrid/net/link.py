"""One persistent stream to one peer, shared by all requests in both directions.

Rule 1: every request ends, with an answer or an error, no later than its deadline.
Rule 2: a peer that says nothing for ``silent_after_s``, although it is pinged, is taken for
frozen and the link closes; with the link, all its requests end.
Rule 3: what waits to be written is bounded in requests and in bytes, also when the peer does not
read: an answer counts as one of the peer's open requests until it is being written.
"""

import contextlib
import logging
import secrets
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import trio

from p2pgrid.config import Limits, Timing
from p2pgrid.errors import (
    BusyError,
    NetworkError,
    P2PGridError,
    RemoteProtocolError,
    RemoteTimeoutError,
    TooLargeError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.counters import Counters
from p2pgrid.net.transport import FrameStream
from p2pgrid.protocol import codec, faults
from p2pgrid.protocol.codec import Buffer, Frame, Kind
from p2pgrid.protocol.exchange import Exchange
from p2pgrid.protocol.messages import Failure, Message
from p2pgrid.protocol.relay import Service

log = logging.getLogger(__name__)


class Reply(NamedTuple):
    """The answer to a request, with its arrays."""

    message: Message
    buffers: tuple[memoryview, ...]
    number: int = 0
    """Of the request; ``Link.request_id`` names it in logs."""


class Inbound(NamedTuple):
    """A request of the peer; answer it exactly once, from any thread."""

    link: "Link"
    number: int
    message: Message
    buffers: tuple[memoryview, ...]

    def answer(self, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        """Sends the answer; nothing happens when the link is over by now."""
        self.link.send_answer(self.number, message, buffers)


class _Waiting(NamedTuple):
    future: "Future[Reply]"
    timeout_s: float


OnRequest = Callable[[Inbound], None]


class Link:
    """Requests and answers over one ``FrameStream``; see the rules at the head of the module."""

    def __init__(
        self,
        stream: FrameStream,
        *,
        dialled: bool,
        limits: Limits,
        timing: Timing,
        on_request: OnRequest,
        counters: Counters | None = None,
    ) -> None:
        self.peer: PeerId = stream.peer
        self._counters = counters or Counters()
        self.dialled = dialled
        self.array_bytes_received = 0
        """Bytes of arrays that came with answers: what has moved to this side."""
        self.label = "link"
        """What both ends call the link in their logs, once they have agreed on a nonce."""
        self.over = trio.Event()
        self._stream = stream
        self._limits, self._timing, self._on_request = limits, timing, on_request
        self._frame_limit = limits.frame if dialled else limits.guest_frame
        self._clock = trio.lowlevel.current_clock()
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._exchange = Exchange(limit=limits.requests)
        self._waiting: dict[int, _Waiting] = {}
        self._outbox: deque[tuple[Kind, list[Buffer]]] = deque()
        self._queued = 0
        self._answers_queued = 0
        self._sent_at = self._clock.current_time()
        self._work = trio.Event()
        self._rearm = trio.Event()
        self._due = 0.0
        """When the watch wakes next, if nothing rearms it."""
        self._scope = trio.CancelScope()
        self._reason = f"the link to {self.peer} was closed"

    @property
    def is_open(self) -> bool:
        """False once the link is over; it never opens again."""
        return not self.over.is_set()

    def request_id(self, number: int) -> str:
        """The name of a request in the logs of both ends."""
        return f"{self.label}-{number}"

    def trust(self) -> None:
        """Lifts the limit on incoming frames from a stranger's to a logged-in peer's."""
        self._frame_limit = self._limits.frame

    def request(
        self, message: Message, buffers: Sequence[Buffer] = (), *, timeout_s: float | None = None
    ) -> Future[Reply]:
        """Sends a request, without waiting, from any thread.

        The future gets the reply, the error that the peer answered with, ``RemoteTimeoutError``
        or another ``TransportError``; its callbacks run in the network thread.

        Raises:
            BusyError: too many requests or bytes wait already.
            TooLargeError: the message is over the frame limit.
            TransportError: the link is over.
        """
        timeout_s = self._timing.request_s if timeout_s is None else timeout_s
        future: Future[Reply] = Future()
        with self._lock:
            self._check_room()
            number = self._exchange.open(deadline=self._clock.current_time() + timeout_s)
            try:
                self._put(Kind.REQUEST, number, message, buffers)
            except BaseException:
                self._exchange.close(number)
                raise
            self._waiting[number] = _Waiting(future, timeout_s)
        self._wake()
        self._log("request", number, message)
        return future

    def send_answer(self, number: int, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        """Answers a request of the peer, from any thread; ``Inbound.answer`` calls this."""
        with self._lock:
            if not self.is_open or not self._exchange.owes(number):
                return
            if buffers and self._queued > self._limits.queue:
                message, buffers = faults.failure_of(BusyError(limit=self._limits.queue)), ()
            try:
                self._put(Kind.ANSWER, number, message, buffers)
            except TooLargeError as error:
                self._put(Kind.ANSWER, number, faults.failure_of(error), ())
            self._exchange.finish(number)
        self._wake()

    def connect(self, service: Service, port: int, *, timeout_s: float) -> socket.socket:
        """A connection to another port of the peer, on the way of this link.

        From any thread but the network's.

        Raises:
            TransportError: there is no way to it, or nobody is there.
        """
        try:
            return trio.from_thread.run(
                self._connect, service, port, timeout_s, trio_token=self._token
            )
        except (OSError, NetworkError, trio.TooSlowError, trio.RunFinishedError) as error:
            raise TransportError(f"the {service} port of {self.peer} cannot be reached") from error

    async def _connect(self, service: Service, port: int, timeout_s: float) -> socket.socket:
        with trio.fail_after(timeout_s):
            return await self._stream.connect(service, port)

    def close(self, reason: str) -> None:
        """Ends the link; to be called in the network thread."""
        if self.is_open:
            self._reason = reason
            self.over.set()
            self._scope.cancel()

    def close_soon(self, reason: str) -> None:
        """Ends the link, from any thread."""
        with contextlib.suppress(trio.RunFinishedError):  # it has ended with the network thread
            self._token.run_sync_soon(self.close, reason)

    async def run(self) -> None:
        """Serves the link until it is over, then ends all its requests."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_over, self._read)
                    nursery.start_soon(self._until_over, self._write)
                    nursery.start_soon(self._until_over, self._watch)
        finally:
            self.over.set()
            self._end_all()
            await self._stream.aclose()

    async def _until_over(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except RemoteProtocolError as error:
            log.warning("peer broke the protocol", extra={"peer": self.peer})
            self.close(str(error))
        except TransportError as error:
            self.close(str(error))

    async def _read(self) -> None:
        while True:
            body = await self._stream.receive(limit=self._frame_limit)
            self._counters.received += codec.PREFIX_BYTES + len(body)
            frame = codec.decode(body)
            match frame.envelope.kind:
                case Kind.ANSWER:
                    self._on_answer(frame)
                case Kind.REQUEST:
                    self._on_inbound(frame)
                case Kind.PING:
                    pass

    def _on_answer(self, frame: Frame) -> None:
        message = frame.envelope.message
        if message is None:
            raise RemoteProtocolError("an answer came without a message")
        with self._lock:
            expected = self._exchange.close(frame.envelope.request)
            waiting = self._waiting.pop(frame.envelope.request, None)
        if not expected or waiting is None:
            return
        self._log("answer", frame.envelope.request, message)
        self.array_bytes_received += sum(frame.envelope.buffer_sizes)
        if isinstance(message, Failure):
            _fail(waiting.future, faults.error_of(message))
        else:
            _succeed(waiting.future, Reply(message, frame.buffers, frame.envelope.request))

    def _on_inbound(self, frame: Frame) -> None:
        message = frame.envelope.message
        if message is None:
            raise RemoteProtocolError("a request came without a message")
        with self._lock:
            is_new = self._exchange.accept(frame.envelope.request)
            if self._exchange.working_on + self._answers_queued > self._limits.requests:
                raise RemoteProtocolError("the peer sends requests, but does not read the answers")
        if is_new:
            self._hand_on(Inbound(self, frame.envelope.request, message, frame.buffers))

    def _hand_on(self, inbound: Inbound) -> None:
        try:
            self._on_request(inbound)
        except Exception:  # a mistake of the layer above must not end the other links
            reference = secrets.token_hex(4)
            log.exception("request failed", extra={"reference": reference})
            inbound.answer(faults.internal(reference))

    async def _write(self) -> None:
        while True:
            while self._outbox:
                kind, chunks = self._outbox.popleft()
                if kind is Kind.ANSWER:
                    with self._lock:
                        self._answers_queued -= 1
                await self._stream.send(chunks)
                self._sent_at = self._clock.current_time()
                size = sum(map(len, chunks))
                self._counters.sent += size
                with self._lock:
                    self._queued -= size
            self._work = trio.Event()
            if not self._outbox:
                await self._work.wait()

    async def _watch(self) -> None:
        while True:
            now = self._clock.current_time()
            self._end_late(now)
            if now >= self._stream.heard_at + self._timing.silent_after_s:
                silent_s = self._timing.silent_after_s
                raise TransportError(f"{self.peer} said nothing for {silent_s:g} s")
            if now >= self._sent_at + self._timing.ping_every_s and not self._outbox:
                self._ping()
            self._rearm = trio.Event()
            self._due = self._next_duty()
            with trio.move_on_at(self._due):
                await self._rearm.wait()

    def _next_duty(self) -> float:
        now = self._clock.current_time()
        ping_at = max(self._sent_at, now) if self._outbox else self._sent_at
        with self._lock:
            deadline = self._exchange.next_deadline()
        return min(
            ping_at + self._timing.ping_every_s,
            self._stream.heard_at + self._timing.silent_after_s,
            deadline,
        )

    def _ping(self) -> None:
        with self._lock:
            self._put(Kind.PING, 0, None, ())
        self._sent_at = self._clock.current_time()
        self._work.set()

    def _log(self, event: str, number: int, message: Message) -> None:
        if log.isEnabledFor(logging.DEBUG):
            fields = {"request": self.request_id(number), "kind": type(message).__name__}
            log.debug(event, extra=fields)

    def _check_room(self) -> None:
        if not self.is_open:
            raise TransportError(self._reason)
        if self._queued > self._limits.queue:
            raise BusyError(limit=self._limits.queue)

    def _put(
        self, kind: Kind, number: int, message: Message | None, buffers: Sequence[Buffer]
    ) -> None:
        chunks = codec.encode(kind, number, message, buffers, limit=self._limits.frame)
        self._queued += sum(map(len, chunks))
        self._answers_queued += kind is Kind.ANSWER
        self._outbox.append((kind, chunks))

    def _wake(self) -> None:
        if threading.get_ident() == self._thread:
            self._awake()
            return
        try:
            self._token.run_sync_soon(self._awake)
        except trio.RunFinishedError:
            self._end_all()

    def _awake(self) -> None:
        self._work.set()
        with self._lock:
            deadline = self._exchange.next_deadline()
        if deadline < self._due:
            self._rearm.set()

    def _end_late(self, now: float) -> None:
        with self._lock:
            late = [self._waiting.pop(number) for number in self._exchange.expire(now=now)]
        for waiting in late:
            _fail(waiting.future, RemoteTimeoutError(peer=self.peer, timeout_s=waiting.timeout_s))

    def _end_all(self) -> None:
        with self._lock:
            ended = tuple(self._waiting.values())
            self._waiting.clear()
        for waiting in ended:
            _fail(waiting.future, TransportError(self._reason))


def _fail(future: Future[Reply], error: P2PGridError) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(error)


def _succeed(future: Future[Reply], reply: Reply) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(reply)
