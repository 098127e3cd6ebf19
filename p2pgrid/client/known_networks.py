"""Networks that this person knows: those of an institution's list, and all that were ever reached.

``networks.json`` in ``$P2PGRID_HOME`` is the history, written by p2pgrid. ``bootstrap.json`` is a
JSON list of addresses, which an institution may put there for its people; p2pgrid only reads it.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from p2pgrid.client.local_list import DamagedFileWarning, LocalList
from p2pgrid.protocol.malformed import MALFORMED


class KnownNetwork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network, as it was when it answered last."""

    peer_id: str
    name: str
    address: str
    """What the person gave to reach it: a URL, a multiaddr, ``p2pgrid://PEER-ID``."""
    addresses: tuple[str, ...] = ()
    """Multiaddrs of its last verified record."""
    datasets: int = 0
    models: int = 0
    domains: int = 0


class KnownNetworks:
    """The two files; both may be absent. The history is in the order of the first visits."""

    def __init__(self, home: Path) -> None:
        self._history = LocalList(home / "networks.json", KnownNetwork)
        self._bootstrap = home / "bootstrap.json"

    def history(self) -> tuple[KnownNetwork, ...]:
        """All networks that were ever reached."""
        return self._history.read()

    def defaults(self) -> tuple[str, ...]:
        """The addresses in ``bootstrap.json``; warns when it cannot be read."""
        try:
            return msgspec.json.decode(self._bootstrap.read_bytes(), type=tuple[str, ...])
        except FileNotFoundError:
            return ()
        except MALFORMED as error:
            warnings.warn(
                f"{self._bootstrap} is no JSON list of addresses ({error}); it is passed over",
                DamagedFileWarning,
                stacklevel=2,
            )
            return ()

    def unvisited(self) -> tuple[str, ...]:
        """The defaults that never answered."""
        visited = {known.address for known in self.history()}
        return tuple(address for address in self.defaults() if address not in visited)

    def remember(self, new: KnownNetwork) -> None:
        """Adds a network, or renews what is known of it, in its place."""

        def with_new(known: tuple[KnownNetwork, ...]) -> Sequence[KnownNetwork]:
            if all(other.peer_id != new.peer_id for other in known):
                return (*known, new)
            return [new if other.peer_id == new.peer_id else other for other in known]

        self._history.change(with_new)

    def visit(self, *, peer_id: str, name: str, address: str, addresses: Sequence[str]) -> None:
        """Notes that a network was reached; the numbers that it told before stay."""
        known = self.find(peer_id)
        old = known or KnownNetwork(peer_id=peer_id, name=name, address=address)
        self.remember(structs.replace(old, name=name, addresses=tuple(addresses)))

    def find(self, name: str) -> KnownNetwork | None:
        """The network with this peer id, name or address."""
        history = self.history()
        for field in ("peer_id", "address", "name"):
            for known in history:
                if getattr(known, field) == name:
                    return known
        return None

    def forget(self, known: KnownNetwork) -> None:
        """Takes a network out of the history."""
        self._history.change(lambda all_: [it for it in all_ if it.peer_id != known.peer_id])
