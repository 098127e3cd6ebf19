"""``get``, ``wait``, ``cancel`` and ``kill`` for programs with an event loop of asyncio.

    value = await aio.get(pointer, timeout=2.0)
    value = await pointer

They do what their twins in ``p2pgrid`` do, with the same arguments and errors, and no thread
waits. Calls (``pointer.method.remote()``) return at once anyway; only where a link has to be
dialled first, or 16 batches wait to be sent, do they take longer. Waiting may be cancelled as any
task; that does not cancel the call.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from p2pgrid.client.actor_pointer import ActorPointer
from p2pgrid.client.call_result import ResultPointer
from p2pgrid.client.calls import checked
from p2pgrid.client.handle import Handle
from p2pgrid.client.taking import fetched
from p2pgrid.client.waiting import Gettable, chosen, ordered
from p2pgrid.client.watching import Watch
from p2pgrid.protocol.messages import CancelCall, Done, KillActor, Message


async def get(pointers: Gettable | Sequence[Gettable], *, timeout: float | None = None) -> Any:
    """Waits for results and takes them home; see ``p2pgrid.get``.

    A tensor is taken home in a thread; ``timeout`` does not bound it.
    """
    several = chosen(pointers)
    results = [it for it in several if isinstance(it, ResultPointer)]
    values = iter(await fetched(results, timeout_s=timeout) if results else ())
    found = [
        next(values) if isinstance(it, ResultPointer) else await asyncio.to_thread(it.get)
        for it in several
    ]
    return found if isinstance(pointers, list | tuple) else found[0]


async def wait(
    results: Sequence[ResultPointer], *, num_returns: int = 1, timeout: float | None = None
) -> tuple[list[ResultPointer], list[ResultPointer]]:
    """Waits until some results are there, or have failed; see ``p2pgrid.wait``."""
    watch = Watch(results, num_returns=num_returns, timeout=timeout)
    await asyncio.wait((asyncio.wrap_future(watch.done),), timeout=watch.patience_s)
    if not watch.done.cancel():
        watch.done.result()
    return watch.split()


async def cancel(result: ResultPointer, *, force: bool = False) -> None:
    """Cancels a call; see ``p2pgrid.cancel``."""
    await _order(result, CancelCall(result._id, force))


async def kill(actor: ActorPointer) -> None:
    """Ends an actor at once; see ``p2pgrid.kill``."""
    await _order(actor, KillActor(actor._id))


async def _order(handle: Handle, message: Message) -> None:
    reply = await asyncio.wrap_future(ordered(handle, message))
    checked(reply.message, Done)
