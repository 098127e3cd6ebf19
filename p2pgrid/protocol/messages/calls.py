"""Actors that owners export: making them, calling them, taking what they return."""

from typing import Annotated

from msgspec import Meta, Struct

from p2pgrid.protocol.messages.base import (
    MAX_OPERATIONS,
    BaseMessage,
    ByteCount,
    FailedOp,
    Failure,
    Id,
    Name,
    OptionalName,
)
from p2pgrid.protocol.signatures import ActorClassInfo, Identifier
from p2pgrid.protocol.values import Value as CallValue

MAX_CALLS = 4096

MAX_CLASSES = 256

MAX_WAIT_S = 20.0

"""How long a node keeps a question about results open; whoever waits longer asks again."""


class ListClasses(BaseMessage, frozen=True, tag="list-classes"):
    """An account asks which classes the owner has exported."""


class Classes(BaseMessage, frozen=True, tag="classes"):
    """The exported classes."""

    classes: Annotated[tuple[ActorClassInfo, ...], Meta(max_length=MAX_CLASSES)]


Seconds = Annotated[float, Meta(ge=0, le=1e9)]

Amount = Annotated[float, Meta(ge=0, le=1e6)]

Arguments = Annotated[tuple[CallValue, ...], Meta(max_length=32)]

NamedArguments = Annotated[dict[Identifier, CallValue], Meta(max_length=32)]


class ActorOptions(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an actor asks of Ray, in Ray's words; ``memory`` in bytes."""

    num_cpus: Amount = 0.0
    num_gpus: Amount = 0.0
    memory: ByteCount = 0
    max_restarts: Annotated[int, Meta(ge=-1, le=1000)] = 0
    name: OptionalName = ""
    """A named actor of an owner outlives its session; others find it by its name."""


class Make(Struct, frozen=True, tag="make", array_like=True, forbid_unknown_fields=True):
    """Make an actor of an exported class, and call it ``out``."""

    out: Id
    cls: Identifier
    args: Arguments = ()
    kwargs: NamedArguments = {}
    options: ActorOptions = ActorOptions()


class Call(Struct, frozen=True, tag="call", array_like=True, forbid_unknown_fields=True):
    """Call a method of an actor, and keep its result as ``out``.

    Calls of one session to one actor are carried out in the order in which they were made.
    """

    out: Id
    actor: Id
    method: Identifier
    args: Arguments = ()
    kwargs: NamedArguments = {}
    timeout_s: Seconds | None = None
    """Cancel it when it has no result by then, counted from its arrival; None: never."""


class Invoke(BaseMessage, frozen=True, tag="invoke"):
    """Actors to make and methods to call, in order; then objects that are needed no more."""

    calls: Annotated[tuple[Make | Call, ...], Meta(max_length=MAX_CALLS)]
    free: Annotated[tuple[Id, ...], Meta(max_length=2 * MAX_OPERATIONS)] = ()


class Invoked(BaseMessage, frozen=True, tag="invoked"):
    """The calls are under way, except these, which were refused."""

    failed: Annotated[tuple[FailedOp, ...], Meta(max_length=MAX_CALLS)] = ()


class AwaitResults(BaseMessage, frozen=True, tag="await-results"):
    """Asks which of these have a result, or failed, once ``num_returns`` have, or time is up."""

    object_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MAX_CALLS)]
    num_returns: Annotated[int, Meta(ge=1, le=MAX_CALLS)]
    timeout_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)]


class Ready(BaseMessage, frozen=True, tag="ready"):
    """These have a result, or failed, in the order in which they were asked for."""

    object_ids: Annotated[tuple[Id, ...], Meta(max_length=MAX_CALLS)]


class TakeResults(BaseMessage, frozen=True, tag="take-results"):
    """Asks for results by the right of ``account``; answered when the first of them is there.

    ``timeout_s`` bounds the wait. An answer holds as many as are ready and fit, from the front.
    """

    object_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MAX_CALLS)]
    timeout_s: Annotated[float, Meta(ge=0, le=MAX_WAIT_S)]
    account: OptionalName = ""


class Outcome(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A result, or why there is none; the arrays of all outcomes are the frame's buffers."""

    value: CallValue = None
    failure: Failure | None = None


class Results(BaseMessage, frozen=True, tag="results"):
    """The outcomes of the first of the objects asked for; none when time was up."""

    outcomes: Annotated[tuple[Outcome, ...], Meta(max_length=MAX_CALLS)]


class CancelCall(BaseMessage, frozen=True, tag="cancel-call"):
    """Cancels a call: one that waits is not begun; with ``force`` one that runs ends its actor."""

    object_id: Id
    force: bool = False


class KillActor(BaseMessage, frozen=True, tag="kill-actor"):
    """Ends an actor at once; what it has under way fails."""

    object_id: Id


class FindActor(BaseMessage, frozen=True, tag="find-actor"):
    """Asks for a named actor."""

    name: Name


class ActorFound(BaseMessage, frozen=True, tag="actor-found"):
    """The named actor and its class."""

    object_id: Id
    cls: ActorClassInfo
