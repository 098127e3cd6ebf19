"""Whom Kademlia's answers name: what a stranger says of a peer is measured before it is used.

Trust: none. Contacts are hints; whose address it is, noise will tell.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from libp2p.abc import IHost
from libp2p.kad_dht.common import BUCKET_SIZE
from libp2p.kad_dht.pb.kademlia_pb2 import Message
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.peer.peerstore import PeerStoreError
from multiaddr import Multiaddr
from multiaddr.protocols import P_P2P

from p2pgrid.ids import PEER_ID_PREFIX, PUBLIC_KEY_BYTES
from p2pgrid.net.addresses import MULTIADDR_ERRORS, is_dialable
from p2pgrid.net.host import MAX_ADDRESSES

MAX_PEER_ID_BYTES = 64
"""Base58 takes the square of the length: a peer id of 1 MiB would take a quarter of an hour."""
MAX_ADDRESS_BYTES = 256


def known_contact(host: IHost, peer: ID) -> PeerInfo:
    """A peer with the addresses that are known, newest first."""
    try:
        addresses = host.get_peerstore().addrs(peer)
    except PeerStoreError:
        addresses = []
    return PeerInfo(peer, usable(address.to_bytes() for address in addresses[::-1]))


def contacts(peers: Iterable[Message.Peer]) -> list[PeerInfo]:
    """The peers of an answer, at most ``BUCKET_SIZE``, that have an Ed25519 key and addresses."""
    found = []
    for peer in islice(peers, BUCKET_SIZE):
        addresses = usable(peer.addrs) if has_ed25519_key(peer.id) else ()
        if addresses:
            found.append(PeerInfo(ID(peer.id), addresses))
    return found


def has_ed25519_key(peer: bytes) -> bool:
    """Whether these are the bytes of a peer id with an Ed25519 key in it."""
    return peer.startswith(PEER_ID_PREFIX) and len(peer) == len(PEER_ID_PREFIX) + PUBLIC_KEY_BYTES


def distance(goal: int, peer: ID) -> int:
    """How far a peer is from a ``position``."""
    return position(peer.to_bytes()) ^ goal


def position(key: bytes) -> int:
    """Where a key or a peer id lies among all keys."""
    return int.from_bytes(hashlib.sha256(key).digest(), "big")


def by_distance(target: bytes, contacts: Iterable[PeerInfo]) -> list[PeerInfo]:
    """The contacts, nearest to a key first."""
    goal = position(target)
    return sorted(contacts, key=lambda contact: distance(goal, contact.peer_id))


def usable(addresses: Iterable[bytes]) -> tuple[Multiaddr, ...]:
    """What we could dial of what a stranger sent, at most ``MAX_ADDRESSES``."""
    short = (raw for raw in addresses if len(raw) <= MAX_ADDRESS_BYTES)
    plain = dict.fromkeys(address for address in map(_dialable, short) if address is not None)
    return tuple(islice(plain, MAX_ADDRESSES))


# Answers name the same few peers again and again, and py-multiaddr takes 0.1 ms for an address.
@lru_cache(maxsize=4096)
def _dialable(raw: bytes) -> Multiaddr | None:
    """The address without its peer id, if we could dial it."""
    try:
        address = Multiaddr(raw)
        plain = address.decapsulate_code(P_P2P)
    except MULTIADDR_ERRORS:
        return None
    return plain if is_dialable(plain) else None
