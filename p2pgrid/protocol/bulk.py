"""The bulk plane: large arrays as checked chunks, and how far a transfer has come; pure.

Rule 1: bytes move in order, in chunks whose ends both sides know beforehand; every chunk carries
its checksum, and one that is out of place or damaged is refused whole.
Rule 2: ``durable <= moved <= size``, and ``durable`` never goes back. Only durable bytes count.
Rule 3: after a break a transfer goes on at ``durable``: what is durable is never sent again.
Rule 4: a connection is let in by a proof that is bound to one token, to both peer ids, to the
certificate of the server and to one transfer.
"""

import hashlib
import hmac
import struct
from typing import NamedTuple

from xxhash import xxh3_64_digest

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.ids import ID_BYTES, PeerId
from p2pgrid.protocol.codec import Buffer
from p2pgrid.protocol.messages import DIGEST_BYTES

CHUNK_BYTES = 1 << 20
"""Measured on loopback: a quarter of it costs 5 % more CPU, four times as much is no quicker."""
LINK_CHUNK_BYTES = 256 << 10
"""A chunk on the control stream, where operations and heartbeats have to pass between two."""

_HEADER = struct.Struct(f"<QI{DIGEST_BYTES}s")
_MARK = struct.Struct("<Q")
HEADER_BYTES = _HEADER.size
MARK_BYTES = _MARK.size
PROOF_BYTES = 32
HELLO_BYTES = ID_BYTES + PROOF_BYTES

_PURPOSE = b"p2pgrid bulk plane 1"


class Progress:
    """How far a transfer of ``size`` bytes has come, at either end; see rules 1 to 3."""

    def __init__(self, size: int, *, durable: int = 0) -> None:
        if not 0 <= durable <= size:
            raise RemoteProtocolError(f"{durable:,} of {size:,} bytes cannot be durable")
        self.size = size
        self.durable = durable
        """Bytes that survive a crash of the receiver."""
        self.moved = durable
        """Bytes that were sent, or that were received whole."""

    @property
    def is_whole(self) -> bool:
        """True when nothing is left to do."""
        return self.durable == self.size

    def next_chunk(self, most: int = CHUNK_BYTES) -> int:
        """The size of the chunk that begins at ``moved``; 0 when all has moved."""
        return min(most, self.size - self.moved)

    def move(self, size: int) -> None:
        """Notes that a checked chunk has moved."""
        self.moved += size

    def check(self, offset: int, size: int, most: int = CHUNK_BYTES) -> None:
        """Refuses what is not the next chunk.

        Raises:
            RemoteProtocolError: it is at another place, or has another size.
        """
        if (offset, size) != (self.moved, self.next_chunk(most)) or size == 0:
            raise RemoteProtocolError(
                f"a chunk of {size:,} bytes at {offset:,} came; "
                f"{self.next_chunk(most):,} at {self.moved:,} were due"
            )

    def confirm(self, durable: int) -> None:
        """Notes that the first ``durable`` bytes are safe; an old confirmation changes nothing.

        Raises:
            RemoteProtocolError: so many have not moved.
        """
        if durable > self.moved:
            raise RemoteProtocolError(f"{durable:,} bytes are called safe, {self.moved:,} moved")
        self.durable = max(self.durable, durable)

    def resume(self) -> int:
        """Goes back to what is durable, after a break; where to go on."""
        self.moved = self.durable
        return self.durable


class ChunkHeader(NamedTuple):
    """What precedes the bytes of a chunk on a socket."""

    offset: int
    size: int
    digest: bytes

    def encode(self) -> bytes:
        """The ``HEADER_BYTES`` bytes of the header."""
        return _HEADER.pack(*self)


def read_header(data: Buffer) -> ChunkHeader:
    """The header of a chunk; what it claims is checked by ``Progress``."""
    return ChunkHeader(*_HEADER.unpack(data))


def digest_of(chunk: Buffer) -> bytes:
    """The checksum of a chunk (XXH3, 64 bits): against mistakes, not against people.

    TLS and noise keep strangers out; this finds what breaks in memory and on the way to the disk.
    XXH3 reads 25 GB/s here, CRC-32 4: with CRC-32 a transfer costs a third more CPU.
    """
    return xxh3_64_digest(chunk)


def check_digest(chunk: Buffer, digest: bytes) -> None:
    """Compares a chunk with its checksum.

    Raises:
        RemoteProtocolError: they do not fit.
    """
    if digest_of(chunk) != digest:
        raise RemoteProtocolError(f"a chunk of {len(chunk):,} bytes was damaged on the way")


def write_mark(durable: int) -> bytes:
    """What a receiver answers on a socket: so many bytes are durable."""
    return _MARK.pack(durable)


def read_mark(data: Buffer) -> int:
    """The number that ``write_mark`` wrote."""
    return int(_MARK.unpack(data)[0])


class Binding(NamedTuple):
    """All that a connection of the bulk plane is bound to."""

    client: PeerId
    server: PeerId
    fingerprint: bytes
    """SHA-256 of the server's certificate: as given out on one side, as seen on the other."""
    transfer_id: bytes

    def hello(self, token: bytes) -> bytes:
        """The first ``HELLO_BYTES`` bytes of the client: the transfer and the proof."""
        return self.transfer_id + self.proof(token)

    def proof(self, token: bytes) -> bytes:
        """Shows that one has the token, without giving it away (HMAC-SHA-256)."""
        parts = (self.client.encode(), self.server.encode(), self.fingerprint, self.transfer_id)
        text = _PURPOSE + b"".join(len(part).to_bytes(2, "big") + part for part in parts)
        return hmac.digest(token, text, hashlib.sha256)


def read_hello(data: bytes) -> tuple[bytes, bytes]:
    """The transfer id and the proof of a hello."""
    return data[:ID_BYTES], data[ID_BYTES:]


def is_proof(claimed: bytes, expected: bytes) -> bool:
    """Compares in a time that does not depend on the bytes."""
    return hmac.compare_digest(claimed, expected)
