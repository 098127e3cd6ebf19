"""What is said first on a pipe through a relay; after it the relay only passes bytes on.

A pipe is one TCP connection, or one WebSocket, to a relay. Whoever opened it says in one ``Hello``
what it is for; the relay answers with one byte, a ``Verdict``. What follows is end-to-end
encrypted between the two peers whose pipes the relay joined.
"""

from enum import IntEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.protocol.malformed import MALFORMED

MAX_HELLO_BYTES = 255
"""Its size is the first byte of the pipe."""
TICKET_BYTES = 32

Service = Literal["libp2p", "tls", "bulk"]
"""Ports of a peer to which a pipe may lead: libp2p, control streams over TLS, large arrays."""

PipeTicket = Annotated[bytes, Meta(min_length=TICKET_BYTES, max_length=TICKET_BYTES)]


class Dial(Struct, frozen=True, array_like=True, tag="dial", forbid_unknown_fields=True):
    """Asks for a pipe to a peer that has a place at the relay, or to the relay itself."""

    peer: Annotated[str, Meta(max_length=64, pattern="^[0-9A-Za-z]*$")]
    service: Service


class Take(Struct, frozen=True, array_like=True, tag="take", forbid_unknown_fields=True):
    """Brings a pipe of a peer that was asked for one; the ticket is good once."""

    ticket: PipeTicket


Hello = Dial | Take


class Verdict(IntEnum):
    """The relay's answer to a hello."""

    WELCOME = 0
    NO_PLACE = 1
    FULL = 2
    NOT_COME = 3
    BAD_TICKET = 4


REASONS = {
    Verdict.NO_PLACE: "the peer has no place there; perhaps it is off",
    Verdict.FULL: "it carries as many pipes as it may; repeat later",
    Verdict.NOT_COME: "the peer did not come to take the pipe",
    Verdict.BAD_TICKET: "the ticket is not good, or not any more",
}
"""What the refusals mean, in words."""

_encoder = msgspec.msgpack.Encoder()
_hellos: msgspec.msgpack.Decoder[Hello] = msgspec.msgpack.Decoder(Hello)


def encode_hello(hello: Hello) -> bytes:
    """The first bytes of a pipe: the size, then the hello."""
    body = _encoder.encode(hello)
    return bytes([len(body)]) + body


def decode_hello(body: bytes) -> Hello:
    """The hello whose bytes after the size are ``body``.

    Raises:
        RemoteProtocolError: the bytes are none.
    """
    try:
        return _hellos.decode(body)
    except MALFORMED as error:
        raise RemoteProtocolError("a pipe did not begin with a hello") from error


def decode_verdict(data: bytes) -> Verdict:
    """The relay's answer.

    Raises:
        RemoteProtocolError: the relay hung up, or said something else.
    """
    try:
        (number,) = data
        return Verdict(number)
    except ValueError as error:
        raise RemoteProtocolError("a relay did not answer a hello") from error
