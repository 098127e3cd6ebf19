"""A network, as a scientist sees it: a registry whose answers are checked, not trusted."""

from collections.abc import Callable, Sequence

from typing_extensions import Unpack, override

from p2pgrid.client.asking import Asked
from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.results import SearchResults
from p2pgrid.errors import NetworkUnreachableError, PeerUnreachableError
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.queries import Forms, Query, query_of
from p2pgrid.protocol.records import NodeRecord

Find = Callable[[Asked, Query], SearchResults]


class NetworkClient(Displayed):
    """A network. It can leave things out of its answers, but it cannot make them up."""

    def __init__(self, peer: Peer, *, peer_id: PeerId, record: NodeRecord, find: Find) -> None:
        self.peer_id = peer_id
        self.name = record.name
        self._peer, self._find = peer, find
        self._addresses = record.addresses

    def search(self, *words: str, **forms: Unpack[Forms]) -> SearchResults:
        """The datasets that match, of this network only; see ``p2pgrid.search`` for the words.

        What the network gives and is not to be believed is left out: see ``results.rejected``.

        Raises:
            InvalidQueryError: nothing is asked for, or in a form that there is not.
            NetworkUnreachableError: the network does not answer.
        """
        return self._find(Asked(self.name, self._link, signer=None), query_of(*words, **forms))

    @override
    def _display(self) -> Display:
        facts = (("peer", self.peer_id), ("address", next(iter(self._addresses), "")))
        return Display(f"NetworkClient {self.name}", facts)

    def _link(self) -> Link:
        return link_to_network(self._peer, self.peer_id, self.name, self._addresses)


def link_to_network(peer: Peer, peer_id: PeerId, name: str, addresses: Sequence[str]) -> Link:
    """The open link to a network; dials when there is none.

    Raises:
        NetworkUnreachableError: nobody answered.
    """
    try:
        return peer.link_to(peer_id, addresses)
    except PeerUnreachableError as error:
        raise NetworkUnreachableError(
            peer=name, addresses=len(addresses), reason="see the cause"
        ) from error
