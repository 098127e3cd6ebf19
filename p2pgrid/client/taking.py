"""Taking results home: few messages for many results, and no thread that waits for each."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

from p2pgrid.client.handle import Returned
from p2pgrid.client.home import Home
from p2pgrid.client.questions import Questions
from p2pgrid.errors import GetTimeoutError, P2PGridError, RemoteProtocolError
from p2pgrid.net.calls import checked
from p2pgrid.net.link import Reply
from p2pgrid.protocol import faults
from p2pgrid.protocol.messages import MAX_CALLS, Outcome, Results, TakeResults
from p2pgrid.protocol.values import Reference, Value, check_bounds, unpack

Result = TypeVar("Result", bound=Returned)

DIRECT_S = 2.0
"""A result that is not there by then is waited for together with all others."""


def by_domain(results: Iterable[Result]) -> list[tuple[Home, list[Result], Questions]]:
    """The results of each domain, and where to ask for them.

    Raises:
        ObjectGoneError: one is of a session that has ended.
        DomainUnreachableError: a domain does not answer.
    """
    groups: dict[int, list[Result]] = {}
    for result in results:
        groups.setdefault(id(result._domain), []).append(result)
    found = []
    for group in groups.values():
        domain = group[0]._domain
        session = domain.session_for({result._session for result in group})
        found.append((domain, group, session.questions))
    return found


class Gathering:
    """Results of any domains, on their way home."""

    def __init__(
        self,
        results: Sequence[Returned],
        *,
        timeout: float | None = None,
        user: str | None = None,
    ) -> None:
        """Asks for them; ``done`` is set when all are here, or one has failed, or time is up.

        Raises:
            ObjectGoneError, DomainUnreachableError: see ``by_domain``.
            GetNotPermittedError: the wallet has no such user.
        """
        self.done: Future[None] = Future()
        self._results, self._timeout = results, timeout
        self._lock = threading.Lock()
        self._takings = [
            Taking(
                group,
                questions,
                account="" if user is None else domain.account_of(user),
                timeout=timeout,
                on_end=self._ended,
            )
            for domain, group, questions in by_domain(results)
        ]
        self._missing = len(self._takings)
        for taking in self._takings:
            self.done.add_done_callback(taking.stop)
            taking.step()

    @property
    def patience_s(self) -> float | None:
        """How long to wait for ``done``: a domain has a moment to say that time is up."""
        return None if self._timeout is None else max(self._timeout, DIRECT_S)

    def wait(self) -> list[Any]:
        """Waits for all; the values.

        Raises:
            P2PGridError: see ``p2pgrid.get``.
        """
        try:
            wait((self.done,), self.patience_s)
        finally:
            late = self.done.cancel()
        if late:
            raise self.late()
        self.done.result()
        return self.values()

    def late(self) -> GetTimeoutError:
        """The error of a time that is up."""
        taken = sum(len(taking.taken) for taking in self._takings)
        return GetTimeoutError(waiting=len(self._results) - taken, timeout_s=self._timeout or 0.0)

    def values(self) -> list[Any]:
        """The values in order, once they are here.

        Raises:
            RemoteProtocolError, DtypeError: a domain sent what is no value.
        """
        values: dict[Returned, Any] = {}
        for taking in self._takings:
            values.update(zip(taking.results, taking.values(), strict=True))
        return [values[result] for result in self._results]

    def _ended(self, error: P2PGridError | None) -> None:
        with self._lock:
            self._missing -= 1
            over = error is not None or self._missing == 0
            if not over or self.done.done() or not self.done.set_running_or_notify_cancel():
                return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self.late() if isinstance(error, GetTimeoutError) else error)


async def fetched(
    results: Sequence[Returned], *, timeout_s: float | None = None, user: str | None = None
) -> list[Any]:
    """The twin of ``Gathering.wait`` for the running event loop."""
    gather = partial(Gathering, results, timeout=timeout_s, user=user)
    at_hand = user is None and all(result._session.link.is_open for result in results)
    gathering = gather() if at_hand else await asyncio.to_thread(gather)
    try:
        async with asyncio.timeout(gathering.patience_s):
            await asyncio.wrap_future(gathering.done)
    except TimeoutError as error:
        if isinstance(error, P2PGridError):
            raise
        raise gathering.late() from None
    return gathering.values()


class Taking:
    """Results of one domain: taken from the front, as many at a time as a message holds."""

    def __init__(
        self,
        results: Sequence[Returned],
        questions: Questions,
        *,
        account: str,
        timeout: float | None,
        on_end: Callable[[P2PGridError | None], None],
    ) -> None:
        self.results = results
        self.taken: list[tuple[Value, tuple[memoryview, ...]]] = []
        self._questions, self._account, self._on_end = questions, account, on_end
        self._is_over = False
        self._timeout = timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def values(self) -> list[Any]:
        """What was taken, unpacked."""
        return [unpack(value, buffers, resolve=_unexpected) for value, buffers in self.taken]

    def stop(self, _: object) -> None:
        """Asks for no more: nobody waits any longer, or another domain's result has failed."""
        self._is_over = True
        if len(self.taken) < len(self.results):
            self._questions.forget(self.results[len(self.taken)]._id, self._ready)

    def step(self) -> None:
        """Asks for the next results, or ends."""
        if self._is_over:
            return
        if len(self.taken) == len(self.results):
            self._on_end(None)
            return
        following = self.results[len(self.taken)]
        if (error := following.error) is not None:
            self._on_end(error)
        elif self._questions.is_crowded:
            self._questions.when_ready(following._id, self._ready)
        else:
            self._ask(min(DIRECT_S, self._left_s()))

    def _ask(self, timeout_s: float) -> None:
        rest = self.results[len(self.taken) : len(self.taken) + MAX_CALLS]
        ids = tuple(result._id for result in rest)
        self._questions.ask(TakeResults(ids, timeout_s, self._account), self._answered)

    def _answered(self, answer: "Future[Reply]") -> None:
        try:
            reply = answer.result()
            outcomes = self._checked(reply)
        except P2PGridError as error:
            self._failed(error)
            return
        for outcome in outcomes:
            if outcome.failure is not None:
                self._failed(faults.error_of(outcome.failure))
                return
            self.taken.append((outcome.value, reply.buffers))
        if outcomes:
            self.step()
        elif self._left_s() > 0 and not self._is_over:
            self._questions.when_ready(self.results[len(self.taken)]._id, self._ready)
        else:
            self._on_end(GetTimeoutError(waiting=1, timeout_s=self._timeout or 0.0))

    def _checked(self, reply: Reply) -> tuple[Outcome, ...]:
        outcomes = checked(reply.message, Results).outcomes
        if len(outcomes) > len(self.results) - len(self.taken):
            raise RemoteProtocolError("the domain gave more results than were asked for")
        for outcome in outcomes:
            check_bounds(outcome.value)
        return outcomes

    def _failed(self, error: P2PGridError) -> None:
        """Ends with what became of the call that failed, once that is known."""
        first = self.results[len(self.taken)]
        first.once_sent(lambda: self._on_end(first.error or error))

    def _ready(self, error: P2PGridError | None) -> None:
        if error is None:
            self._ask(0.0)
        else:
            self._failed(error)

    def _left_s(self) -> float:
        return DIRECT_S if self._deadline is None else max(0.0, self._deadline - time.monotonic())


def _unexpected(_: Reference) -> object:
    raise RemoteProtocolError("a result of the domain is a reference")
