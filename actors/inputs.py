"""What the references among the arguments of a call stand for, and how it comes.

A tensor is fetched from the store: a small one as bytes, a large one as a file that the actor's
process maps, so it is never copied through the gateway. A result of another call is waited for,
and so is what another domain will deposit.
"""

import asyncio
from collections.abc import Callable, Sequence

from actors.host_channel import FileArray
from actors.loop import end_tasks
from actors.pending import Arrays, PendingCall
from actors.ports import StorePort
from actors.results import Result
from p2pgrid.config import Limits
from p2pgrid.errors import (
    ArgumentError,
    MoveFailedError,
    ObjectGoneError,
    P2PGridError,
    RemoteProtocolError,
    UnavailableError,
)
from p2pgrid.ids import ObjectId, short
from p2pgrid.policy.access import Label
from p2pgrid.policy.objects import PREFIX_BYTES, SessionObjects
from p2pgrid.protocol.arrays import ArrayHeader, header_of, raw_bytes
from p2pgrid.protocol.values import (
    ArrayValue,
    Arriving,
    Reference,
    check_bounds,
    is_plain,
    kept,
    references_in,
    transfer,
)

IsActor = Callable[[bytes], bool]


class Inputs:
    """Gives calls what they need."""

    def __init__(self, store: StorePort, *, limits: Limits, domain: str, move_s: float) -> None:
        self._store, self._limits, self._domain = store, limits, domain
        self._move_s = move_s
        self._fetches: set[asyncio.Task[None]] = set()

    def give(
        self,
        call: PendingCall,
        objects: SessionObjects,
        is_actor: IsActor,
        buffers: Sequence[memoryview],
    ) -> None:
        """Copies the arrays of a call out of its frame, and looks its references up.

        Raises:
            RemoteProtocolError: our client would not send such arguments.
            ObjectGoneError: an object does not exist.
            ArgumentError: an object cannot be an argument.
            QuotaExceededError: the session has no room.
        """
        values = (*call.args, *call.kwargs.values())
        if all(map(is_plain, values)):
            return
        arrays: Arrays = []
        for value in values:
            check_bounds(value)
        args = tuple(transfer(it, buffers, arrays, resolve=kept) for it in call.args)
        named = call.kwargs.items()
        kwargs = {name: transfer(it, buffers, arrays, resolve=kept) for name, it in named}
        call.hold(sum(map(len, arrays)))
        call.carry(args, kwargs, [bytes(it) for it in arrays])
        references = {it.object_id: it for value in values for it in references_in(value)}
        call.need(
            {
                object_id: self._find(call, objects, is_actor, reference)
                for object_id, reference in references.items()
            }
        )

    async def settled(self) -> None:
        """Returns when all that was asked of the store so far is here."""
        await asyncio.gather(*self._fetches)

    async def close(self) -> None:
        """Fetches no more."""
        await end_tasks(self._fetches)

    def _find(
        self, call: PendingCall, objects: SessionObjects, is_actor: IsActor, reference: Reference
    ) -> Result:
        object_id = ObjectId(reference.object_id)
        if isinstance(reference, Arriving):
            return self._arriving(call, objects, object_id)
        if is_actor(object_id):
            problem = "was given an actor; actors cannot be arguments"
            raise ArgumentError(call=call.callee.name, problem=problem)
        known = call.results.get(object_id)
        return known if known is not None else self._fetched(objects, object_id)

    def _arriving(self, call: PendingCall, objects: SessionObjects, object_id: ObjectId) -> Result:
        if object_id[:PREFIX_BYTES] != objects.prefix:
            raise RemoteProtocolError(f"{short(object_id)} is no name of this session")
        known = call.results.get(object_id)
        if known is not None:
            return known
        result = call.results.open(object_id, Result())
        late = asyncio.get_running_loop().call_later(self._move_s, self._give_up, object_id, result)
        result.then(late.cancel)
        return result

    def _give_up(self, object_id: ObjectId, result: Result) -> None:
        """Nobody said that it would not come."""
        named, other = short(object_id), "another domain"
        result.fail(
            MoveFailedError(object_id=named, domain=other, to=self._domain, reason="unanswered")
        )

    def _fetched(self, objects: SessionObjects, object_id: ObjectId) -> Result:
        label = objects.find(object_id)
        result = Result(sources=label.sources)
        fetch = self._fetch(objects, object_id, label, result)
        task = asyncio.get_running_loop().create_task(fetch)
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)
        return result

    async def _fetch(
        self, objects: SessionObjects, object_id: ObjectId, label: Label, result: Result
    ) -> None:
        try:
            if label.meta.nbytes > self._limits.inline:
                await self._map(object_id, label, result)
            else:
                array = await self._store.get(object_id)
                result.settle(ArrayValue(header_of(array, buffer=0)), [raw_bytes(array)])
        except KeyError:
            result.fail(self._why_gone(objects, object_id))
        except P2PGridError:  # the store's own failure: its log has the cause
            result.fail(UnavailableError(domain=self._domain))

    async def _map(self, object_id: ObjectId, label: Label, result: Result) -> None:
        path, start, is_temporary = await self._store.export(object_id)
        if is_temporary:
            result.remove_with_it(path)
        meta = label.meta
        header = ArrayHeader(meta.dtype.name, meta.shape, 0)
        result.settle(ArrayValue(header), [FileArray(str(path), start, meta.nbytes)])

    def _why_gone(self, objects: SessionObjects, object_id: ObjectId) -> P2PGridError:
        try:
            objects.find(object_id)
        except P2PGridError as failure:  # it failed meanwhile
            return failure
        return ObjectGoneError(object_id=short(object_id), domain=self._domain)
