"""Messages between processes of one node: ``u32 header size | u32 body size | header | buffers``.

The header is MessagePack of typed structs and has the sizes of the buffers; nothing is pickled
here either. Both ends are the node's own, so sizes are believed, but memory is taken as bytes come.
"""

import struct
from collections.abc import Sequence
from io import RawIOBase
from itertools import accumulate
from typing import BinaryIO

from p2pgrid.protocol.codec import Buffer

SIZES = struct.Struct("<II")
PIECE_BYTES = 1 << 26


def chunks_of(header: bytes, buffers: Sequence[Buffer]) -> list[Buffer]:
    """What is written for one message."""
    return [SIZES.pack(len(header), sum(map(len, buffers))) + header, *buffers]


def split(body: memoryview, sizes: Sequence[int]) -> list[memoryview]:
    """The buffers of a body."""
    ends = list(accumulate(sizes))
    return [body[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def read_exactly(incoming: BinaryIO | RawIOBase, size: int) -> bytes:
    """So many bytes; memory is taken for ``PIECE_BYTES`` at a time, as they come.

    Raises:
        EOFError: the other end hung up.
    """
    pieces = []
    while size:
        piece = incoming.read(min(size, PIECE_BYTES))
        if not piece:
            raise EOFError
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
