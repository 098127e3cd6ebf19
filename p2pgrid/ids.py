"""Names of things, as values: a peer, an object, a dataset.

A peer id is the libp2p name of an Ed25519 public key, so knowing it is knowing the key.
"""

from functools import lru_cache
from typing import NewType

import base58

PeerId = NewType("PeerId", str)
"""Base58 libp2p peer id of an Ed25519 key, such as ``12D3KooW...``."""

ObjectId = NewType("ObjectId", bytes)
"""16 bytes: 8 that the domain gave to the session, 8 that the client counts up."""

DatasetId = NewType("DatasetId", bytes)
"""16 random bytes, chosen by whoever publishes, kept for the life of the dataset."""

ID_BYTES = 16
PUBLIC_KEY_BYTES = 32

PEER_ID_PREFIX = bytes([0x00, 0x24, 0x08, 0x01, 0x12, 0x20])
"""An identity multihash (code 0, 36 bytes) of libp2p's protobuf for an Ed25519 public key."""


@lru_cache(maxsize=4096)  # base58 is slow, and a search verifies many records of few peers
def peer_id_of(public_key: bytes) -> PeerId:
    """The peer id of a 32-byte Ed25519 public key."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"an Ed25519 public key has 32 bytes, not {len(public_key)}")
    return PeerId(base58.b58encode(PEER_ID_PREFIX + public_key).decode("ascii"))


def public_key_of(peer: PeerId) -> bytes:
    """The 32-byte Ed25519 public key inside a peer id.

    Raises:
        ValueError: the text is not the peer id of an Ed25519 key.
    """
    raw = bytes(base58.b58decode(peer))
    if len(raw) != len(PEER_ID_PREFIX) + PUBLIC_KEY_BYTES or not raw.startswith(PEER_ID_PREFIX):
        raise ValueError(f"{peer[:60]!r} is not the peer id of an Ed25519 key")
    return raw[len(PEER_ID_PREFIX) :]


def short(identifier: bytes) -> str:
    """The last four bytes in hex: enough to tell objects apart in a table."""
    return identifier[-4:].hex()
