"""How the two ends of a control stream agree to go on over TLS.

The side that listens sends an ``Offer`` as the first frame of a new stream; the side that dialled
answers with a word, once it is through over TLS or has given up. Both frames travel inside the
libp2p stream, so who offers and who takes it up was proved by noise.
"""

import hmac
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.ids import PeerId

MAX_OFFER_BYTES = 128
TOKEN_BYTES = 32
PROOF_BYTES = 32
UPGRADE, STAY = b"upgrade", b"stay"

Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]
Token = Annotated[bytes, Meta(min_length=TOKEN_BYTES, max_length=TOKEN_BYTES)]


class Offer(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where to come, whom to expect there, and what to show; ``port`` 0 offers nothing."""

    port: Annotated[int, Meta(ge=0, lt=65536)]
    certificate: Hash
    """SHA-256 of the DER of the certificate that the listener will show."""
    token: Token
    """Good for one connection, of the peer that this offer was sent to."""


NOTHING = Offer(0, bytes(32), bytes(TOKEN_BYTES))

_encoder = msgspec.msgpack.Encoder()
_offers = msgspec.msgpack.Decoder(Offer)


def encode_offer(offer: Offer) -> bytes:
    """The frame's bytes, at most ``MAX_OFFER_BYTES``."""
    return _encoder.encode(offer)


def decode_offer(data: bytes | memoryview) -> Offer:
    """The offer.

    Raises:
        RemoteProtocolError: the bytes are none.
    """
    try:
        return _offers.decode(data)
    except msgspec.MsgspecError as error:
        raise RemoteProtocolError("a stream did not begin with an offer") from error


def proof_of(token: bytes, *, dialler: PeerId, listener: PeerId) -> bytes:
    """What the dialler shows at the port, ``PROOF_BYTES`` long.

    It names both ends, so a peer that passes another's offer on as its own gains nothing.
    """
    return hmac.digest(token, f"{dialler} {listener}".encode(), "sha256")


def encode_choice(*, taken: bool) -> bytes:
    """True: the dialler goes on over TLS; False: over the stream itself."""
    return UPGRADE if taken else STAY


def decode_choice(data: bytes | memoryview) -> bool:
    """Whether the offer was taken up.

    Raises:
        RemoteProtocolError: the bytes do not say.
    """
    if bytes(data) not in {UPGRADE, STAY}:
        raise RemoteProtocolError("an offer was not answered")
    return data == UPGRADE
