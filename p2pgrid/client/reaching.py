"""From what a person gives as an address to the node that is there."""

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from p2pgrid.client.fetch import fetch_document
from p2pgrid.client.known_networks import KnownNetworks
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.records import read_node
from p2pgrid.config import Timing
from p2pgrid.errors import (
    DomainUnreachableError,
    IdentityMismatchError,
    NetworkUnreachableError,
    NotAGridNetworkError,
    PeerUnreachableError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import begin
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.net.streams import peer_id_in
from p2pgrid.protocol.proxy import Proxy
from p2pgrid.protocol.records import NodeRecord
from p2pgrid.protocol.web import BY_PEER_ID, is_web, peer_id_at, web_address


class Reached(NamedTuple):
    """A node that has answered."""

    peer_id: PeerId
    record: NodeRecord
    addresses: tuple[str, ...]
    """Those of its record; the one that worked, when it tells none."""


class Reaching:
    """Dials what an address names, and remembers who answered.

    An address is a multiaddr with a peer id; a URL (``http``, ``https``, ``ws``, ``wss``) under
    which a node serves its document; or ``p2pgrid://PEER-ID``, for which the peers that were met
    before are asked, and then the DHT.
    """

    def __init__(
        self,
        peer: Callable[[], Peer],
        known: KnownPeers,
        networks: KnownNetworks,
        *,
        proxy: Proxy | None,
        timing: Timing,
    ) -> None:
        self._peer, self._known, self._networks = peer, known, networks
        self._proxy, self._timing = proxy, timing

    def reach(self, address: str, *, network: bool = False) -> Reached:
        """The node at an address, in about ``timing.dial_s`` for the web and again for the node.

        Args:
            address: of a node.
            network: say so in errors that a network was wanted.

        Raises:
            AddressError: the address cannot be read.
            NetworkUnreachableError, DomainUnreachableError: nobody answered, or no node of
                p2pgrid; the second unless a network was wanted or is known to be there.
            NotAGridNetworkError: what is at a URL is no node, where a network was wanted.
            IdentityMismatchError: somebody else answered, or the URL led to another node before.
            RecordError: what the node says of itself is not to be believed.
            NetworkKeyError: who answered is not in our closed network, or we are not in its.
        """
        try:
            return self._reached(address)
        except NotAGridNetworkError as error:
            if network:
                raise
            raise self._unreachable(address, error.problem, network=False) from error
        except TransportError as error:
            reason = error.reason if isinstance(error, PeerUnreachableError) else str(error)
            raise self._unreachable(address, reason, network=network) from error

    def dial(self, peer_id: PeerId, addresses: Sequence[str]) -> Reached:
        """The node with this peer id.

        Raises:
            TransportError: nobody answered.
            IdentityMismatchError, RecordError, NetworkKeyError: see ``reach``.
        """
        return self._met(self._peer().link_to(peer_id, addresses), addresses)

    def _met(self, link: Link, addresses: Sequence[str]) -> Reached:
        peer_id = link.peer
        record = read_node(begin(link, timeout_s=self._timing.dial_s).record, peer_id)
        self._known.remember(
            peer_id, name=record.name, kind=record.kind, addresses=record.addresses
        )
        return Reached(peer_id, record, record.addresses or tuple(addresses))

    def _reached(self, address: str) -> Reached:
        if is_web(address):
            return self._by_web(address)
        if address.startswith(BY_PEER_ID):
            return self._by_peer_id(peer_id_at(address))
        return self.dial(peer_id_in(address), (address,))

    def _by_web(self, address: str) -> Reached:
        url, known = web_address(address), self._networks.find(address)
        peer_id, record = fetch_document(url, timeout_s=self._timing.dial_s, proxy=self._proxy)
        if known is not None and known.address == address and known.peer_id != peer_id:
            raise IdentityMismatchError(
                f"{address} led to {known.peer_id} before, and now to {peer_id}: ask whoever runs "
                f"it; if that is right, forget the old one with: p2pgrid networks forget {address}"
            )
        return self.dial(peer_id, record.addresses)

    def _by_peer_id(self, peer_id: PeerId) -> Reached:
        known = self._known.find(peer_id)
        if known is not None and known.addresses:
            with contextlib.suppress(TransportError, IdentityMismatchError):
                return self.dial(peer_id, known.addresses)
        self._peer().join(self._known.addresses())
        return self._met(self._peer().reach(peer_id), ())

    def _unreachable(self, address: str, reason: str, *, network: bool) -> PeerUnreachableError:
        peer = self._known.find(PeerId(address.rpartition("/")[2]))
        is_network = network or (peer is not None and peer.kind == "network")
        if is_network or self._networks.find(address) is not None:
            return NetworkUnreachableError(peer=address, addresses=1, reason=reason)
        return DomainUnreachableError(peer=address, addresses=1, reason=reason)
