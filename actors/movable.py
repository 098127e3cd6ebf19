"""What can move to another domain: tensors, results of operations, and results of calls."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar

import numpy as np

from actors.gateway import LinkSession, require_objects
from actors.host_channel import bytes_of
from actors.ports import StorePort
from actors.pushing import Parcel
from actors.results import NO_SOURCES, Result, Results
from actors.transfer import source_of
from p2pgrid.config import Limits
from p2pgrid.errors import ArgumentError, ObjectGoneError
from p2pgrid.ids import ObjectId, short
from p2pgrid.net.bulk_ends import ArraySource
from p2pgrid.policy.access import Allowed, Label, Sources
from p2pgrid.policy.calls import may_call, require_read
from p2pgrid.protocol import faults
from p2pgrid.protocol.arrays import ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.messages import Account, Failure
from p2pgrid.protocol.values import ArrayValue, references_in

Taken = TypeVar("Taken")


class Movable(NamedTuple):
    """An object: the datasets that have to allow a move, and how it is made ready for the way."""

    sources: Sources
    take: Callable[[], Awaitable[Parcel]]


class Movables:
    """Finds what somebody asks to move; to be used on the gateway's event loop."""

    def __init__(
        self,
        *,
        domain: str,
        store: StorePort,
        results_of: Callable[[bytes], Results | None],
        allowed: Allowed,
        limits: Limits,
        wait_s: float,
    ) -> None:
        """``allowed`` are the accounts that may take each dataset home."""
        self._domain, self._store, self._results_of = domain, store, results_of
        self._allowed, self._limits, self._wait_s = allowed, limits, wait_s

    async def find(self, session: LinkSession, account: Account, object_id: ObjectId) -> Movable:
        """An object of the session or of a dataset; waits for the result of a call.

        Raises:
            ObjectGoneError: there is none, or it did not come in time.
            P2PGridError: the failure with which it was poisoned.
        """
        objects = require_objects(session)
        results = self._results_of(objects.prefix)
        result = None if results is None else results.get(object_id)
        if results is None or result is None:
            label = objects.find(object_id)
            return Movable(label.sources, partial(self._of_store, session, object_id, label))
        await results.wait((object_id,), 1, self._wait_s)
        return self._of_call(account, object_id, result)

    def _of_call(self, account: Account, object_id: ObjectId, result: Result) -> Movable:
        callee = result.callee
        if result.failure is not None:  # the sources decide first: they decide about that, too
            return Movable(
                result.sources, partial(self._failed, account, object_id, result, result.failure)
            )
        if not result.is_ready or callee is None:  # what came from elsewhere does not go on
            raise ObjectGoneError(object_id=short(object_id), domain=self._domain)
        if any(references_in(result.value)):
            named = f"object {short(object_id)}"
            raise ArgumentError(call=named, problem="is an actor, which cannot leave its domain")
        is_released = callee.releases and may_call(account, callee)
        sources = NO_SOURCES if is_released else result.sources
        return Movable(sources, partial(self._packed, object_id, result))

    async def _failed(
        self, account: Account, object_id: ObjectId, result: Result, failure: Failure
    ) -> NoReturn:
        """Raises the failure of a call, to whoever may know it."""
        if result.callee is not None:
            sources, allowed = result.sources, self._allowed
            require_read(account, object_id, result.callee, sources, allowed, domain=self._domain)
        raise faults.error_of(failure)

    async def _packed(self, object_id: ObjectId, result: Result) -> Parcel:
        buffers = [bytes_of(it) for it in result.buffers]
        if sum(map(len, buffers)) <= self._limits.inline_array:
            return Parcel(object_id, result.value, buffers)
        joined = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        source = ArraySource(np.frombuffer(joined, np.uint8))
        return Parcel(object_id, result.value, source=source)

    async def _of_store(self, session: LinkSession, object_id: ObjectId, label: Label) -> Parcel:
        size = label.meta.nbytes
        if size <= self._limits.inline_array:
            array = await self._ask(session, object_id, self._store.get)
            value = ArrayValue(header_of(array, buffer=0))
            return Parcel(object_id, value, (raw_bytes(array),))
        exported = await self._ask(session, object_id, self._store.export)
        header = ArrayHeader(label.meta.dtype.name, label.meta.shape, 0)
        return Parcel(object_id, ArrayValue(header), source=source_of(exported, size))

    async def _ask(
        self,
        session: LinkSession,
        object_id: ObjectId,
        ask_store: Callable[[ObjectId], Awaitable[Taken]],
    ) -> Taken:
        try:
            return await ask_store(object_id)
        except KeyError:
            require_objects(session).find(object_id)  # it failed meanwhile: raises why
            raise ObjectGoneError(object_id=short(object_id), domain=self._domain) from None
