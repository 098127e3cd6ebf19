"""A network, as a scientist sees it: a registry whose answers are checked, not trusted."""

from collections.abc import Callable, Sequence

from typing_extensions import Unpack, override

from p2pgrid.client.asking import Asked
from p2pgrid.client.display import Display, Displayed, reached_at
from p2pgrid.client.results import SearchResults
from p2pgrid.errors import DisconnectedError, NetworkUnreachableError, PeerUnreachableError
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import ask
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.messages import Describe, NetworkStatus
from p2pgrid.protocol.queries import Forms, Query, query_of

Find = Callable[[Asked, Query], SearchResults]


class NetworkClient(Displayed):
    """A network. It can leave things out of its answers, but it cannot make them up."""

    def __init__(
        self,
        peer: Peer,
        *,
        peer_id: PeerId,
        name: str,
        address: str,
        addresses: Sequence[str],
        find: Find,
    ) -> None:
        self.peer_id = peer_id
        self.name = name
        self.address = address
        """As it was given to ``connect``."""
        self.addresses = tuple(addresses)
        """The multiaddrs in its record."""
        self._peer, self._find = peer, find
        self._is_connected = True

    def search(self, *words: str, **forms: Unpack[Forms]) -> SearchResults:
        """The datasets that match, of this network only; see ``p2pgrid.search`` for the words.

        What the network gives and is not to be believed is left out: see ``results.rejected``.

        Raises:
            InvalidQueryError: nothing is asked for, or in a form that there is not.
            NetworkUnreachableError: the network does not answer.
            DisconnectedError: ``disconnect`` was called.
        """
        return self._find(Asked(self.name, self.link, signer=None), query_of(*words, **forms))

    def status(self) -> NetworkStatus:
        """How much it lists, and how many of its domains are connected to it now: its own claim.

        Raises:
            NetworkUnreachableError: the network does not answer.
            DisconnectedError: ``disconnect`` was called.
        """
        return ask(self.link(), Describe(), NetworkStatus)

    def disconnect(self) -> None:
        """Ends the link; this object is of no use afterwards, others are not affected."""
        if self._is_connected:
            self._is_connected = False
            self._peer.hang_up(self.peer_id)

    @override
    def _display(self) -> Display:
        title = reached_at(f"NetworkClient {self.name}", (self.address,))
        return Display(title, (("", "" if self._is_connected else "disconnected"),))

    def link(self) -> Link:
        """The open link; dials when there is none.

        Raises:
            NetworkUnreachableError: the network does not answer.
            DisconnectedError: ``disconnect`` was called.
        """
        if not self._is_connected:
            raise DisconnectedError(network=self.name)
        try:
            return self._peer.link_to(self.peer_id, self.addresses)
        except PeerUnreachableError as error:
            raise NetworkUnreachableError(
                peer=self.name, addresses=len(self.addresses), reason="see the cause"
            ) from error
