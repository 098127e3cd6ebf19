"""Arrays too large for a message: the control side of the bulk plane."""

from typing import Annotated

from msgspec import Meta, Struct

from p2pgrid.protocol.arrays import DtypeName, Shape
from p2pgrid.protocol.messages.base import (
    BaseMessage,
    ByteCount,
    EncodedCapability,
    Id,
    OptionalName,
)

DIGEST_BYTES = 8

TOKEN_BYTES = 32

Digest = Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


class OpenUpload(BaseMessage, frozen=True, tag="open-upload"):
    """An owner begins, or resumes, to send an array for a dataset to come.

    Another domain does the same for a ``Deposit``: all its buffers as one array of uint8.
    """

    object_id: Id
    dtype: DtypeName
    shape: Shape
    capability: EncodedCapability = b""
    """As in ``Deposit``; empty for owners."""


class OpenDownload(BaseMessage, frozen=True, tag="open-download"):
    """Begins, or resumes at ``offset``, to take home a large object; see ``Get``."""

    transfer_id: Id
    object_id: Id
    account: OptionalName = ""
    offset: ByteCount = 0


class Ticket(Struct, frozen=True, forbid_unknown_fields=True):
    """Lets one connection in at the bulk port, once, soon; ``fingerprint`` is its certificate's."""

    port: Annotated[int, Meta(ge=1, le=65_535)]
    fingerprint: Annotated[bytes, Meta(min_length=32, max_length=32)]
    token: Annotated[bytes, Meta(min_length=TOKEN_BYTES, max_length=TOKEN_BYTES)]


class Opened(BaseMessage, frozen=True, tag="opened"):
    """A transfer of ``size`` bytes goes on at ``offset``; without a ticket, by chunks."""

    size: ByteCount
    offset: ByteCount
    ticket: Ticket | None = None


class SendChunk(BaseMessage, frozen=True, tag="send-chunk"):
    """The next chunk of an upload, where no socket connects; its bytes are the only buffer."""

    transfer_id: Id
    offset: ByteCount
    digest: Digest


class Durable(BaseMessage, frozen=True, tag="durable"):
    """So many bytes of the upload are durable."""

    offset: ByteCount


class FetchChunk(BaseMessage, frozen=True, tag="fetch-chunk"):
    """Asks for a chunk of a download, where no socket connects."""

    transfer_id: Id
    offset: ByteCount


class Chunk(BaseMessage, frozen=True, tag="chunk"):
    """A chunk of a download; its bytes are the only buffer."""

    offset: ByteCount
    digest: Digest


class CloseTransfer(BaseMessage, frozen=True, tag="close-transfer"):
    """The transfer is over, or not wanted any more; what was kept of it is removed."""

    transfer_id: Id
