"""Operations on objects of a domain, and taking their values home."""

from typing import Annotated

from msgspec import Meta, Struct

from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.messages.base import (
    MAX_INPUTS,
    MAX_OPERATIONS,
    BaseMessage,
    FailedOp,
    Id,
    OptionalName,
)

TICKS_PER_S = 100_000


class Slice(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A Python slice."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


Operand = Id | int | float | bool | ArrayHeader
"""An object of the domain, a number (weakly typed, as in numpy), or an array of this frame."""

Param = (
    int
    | float
    | bool
    | None
    | Annotated[str, Meta(max_length=16)]
    | Slice
    | Annotated[tuple[int, ...], Meta(max_length=32)]
)


class Op(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One operation: apply ``name`` to ``inputs`` and keep the result as ``out``."""

    name: Annotated[str, Meta(max_length=16)]
    out: Id
    inputs: Annotated[tuple[Operand, ...], Meta(max_length=MAX_INPUTS)]
    params: Annotated[tuple[Param, ...], Meta(max_length=64)] = ()


class Operate(BaseMessage, frozen=True, tag="operate"):
    """Operations in order, then objects that are needed no more."""

    ops: Annotated[tuple[Op, ...], Meta(max_length=MAX_OPERATIONS)]
    free: Annotated[tuple[Id, ...], Meta(max_length=2 * MAX_OPERATIONS)] = ()


Ticks = Annotated[int, Meta(ge=0, lt=1 << 40)]


class Spent(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Where the domain's time went, in ticks of 10 microseconds."""

    gateway: Ticks = 0
    store_queue: Ticks = 0
    store: Ticks = 0


class Operated(BaseMessage, frozen=True, tag="operated"):
    """The operations were done, except these."""

    failed: Annotated[tuple[FailedOp, ...], Meta(max_length=MAX_OPERATIONS)] = ()
    spent: Spent = Spent()


class Get(BaseMessage, frozen=True, tag="get"):
    """Asks for the values of an object, by the right of ``account`` (empty: the first login)."""

    object_id: Id
    account: OptionalName = ""


class Value(BaseMessage, frozen=True, tag="value"):
    """The values of an object."""

    header: ArrayHeader
