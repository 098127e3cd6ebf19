"""Peers that this person met before, kept in ``$P2PGRID_HOME``, so that a restart finds them."""

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from p2pgrid.client.local_list import LocalList
from p2pgrid.ids import PeerId

MAX_PEERS = 1000


class KnownPeer(Struct, frozen=True, forbid_unknown_fields=True):
    """A node, as its last verified record told; the record may be outdated, the key is not."""

    peer_id: str
    name: str
    kind: str
    addresses: tuple[str, ...]


class KnownPeers:
    """A small file of nodes, newest last; it holds no secrets. A damaged one is set aside."""

    def __init__(self, path: Path) -> None:
        self._list = LocalList(path, KnownPeer)

    def all(self) -> tuple[KnownPeer, ...]:
        """All known nodes."""
        return self._list.read()

    def remember(self, peer: PeerId, *, name: str, kind: str, addresses: Sequence[str]) -> None:
        """Adds or renews a node."""
        new = KnownPeer(peer, name, kind, tuple(addresses))

        def with_new(known: tuple[KnownPeer, ...]) -> Sequence[KnownPeer]:
            others = [other for other in known if other.peer_id != peer]
            return known if new in known else [*others, new][-MAX_PEERS:]

        if new not in self.all():
            self._list.change(with_new)

    def find(self, peer: PeerId) -> KnownPeer | None:
        """What is known of a node."""
        return next((known for known in self.all() if known.peer_id == peer), None)

    def addresses(self) -> tuple[str, ...]:
        """Every known address; each ends in the peer id that has to answer."""
        return tuple(address for known in self.all() for address in known.addresses)
