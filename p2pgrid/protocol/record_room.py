"""Whether the public record of a dataset has room in one message, wherever its domain moves."""

import msgspec
from msgspec.structs import replace

from p2pgrid.errors import TooLargeError
from p2pgrid.protocol.messages.base import MAX_RECORD_BYTES
from p2pgrid.protocol.records import DatasetRecord

ROOM = 6 * 1024
"""Bytes for what the domain adds: its name, addresses, numbers, and the signature."""
MAX_PUBLIC_BYTES = MAX_RECORD_BYTES - ROOM

_encoder = msgspec.msgpack.Encoder()


def require_room(body: DatasetRecord) -> None:
    """Checks what is public of a dataset, before anything is sent, and again where it comes.

    Raises:
        TooLargeError: more than ``MAX_PUBLIC_BYTES``.
    """
    fixed = replace(
        body, domain="", addresses=(), frameworks=(), version=0, seq=0, expires=0, uploaded=0
    )
    size = len(_encoder.encode(fixed))
    if size > MAX_PUBLIC_BYTES:
        raise TooLargeError(
            what=(
                f"bytes of what is public of {body.name[:40]!r} (its description, schema and "
                f"{len(body.tensors):,} arrays)"
            ),
            size=size,
            limit=MAX_PUBLIC_BYTES,
        )
