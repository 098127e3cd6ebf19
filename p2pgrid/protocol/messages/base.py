"""What messages of all families share: names, caps, failures."""

from typing import Annotated

from msgspec import Meta, Struct

WIRE_VERSION = 1

MAX_OPERATIONS = 4096

MAX_INPUTS = 64

MAX_RECORD_BYTES = 64 * 1024

MAX_RECORDS = 1000

MAX_CAPABILITY_BYTES = 4096

Id = Annotated[bytes, Meta(min_length=16, max_length=16)]

Name = Annotated[str, Meta(min_length=1, max_length=128)]

OptionalName = Annotated[str, Meta(max_length=128)]

Peer = Annotated[str, Meta(min_length=1, max_length=64)]

Text = Annotated[str, Meta(max_length=16_384)]

Tags = Annotated[tuple[Annotated[str, Meta(max_length=100)], ...], Meta(max_length=32)]

Record = Annotated[bytes, Meta(max_length=MAX_RECORD_BYTES)]

Records = Annotated[tuple[Record, ...], Meta(max_length=MAX_RECORDS)]

PublicKey = Annotated[bytes, Meta(min_length=32, max_length=32)]

EncodedCapability = Annotated[bytes, Meta(max_length=MAX_CAPABILITY_BYTES)]

"""An encoded ``protocol.capability.Capability``; empty: none."""

ByteCount = Annotated[int, Meta(ge=0, lt=1 << 62)]


class BaseMessage(Struct, frozen=True, forbid_unknown_fields=True):
    """Common settings of all messages."""


class Failure(BaseMessage, frozen=True, tag="failure"):
    """A refusal or mistake: a code of ``errors`` and public fields; never a free text."""

    code: int
    fields: Annotated[
        dict[
            Annotated[str, Meta(max_length=32)], Annotated[str, Meta(max_length=400)] | int | float
        ],
        Meta(max_length=8),
    ]


class FailedOp(BaseMessage, frozen=True, tag="failed-op"):
    """The operation that should have made ``out`` failed, or one that it needs."""

    out: Id
    failure: Failure


class Done(BaseMessage, frozen=True, tag="done"):
    """Done; there is nothing to tell."""
