"""Objects that go from domain to domain."""

from typing import Annotated

from msgspec import Meta

from p2pgrid.protocol.messages.base import (
    BaseMessage,
    EncodedCapability,
    Failure,
    Id,
    OptionalName,
    Peer,
)
from p2pgrid.protocol.values import Value as CallValue


class MoveObject(BaseMessage, frozen=True, tag="move-object"):
    """Asks a domain to push an object to another one, which knows it as ``out`` from then on.

    ``capability`` is one of that domain; it lets this domain's node, and nobody else, deposit
    the object there.
    """

    object_id: Id
    to: Peer
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(max_length=16)]
    capability: EncodedCapability
    out: Id
    account: OptionalName = ""


class Deposit(BaseMessage, frozen=True, tag="deposit"):
    """A domain gives another one a value under a name that a session there waits for.

    The audience of the capability is the key of the domain that sends this, which the transport
    has proved. Buffers that are large were ``uploaded`` before, in one, under the same id.
    """

    out: Id
    value: CallValue
    capability: EncodedCapability
    uploaded: bool = False


class Abandon(BaseMessage, frozen=True, tag="abandon"):
    """Nothing will be deposited under this name: what waits for it fails with ``failure``."""

    out: Id
    failure: Failure
