"""Frames: one message and its arrays as bytes, and back, with every length bounded.

A frame is ``u32 size | u32 header size | header | buffer | buffer ...``, little-endian; ``size``
counts what follows it. The header is MessagePack; buffers are raw, so an array is never copied
into the header. Rule 1: whatever bytes come in, decoding gives an ``Envelope`` or raises
``RemoteProtocolError``. Rule 2: nothing is allocated from a claimed length before it was compared
with what is there.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from p2pgrid.errors import RemoteProtocolError, TooLargeError
from p2pgrid.protocol.malformed import MALFORMED
from p2pgrid.protocol.messages import Message

PREFIX_BYTES = 4
MAX_HEADER = 1 << 20
MAX_BUFFERS = 4096

Buffer = bytes | memoryview

_U32 = struct.Struct("<I")


class Kind(IntEnum):
    """What a frame is for."""

    REQUEST = 0
    ANSWER = 1
    PING = 2


class Envelope(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A decoded header; ``request`` numbers requests per link and direction, from 1."""

    kind: Kind
    request: Annotated[int, Meta(ge=0, lt=1 << 62)]
    message: Message | None
    buffer_sizes: Annotated[
        tuple[Annotated[int, Meta(ge=0, lt=1 << 32)], ...], Meta(max_length=MAX_BUFFERS)
    ] = ()


class Frame(Struct, frozen=True):
    """A decoded frame: the envelope and one view per buffer."""

    envelope: Envelope
    buffers: tuple[memoryview, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def encode(
    kind: Kind,
    request: int,
    message: Message | None,
    buffers: Sequence[Buffer] = (),
    *,
    limit: int,
) -> list[Buffer]:
    """The chunks of a frame, to be written one after the other.

    Raises:
        TooLargeError: the frame would be larger than ``limit`` bytes, its header too large, or
            its buffers too many.
    """
    if len(buffers) > MAX_BUFFERS:
        raise TooLargeError(what="buffers of a message", size=len(buffers), limit=MAX_BUFFERS)
    sizes = tuple(len(buffer) for buffer in buffers)
    header = _encoder.encode(Envelope(kind, request, message, sizes))
    size = PREFIX_BYTES + len(header) + sum(sizes)
    if size > limit:
        raise TooLargeError(what="bytes of a message", size=size, limit=limit)
    if len(header) > MAX_HEADER:
        raise TooLargeError(what="bytes of a header", size=len(header), limit=MAX_HEADER)
    return [_U32.pack(size) + _U32.pack(len(header)) + header, *buffers]


def as_frame(body: bytes) -> list[Buffer]:
    """The chunks of a frame whose body is no envelope: what is said before the first request."""
    return [_U32.pack(len(body)) + body]


def frame_size(prefix: bytes, *, limit: int) -> int:
    """The number of bytes that follow the first four of a frame.

    Raises:
        RemoteProtocolError: the claim is impossible or over ``limit``.
    """
    (size,) = _U32.unpack(prefix)
    if not PREFIX_BYTES <= size <= limit:
        raise RemoteProtocolError(f"a frame claims {size:,} bytes; {limit:,} are allowed here")
    return int(size)


def decode(body: Buffer) -> Frame:
    """The frame whose bytes after the size prefix are ``body``; buffers are views of it.

    Raises:
        RemoteProtocolError: the bytes are not a frame.
    """
    view = memoryview(body)
    if len(view) < PREFIX_BYTES:
        raise RemoteProtocolError(f"a frame of {len(view)} bytes has no header")
    (header_size,) = _U32.unpack_from(view)
    start = PREFIX_BYTES + header_size
    if header_size > MAX_HEADER or start > len(view):
        raise RemoteProtocolError(f"a header claims {header_size:,} of {len(view):,} bytes")
    try:
        envelope = _decoder.decode(view[PREFIX_BYTES:start])
    except MALFORMED as error:
        raise RemoteProtocolError("a header is not a message of this protocol") from error
    return Frame(envelope, _split(view[start:], envelope.buffer_sizes))


def _split(view: memoryview, sizes: tuple[int, ...]) -> tuple[memoryview, ...]:
    if sum(sizes) != len(view):
        raise RemoteProtocolError(f"{sum(sizes):,} bytes were announced, {len(view):,} came")
    buffers = []
    start = 0
    for size in sizes:
        buffers.append(view[start : start + size])
        start += size
    return tuple(buffers)
