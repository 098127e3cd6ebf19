"""Peers that this person met before, kept in ``$P2PGRID_HOME``, so that a restart finds them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from p2pgrid.errors import ConfigError
from p2pgrid.ids import PeerId
from p2pgrid.protocol.malformed import MALFORMED

MAX_PEERS = 1000


class KnownPeer(Struct, frozen=True, forbid_unknown_fields=True):
    """A node, as its last verified record told; the record may be outdated, the key is not."""

    peer_id: str
    name: str
    kind: str
    addresses: tuple[str, ...]


class KnownPeers:
    """A small file of nodes, newest last; it holds no secrets."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> tuple[KnownPeer, ...]:
        """All known nodes.

        Raises:
            ConfigError: the file cannot be read as such.
        """
        if not self._path.exists():
            return ()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=tuple[KnownPeer, ...])
        except MALFORMED as error:
            raise ConfigError(f"{self._path} is damaged; move it away to start afresh") from error

    def remember(self, peer: PeerId, *, name: str, kind: str, addresses: Sequence[str]) -> None:
        """Adds or renews a node."""
        new = KnownPeer(peer, name, kind, tuple(addresses))
        known = self.all()
        if new not in known:
            others = [other for other in known if other.peer_id != peer]
            self._write([*others, new][-MAX_PEERS:])

    def addresses(self) -> tuple[str, ...]:
        """Every known address; each ends in the peer id that has to answer."""
        return tuple(address for known in self.all() for address in known.addresses)

    def _write(self, peers: Iterable[KnownPeer]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_suffix(".new")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(list(peers))))
        draft.replace(self._path)
