"""What calls have returned, or will: the results of one session, kept until they are freed.

A result is named before it exists; what needs it waits. Rule 1: it settles once, with a value or
a failure. Rule 2: its sources are those of whatever it tells, also of a failure; they are set when
the call begins, before anybody may learn how it ends. Rule 3: a session keeps at most
``session_objects`` results; their bytes, and those of arguments that wait, are of its quota.
"""

import asyncio
import weakref
from collections.abc import Callable, Sequence, Sized
from pathlib import Path
from typing import Protocol

from p2pgrid.config import Limits
from p2pgrid.errors import P2PGridError, QuotaExceededError
from p2pgrid.policy.access import Sources
from p2pgrid.policy.calls import Callee
from p2pgrid.policy.objects import SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.messages import Account, Failure
from p2pgrid.protocol.values import Value

NO_SOURCES: Sources = frozenset()


class Cancel(Protocol):
    """Cancels a call, by the right of an account; see ``LiveActor.cancel``."""

    def __call__(self, account: Account, *, force: bool) -> None:
        """Raises ``PermissionDeniedError`` where force needs an owner."""


class Result:
    """One result; ``callee`` is what returns it, None for what was deposited or fetched."""

    __slots__ = (
        "__weakref__",
        "_then",
        "buffers",
        "callee",
        "cancel",
        "charged",
        "failure",
        "header_size",
        "is_freed",
        "is_ready",
        "size",
        "sources",
        "value",
    )

    def __init__(self, callee: Callee | None = None, sources: Sources = NO_SOURCES) -> None:
        self.callee, self.sources = callee, sources
        self.is_ready = self.is_freed = False
        self.value: Value = None
        self.buffers: Sequence[Sized] = ()
        self.failure: Failure | None = None
        self.header_size = self.size = self.charged = 0
        self.cancel: Cancel | None = None
        """How to cancel what returns it."""
        self._then: list[Callable[[], None]] = []

    def then(self, callback: Callable[[], None]) -> None:
        """Calls back when it has settled, or at once if it has."""
        if self.is_ready:
            callback()
        else:
            self._then.append(callback)

    def never_mind(self, callback: Callable[[], None]) -> None:
        """Does not call back."""
        if callback in self._then:
            self._then.remove(callback)

    def settle(self, value: Value, buffers: Sequence[Sized] = (), *, header_size: int = 0) -> None:
        """Gives it its value; ``header_size`` is about what the value takes without its arrays."""
        if not self.is_ready:
            self.value, self.buffers = value, buffers
            self.header_size, self.size = header_size, header_size + sum(map(len, buffers))
            self._ready()

    def fail(self, error: P2PGridError | Failure, sources: Sources = NO_SOURCES) -> None:
        """Gives it a failure; ``sources`` are those of whatever made it fail."""
        if not self.is_ready:
            self.failure = faults.failure_of(error) if isinstance(error, P2PGridError) else error
            self.sources = sources
            self._ready()

    def remove_with_it(self, path: Path) -> None:
        """Removes a file as soon as nobody needs the result any more."""
        weakref.finalize(self, path.unlink, missing_ok=True)

    def _ready(self) -> None:
        self.is_ready, self.cancel = True, None
        callbacks, self._then = self._then, []
        for callback in callbacks:
            callback()


class Results:
    """The results of one session by name; see the rules at the head of the module."""

    def __init__(self, objects: SessionObjects, *, limits: Limits) -> None:
        self._objects, self._limits = objects, limits
        self._named: dict[bytes, Result] = {}

    def open(self, object_id: bytes, result: Result) -> Result:
        """Names a result that is to come.

        Raises:
            QuotaExceededError: the session has too many.
        """
        if len(self._named) >= self._limits.session_objects:
            limit = self._limits.session_objects
            raise QuotaExceededError(what="results", needed=limit + 1, limit=limit)
        self._named[object_id] = result
        return result

    def get(self, object_id: bytes) -> Result | None:
        """The result of this name; None when it was freed, or never was one."""
        return self._named.get(object_id)

    def is_settled(self, object_id: bytes) -> bool:
        """True when there is nothing to wait for."""
        found = self._named.get(object_id)
        return found is None or found.is_ready

    def charge(self, size: int) -> None:
        """Takes bytes of the session's quota.

        Raises:
            QuotaExceededError: there are not so many left.
        """
        self._objects.charge(size)

    def discharge(self, size: int) -> None:
        """Gives bytes back."""
        self._objects.discharge(size)

    def keep(
        self, result: Result, value: Value, buffers: Sequence[Sized], *, header_size: int
    ) -> None:
        """Settles a result with a value, or with a failure when the session has no room for it."""
        size = header_size + sum(map(len, buffers))
        try:
            if not result.is_freed:
                self.charge(size)
                result.charged = size
        except QuotaExceededError as error:
            result.fail(error, result.sources)
        else:
            result.settle(value, buffers, header_size=header_size)

    def free(self, object_id: bytes) -> bool:
        """Forgets a result; False when there is none of this name. Calls that need it keep it."""
        freed = self._named.pop(object_id, None)
        if freed is None:
            return False
        freed.is_freed = True
        self.discharge(freed.charged)
        return True

    async def wait(self, object_ids: Sequence[bytes], count: int, timeout_s: float) -> None:
        """Returns when so many of these have settled, or time is up."""
        pending = [it for name in object_ids if (it := self._named.get(name)) and not it.is_ready]
        missing = count - (len(object_ids) - len(pending))
        done = asyncio.Semaphore(0)
        for result in pending:
            result.then(done.release)
        try:
            async with asyncio.timeout(timeout_s):
                for _ in range(missing):
                    await done.acquire()
        except TimeoutError:
            pass
        finally:
            for result in pending:
                result.never_mind(done.release)
