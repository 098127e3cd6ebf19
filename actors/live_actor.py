"""One actor as the gateway sees it: its process, who calls it, and in which order.

Rule 1: the calls of one session are begun in the order in which they were made; one that waits for
what it needs holds up those behind it. Rule 2: when its process ends, the calls under way fail;
those that wait go to the next process if there is one, whose object is new. Rule 3: an actor that
has died stays dead, and every later call is told why. Rule 4: it only ever gathers sources.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from itertools import count

from actors.host_channel import HostAnswer, HostCall, HostChannel
from actors.pending import Arrays, PendingCall
from actors.ports import HostsPort
from actors.results import NO_SOURCES
from p2pgrid.config import Limits
from p2pgrid.errors import (
    ActorDiedError,
    ActorUnavailableError,
    ArgumentError,
    P2PGridError,
    TaskError,
    TooLargeError,
)
from p2pgrid.ids import ObjectId, short
from p2pgrid.policy.access import Sources
from p2pgrid.policy.calls import ExportedClass, Gathered
from p2pgrid.protocol import faults
from p2pgrid.protocol.codec import MAX_HEADER
from p2pgrid.protocol.messages import ActorOptions, Failure
from p2pgrid.protocol.values import Ref

log = logging.getLogger(__name__)

CONSTRUCTION = 0
"""The number of the call that makes the object."""
MAX_RESULT_HEADER = MAX_HEADER // 2
"""Bytes of a result beside its arrays: what is left is for the envelope."""


class LiveActor:
    """An actor, from its making until nobody asks for it any more; on the gateway's loop."""

    def __init__(
        self,
        object_id: ObjectId,
        cls: ExportedClass,
        options: ActorOptions,
        *,
        hosts: HostsPort,
        limits: Limits,
        on_death: Callable[["LiveActor"], None],
    ) -> None:
        self.object_id, self.cls, self.options = object_id, cls, options
        self._hosts, self._limits, self._on_death = hosts, limits, on_death
        self._gathered = Gathered()
        self._channel: HostChannel | None = None
        self._is_up = self._is_retired = False
        self._queues: dict[bytes, deque[PendingCall]] = {}
        self._under_way: dict[int, PendingCall] = {}
        self._numbers = count(CONSTRUCTION + 1)
        self._outbox: list[HostCall] = []
        self._arrays: Arrays = []
        self._making: tuple[HostCall, Arrays]
        self._made: PendingCall
        self._death: tuple[Failure, Sources] | None = None
        self._life: asyncio.Task[None]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.cls.info.name} {short(self.object_id)}"

    @property
    def is_dead(self) -> bool:
        """True when it will never carry out another call."""
        return self._death is not None

    def make(self, construct: PendingCall) -> None:
        """Starts its process, and makes its object when all is there that the constructor needs."""
        self._made = construct
        self._life = asyncio.get_running_loop().create_task(self._live())
        self._life.add_done_callback(self._life_over)

    def submit(self, session: bytes, call: PendingCall) -> None:
        """Calls it, behind what this session has called before."""
        if self._death is not None:
            call.result.fail(*self._death)
            return
        queue = self._queues.get(session)
        if not queue and call.is_ready and self._is_up:
            self._begin(call)
            return
        if queue is None:
            queue = self._queues[session] = deque()
        queue.append(call)
        if not call.is_ready:
            call.when_ready(lambda: self._pump(session))

    def cancel(self, call: PendingCall, *, force: bool) -> None:
        """Cancels a call that waits; one that runs only with ``force``, which ends the actor."""
        if not self._runs(call):
            self.forget(call)
            call.cancel()
        elif force:
            self.kill("a call was cancelled by force")

    def forget(self, call: PendingCall) -> None:
        """Does not begin a call, unless it runs; it may just have."""
        if not self._runs(call) and self._under_way.pop(call.number, None) is not None:
            self._flush()
            if self._channel is not None:
                self._channel.cancel(call.number)

    def kill(self, reason: str) -> None:
        """Ends it at once; what is under way, or waits, fails."""
        self._die(ActorDiedError(actor=self.name, reason=reason), NO_SOURCES)

    def retire(self) -> None:
        """Ends it when it has nothing left to do: nobody holds it any more."""
        self._is_retired = True
        self._end_if_idle()

    async def _live(self) -> None:
        await self._prepare()
        await self._hosts.start(self.object_id, self.cls.info.name, self.options)
        while True:
            await self._one_life()

    def _life_over(self, life: "asyncio.Task[None]") -> None:
        error = None if life.cancelled() else life.exception()
        if error is not None:
            self._die(self._told(error), self._gathered.sources)

    async def _prepare(self) -> None:
        """Waits for what the constructor needs.

        Raises:
            P2PGridError: the failure of one of these.
        """
        ready = asyncio.Event()
        if not self._made.is_ready:
            self._made.when_ready(ready.set)
            await ready.wait()
        sources = self._gathered.give(self._made.sources)
        if self._made.result.failure is not None:
            raise faults.error_of(self._made.result.failure)
        self._made.result.sources = sources
        arrays: Arrays = []
        self._making = self._made.begin(CONSTRUCTION, arrays), arrays

    async def _one_life(self) -> None:
        """A process of the actor, from when it is up until it is lost.

        Raises:
            ActorDiedError: there is none (any more).
        """
        connection = await self._hosts.connect(self.object_id)
        self._fail_under_way(ActorUnavailableError(actor=self.name))
        _, channel = await asyncio.get_running_loop().create_connection(
            lambda: HostChannel(self._answered), sock=connection
        )
        self._channel = channel
        try:
            call, arrays = self._making
            channel.send([call], arrays)
            await channel.lost
        finally:
            channel.close()
            self._channel, self._is_up = None, False

    def _pump(self, session: bytes) -> None:
        """Begins what may begin of a session's calls."""
        queue = self._queues.get(session)
        while queue and self._is_up and queue[0].is_ready:
            self._begin(queue.popleft())
        if not queue:
            self._queues.pop(session, None)
        elif not queue[0].is_ready:
            queue[0].when_ready(lambda: self._pump(session))
        self._end_if_idle()

    def _begin(self, call: PendingCall) -> None:
        if call.result.is_ready:  # it has failed, or was cancelled
            return
        call.result.sources = self._gathered.give(call.sources)
        try:
            host_call = call.begin(next(self._numbers), self._arrays)
        except ArgumentError as error:
            call.result.fail(error, call.result.sources)
            return
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.append(host_call)
        self._under_way[call.number] = call

    def _runs(self, call: PendingCall) -> bool:
        """True when it is the one whose answer comes next."""
        return next(iter(self._under_way), None) == call.number

    def _flush(self) -> None:
        if self._outbox and self._channel is not None:
            self._channel.send(self._outbox, self._arrays)
        self._outbox, self._arrays = [], []

    def _answered(self, answer: HostAnswer, header_size: int, arrays: list[memoryview]) -> None:
        if answer.number == CONSTRUCTION:
            self._constructed(answer)
            return
        call = self._under_way.pop(answer.number, None)
        if call is None:  # it was cancelled when it had just begun
            return
        if answer.failure is None:
            self._keep(call, answer, header_size, arrays)
        else:
            call.result.fail(answer.failure, call.result.sources)
        if self._is_retired:
            self._end_if_idle()

    def _keep(
        self, call: PendingCall, answer: HostAnswer, header_size: int, arrays: list[memoryview]
    ) -> None:
        size, limit = sum(map(len, arrays)), self._limits.frame // 2
        if header_size > MAX_RESULT_HEADER or size > limit:
            error = TooLargeError(what="bytes of a result", size=header_size + size, limit=limit)
            call.result.fail(error, call.result.sources)
        else:
            call.results.keep(call.result, answer.value, arrays, header_size=header_size)

    def _constructed(self, answer: HostAnswer) -> None:
        if answer.failure is not None:
            self._die(self._told(faults.error_of(answer.failure)), self._gathered.sources)
            return
        self._is_up = True
        self._made.result.settle(Ref(self.object_id))
        for session in tuple(self._queues):
            self._pump(session)

    def _told(self, error: BaseException) -> P2PGridError:
        """What callers learn of why it died."""
        if isinstance(error, TaskError):
            reason = f"{error.call} raised an error, which the owner finds as {error.reference}"
            return ActorDiedError(actor=self.name, reason=reason)
        if isinstance(error, ActorDiedError):
            return ActorDiedError(actor=self.name, reason=error.reason)
        if isinstance(error, P2PGridError) and faults.is_public(error):
            return error
        reference = secrets.token_hex(4)
        log.error("an actor failed", exc_info=error, extra={"reference": reference})
        return ActorDiedError(actor=self.name, reason=f"the owner finds why as {reference}")

    def _fail_under_way(self, error: P2PGridError) -> None:
        lost, self._under_way = self._under_way, {}
        self._outbox, self._arrays = [], []
        for call in lost.values():
            call.result.fail(error, self._gathered.sources)

    def _die(self, error: P2PGridError, sources: Sources) -> None:
        if self._death is not None:
            return
        log.info("an actor ended", extra={"actor": self.name, "why": str(error)})
        self._death = faults.failure_of(error), sources
        waiting = [call for queue in self._queues.values() for call in queue]
        calls = [self._made, *self._under_way.values(), *waiting]
        self._under_way, self._queues = {}, {}
        for call in calls:
            call.result.fail(*self._death)
        self._life.cancel()
        self._on_death(self)

    def _end_if_idle(self) -> None:
        if self._is_retired and not self._under_way and not self._queues:
            self.kill("nobody holds it any more")
