"""A network, as a scientist sees it: a registry whose answers are checked, not trusted."""

import html
from collections.abc import Callable, Sequence

from typing_extensions import override

from p2pgrid.client.datasets import SearchResults
from p2pgrid.errors import DisconnectedError, NetworkUnreachableError, PeerUnreachableError
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.messages import Describe, Found, NetworkStatus, Search

Read = Callable[[Found], SearchResults]


class NetworkClient:
    """A network. It can leave things out of its answers, but it cannot make them up."""

    def __init__(
        self,
        peer: Peer,
        *,
        peer_id: PeerId,
        name: str,
        address: str,
        addresses: Sequence[str],
        read: Read,
    ) -> None:
        self.peer_id = peer_id
        self.name = name
        self.address = address
        """As it was given to ``connect``."""
        self.addresses = tuple(addresses)
        """The multiaddrs in its record."""
        self._peer, self._read = peer, read
        self._is_connected = True

    def search(self, *tags: str) -> SearchResults:
        """The datasets that have all these tags; ``#`` and case do not matter.

        Raises:
            NetworkUnreachableError: the network does not answer.
            DisconnectedError: ``disconnect`` was called.
            RecordError: it gave a record that is not signed by the domain that it names.
        """
        return self._read(ask(self._link(), Search(tags=tags), Found))

    def status(self) -> NetworkStatus:
        """How much it lists, and how many of its domains are connected to it now: its own claim.

        Raises:
            NetworkUnreachableError: the network does not answer.
            DisconnectedError: ``disconnect`` was called.
        """
        return ask(self._link(), Describe(), NetworkStatus)

    def disconnect(self) -> None:
        """Ends the link; this object is of no use afterwards, others are not affected."""
        if self._is_connected:
            self._is_connected = False
            self._peer.hang_up(self.peer_id)

    @override
    def __repr__(self) -> str:
        state = "" if self._is_connected else ", disconnected"
        return f"<NetworkClient {self.name!r} at {self.address} ({self.peer_id}){state}>"

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(repr(self))}</code>"

    def _link(self) -> Link:
        if not self._is_connected:
            raise DisconnectedError(network=self.name)
        try:
            return self._peer.link_to(self.peer_id, self.addresses)
        except PeerUnreachableError as error:
            raise NetworkUnreachableError(
                peer=self.name, addresses=len(self.addresses), reason="see the cause"
            ) from error
