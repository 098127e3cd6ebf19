"""A network, as a scientist sees it: a registry whose answers are checked, not trusted."""

from collections.abc import Callable

from typing_extensions import override

from p2pgrid.client.datasets import SearchResults
from p2pgrid.client.display import Display, Displayed
from p2pgrid.client.pages import Answered, read_pages
from p2pgrid.errors import NetworkUnreachableError, PeerUnreachableError
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.messages import Search
from p2pgrid.protocol.queries import query_of
from p2pgrid.protocol.records import NodeRecord

Read = Callable[[Answered], SearchResults]


class NetworkClient(Displayed):
    """A network. It can leave things out of its answers, but it cannot make them up."""

    def __init__(self, peer: Peer, *, peer_id: PeerId, record: NodeRecord, read: Read) -> None:
        self.peer_id = peer_id
        self.name = record.name
        self._peer, self._read = peer, read
        self._addresses = record.addresses

    def search(self, *tags: str) -> SearchResults:
        """The datasets that have all these tags; ``#`` and case do not matter.

        Raises:
            NetworkUnreachableError: the network does not answer.
            RecordError: it gave a record that is not signed by the domain that it names.
        """
        return self._read(read_pages(self._link(), Search(query_of(*tags))))

    @override
    def _display(self) -> Display:
        facts = (("peer", self.peer_id), ("address", next(iter(self._addresses), "")))
        return Display(f"NetworkClient {self.name}", facts)

    def _link(self) -> Link:
        try:
            return self._peer.link_to(self.peer_id, self._addresses)
        except PeerUnreachableError as error:
            raise NetworkUnreachableError(
                peer=self.name, addresses=len(self._addresses), reason="see the cause"
            ) from error
