"""How a domain computes: operations are admitted here, by labels, and carried out by the store."""

import time
from collections.abc import Sequence

import msgspec

from actors.calls import Calls
from actors.gateway import Answer, LinkSession, require_account, require_objects
from actors.ports import FailedObject, StorePort
from p2pgrid.errors import ObjectGoneError
from p2pgrid.ids import ObjectId, short
from p2pgrid.policy.objects import PREFIX_BYTES, SessionObjects
from p2pgrid.protocol import faults
from p2pgrid.protocol.messages import TICKS_PER_S, FailedOp, Failure, Op, Operate, Operated, Spent

_encoder = msgspec.msgpack.Encoder()


class Computing:
    """The operations of a domain's sessions; each batch costs one hop inside the cluster."""

    def __init__(self, *, domain: str, store: StorePort, calls: Calls) -> None:
        self._domain, self._store, self._calls = domain, store, calls

    async def operate(
        self, session: LinkSession, message: Operate, buffers: Sequence[memoryview]
    ) -> Answer:
        """Answers what failed, and where the time went."""
        started = time.perf_counter()
        require_account(session, "", action="computing", domain=self._domain)
        objects = require_objects(session)
        admitted, failed = self._admit(objects, message, buffers)
        handed_on = time.perf_counter()
        done = await self._store.execute(_encoder.encode(admitted), buffers)
        store_s = time.perf_counter() - handed_on
        failed += self._poisoned(objects, admitted.ops, done.failed)
        spent = _ticks(handed_on - started, store_s - done.ran_s, done.ran_s)
        return Answer(Operated(tuple(failed), spent))

    def _admit(
        self, objects: SessionObjects, message: Operate, buffers: Sequence[memoryview]
    ) -> tuple[Operate, list[FailedOp]]:
        """The part of a message that the store may carry out, and what was refused."""
        admitted: list[Op] = []
        refused: list[FailedOp] = []
        sizes = tuple(map(len, buffers))
        for op in message.ops:
            failure = objects.admit(op, sizes)
            if failure is None:
                admitted.append(op)
            else:
                refused.append(FailedOp(out=op.out, failure=failure))
        free = tuple(each for each in message.free if each[:PREFIX_BYTES] == objects.prefix)
        free = self._calls.free(objects.prefix, free)
        for object_id in free:
            objects.free(object_id)
        return Operate(ops=tuple(admitted), free=free), refused

    def _poisoned(
        self, objects: SessionObjects, admitted: Sequence[Op], failed: Sequence[FailedObject]
    ) -> list[FailedOp]:
        """What the store could not do, each with its first cause."""
        ops = {op.out: op for op in admitted} if failed else {}
        return [
            FailedOp(
                out=out,
                failure=objects.poison(
                    out, objects.first_failure(ops[out]) or self._failure(out, reference)
                ),
            )
            for out, reference in failed
        ]

    def _failure(self, out: ObjectId, reference: str) -> Failure:
        if reference:
            return faults.internal(reference)
        gone = ObjectGoneError(object_id=f"that {short(out)} needs", domain=self._domain)
        return faults.failure_of(gone)


def _ticks(*seconds: float) -> Spent:
    """Rounded, so that a client learns no more of the domain than a round trip tells."""
    return Spent(*(max(0, round(part * TICKS_PER_S)) for part in seconds))
