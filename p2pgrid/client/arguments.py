"""Arguments of a call: what travels, checked against the signature before anything is sent."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from p2pgrid.client.arriving import arriving
from p2pgrid.client.call_batch import (
    CALL_BYTES,
    MAX_HEADER_BYTES,
    Named,
    PackedCall,
    Positional,
)
from p2pgrid.client.handle import Handle
from p2pgrid.client.home import Home
from p2pgrid.client.session import Session
from p2pgrid.errors import TooLargeError
from p2pgrid.ids import ObjectId
from p2pgrid.protocol.codec import MAX_BUFFERS
from p2pgrid.protocol.messages import Call, Make
from p2pgrid.protocol.signatures import Parameter, check_arguments
from p2pgrid.protocol.values import Packer, Ref, Reference

_encoder = msgspec.msgpack.Encoder()


def packed(
    args: Sequence[object],
    kwargs: Mapping[str, object],
    parameters: Sequence[Parameter],
    *,
    call: str,
    make: Callable[[ObjectId, Positional, Named], Make | Call],
    domain: Home,
) -> PackedCall:
    """A call that fits; arrays are copied as they are at this moment.

    Raises:
        ArgumentError: it does not fit the signature.
        ValueTypeError, DtypeError, TooLargeError: a value cannot travel.
        ForeignPointerError: a pointer is of another domain.
        ObjectGoneError: a pointer is of a session that has ended.
        P2PGridError: why a pointer's object was not made, where that is known.
    """
    buffers: list[bytes] = []
    packer = Packer(
        buffers,
        ref_of=lambda value: _reference(value, domain) if isinstance(value, Handle) else None,
        array_limit=domain.literal_limit,
    )
    positional = tuple(packer.pack(value) for value in args)
    named = {name: packer.pack(value) for name, value in kwargs.items()}
    check_arguments(parameters, positional, named, call=call)
    header_size = CALL_BYTES + len(_encoder.encode((positional, named)))
    _check("bytes of arguments beside arrays", header_size, MAX_HEADER_BYTES)
    _check("arrays of a call", len(buffers), MAX_BUFFERS)
    _check("bytes of arrays of a call", sum(map(len, buffers)), domain.literal_limit)
    return PackedCall(make, positional, named, buffers, header_size)


def ready_for(handle: Handle) -> Session:
    """The session in which a handle's object is used now.

    Raises:
        ObjectGoneError: it is of a session that has ended.
        P2PGridError: why the object was not made, where that is known.
    """
    return handle._domain.session_for(handle._sessions())


def _reference(handle: Handle, domain: Home) -> Reference:
    if handle.location != domain.peer_id:
        return arriving(handle, domain)
    ready_for(handle)
    return Ref(handle._id)


def _check(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(what=what, size=size, limit=limit)
