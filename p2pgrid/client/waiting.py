"""``get``, ``wait``, ``cancel`` and ``kill``, in Ray's words; ``aio`` has awaitable twins."""

from collections.abc import Sequence
from concurrent.futures import Future, wait as wait_for
from typing import Any, overload

from p2pgrid.client.actor_pointer import ActorPointer
from p2pgrid.client.arguments import ready_for
from p2pgrid.client.call_result import ResultPointer
from p2pgrid.client.calls import checked
from p2pgrid.client.handle import Handle
from p2pgrid.client.pointer import TensorPointer
from p2pgrid.client.taking import Gathering
from p2pgrid.client.watching import Watch
from p2pgrid.errors import ArgumentError
from p2pgrid.net.link import Reply
from p2pgrid.protocol.messages import CancelCall, Done, KillActor, Message

Gettable = ResultPointer | TensorPointer


@overload
def get(pointers: Gettable, *, timeout: float | None = None) -> Any: ...


@overload
def get(pointers: Sequence[Gettable], *, timeout: float | None = None) -> list[Any]: ...


def get(pointers: Gettable | Sequence[Gettable], *, timeout: float | None = None) -> Any:
    """Waits for results and takes them home; a list of them in few messages.

    Results of calls stay at their domain until their pointers are gone. Tensors are taken as
    ``TensorPointer.get`` does, after the results, and ``timeout`` does not bound them.

    Args:
        pointers: one, or a list, of any domains.
        timeout: seconds; None waits as long as it takes, 0 takes what is there.

    Returns:
        The value, or a list of values in the same order. Arrays are read-only.

    Raises:
        GetTimeoutError: a result did not come in time; it may still come.
        GetNotPermittedError: private data went into a result, and their owner has not allowed you.
        TaskError: the method raised.
        ActorDiedError, ActorUnavailableError, ActorUnschedulableError: the actor did not do it.
        TaskCancelledError: it was cancelled, or took longer than its ``timeout``.
        ObjectGoneError: the session of a pointer has ended.
        TransportError: the link broke while the call was sent, or while we waited.
    """
    several = chosen(pointers)
    results = [it for it in several if isinstance(it, ResultPointer)]
    values = iter(Gathering(results, timeout=timeout).wait() if results else ())
    found = [next(values) if isinstance(it, ResultPointer) else it.get() for it in several]
    return found if isinstance(pointers, list | tuple) else found[0]


def wait(
    results: Sequence[ResultPointer], *, num_returns: int = 1, timeout: float | None = None
) -> tuple[list[ResultPointer], list[ResultPointer]]:
    """Waits until some results are there, or have failed; takes nothing home.

    Args:
        results: of any domains, each once.
        num_returns: how many to wait for.
        timeout: seconds; None waits as long as it takes, 0 tells what is there.

    Returns:
        At most ``num_returns`` that are ready, and all others, both in the order given.

    Raises:
        SchemaError: ``num_returns`` is not from 1 to the number of results, or one is there twice.
        ObjectGoneError: the session of a pointer has ended.
        TransportError: a link broke.
    """
    watch = Watch(results, num_returns=num_returns, timeout=timeout)
    try:
        wait_for((watch.done,), watch.patience_s)
    finally:
        late = watch.done.cancel()
    if not late:
        watch.done.result()
    return watch.split()


def cancel(result: ResultPointer, *, force: bool = False) -> None:
    """Cancels a call: one that has not begun is not begun, and ``get`` raises.

    Args:
        result: of the call; nothing happens when it has ended.
        force: one that runs ends, and its actor with it.

    Raises:
        P2PGridError: why the call was not made, or what became of the link.
    """
    checked(ordered(result, CancelCall(result._id, force)).result().message, Done)


def kill(actor: ActorPointer) -> None:
    """Ends an actor at once; what it has under way, and later calls, raise ``ActorDiedError``.

    Raises:
        PermissionDeniedError: it is not yours.
        P2PGridError: why the actor was not made, or what became of the link.
    """
    checked(ordered(actor, KillActor(actor._id)).result().message, Done)


def chosen(pointers: object) -> list[Gettable]:
    """What ``get`` was given, as a list.

    Raises:
        ArgumentError: there is something in it that has no value.
    """
    several = pointers if isinstance(pointers, list | tuple) else (pointers,)
    for each in several:
        if not isinstance(each, ResultPointer | TensorPointer):
            problem = f"takes pointers to results and tensors, got {type(each).__name__}"
            raise ArgumentError(call="get", problem=problem)
    return list(several)


def ordered(handle: Handle, message: Message) -> "Future[Reply]":
    """Sends an order about a handle's object, after what was made so far."""
    return ready_for(handle).inquire(message, 0.0)
