"""The entry of a program into the grid: one identity on the network, one wallet."""

import atexit
import secrets
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from p2pgrid.client.datasets import DatasetPointer, SearchResults
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.records import read_dataset, read_node
from p2pgrid.client.wallet import Wallet, passphrase_from_environment
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing, default_home
from p2pgrid.errors import (
    NetworkError,
    NetworkUnreachableError,
    RemoteProtocolError,
    SchemaError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import begin
from p2pgrid.net.link import Inbound
from p2pgrid.net.peer import Peer, libp2p_peer
from p2pgrid.net.streams import peer_id_in
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.records import NodeRecord


class Client:
    """A scientist's or an owner's program on the network.

    Its peer id is new in every process, so that nodes cannot link its visits by it; who it is, it
    proves to each domain with that domain's own key from the wallet.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        peer: Peer | None = None,
        wallet: Wallet | None = None,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self.home = home or default_home()
        self.wallet = wallet or Wallet(
            self.home / "wallet.json", passphrase=passphrase_from_environment()
        )
        self._known = KnownPeers(self.home / "peers.json")
        self._limits, self._timing = limits, timing
        self._lock = threading.Lock()
        self._peer = peer
        self._domains: dict[PeerId, DomainClient] = {}

    @property
    def peer(self) -> Peer:
        """Our end of the network; it starts when it is first needed."""
        with self._lock:
            if self._peer is None:
                peer = libp2p_peer(
                    secrets.token_bytes(32),
                    listen=(),
                    on_request=_refuse,
                    limits=self._limits,
                    timing=self._timing,
                )
                peer.start()
                self._peer = peer
            return self._peer

    def connect(self, address: str) -> NetworkClient | DomainClient:
        """Dials a node and says who is there.

        Args:
            address: a multiaddr that ends in ``/p2p/`` and the peer id.

        Raises:
            AddressError: it cannot be read.
            NetworkUnreachableError: nobody answered.
            IdentityMismatchError: somebody else answered.
        """
        peer_id = peer_id_in(address)
        challenge = begin(self.peer.link_to(peer_id, (address,)))
        record = read_node(challenge.record, peer_id)
        self._remember(peer_id, record)
        if record.kind == "domain":
            return self.domain(peer_id, record.name, record.addresses or (address,))
        return NetworkClient(self.peer, peer_id=peer_id, record=record, read=self.read_found)

    def domain(self, peer_id: PeerId, name: str, addresses: Sequence[str]) -> DomainClient:
        """The one client of a domain in this program; nothing is sent yet."""
        known = self._domains.get(peer_id)
        if known is None:
            known = self._domains[peer_id] = DomainClient(
                self.peer,
                self.wallet,
                peer_id=peer_id,
                name=name,
                addresses=addresses,
                limits=self._limits,
                timing=self._timing,
            )
        known.update_addresses(addresses)
        return known

    def search(self, *tags: str) -> SearchResults:
        """Finds datasets by the DHT alone, without any network: those announced there.

        Raises:
            NetworkUnreachableError: none of the known peers answered.
        """
        if not tags:
            raise SchemaError(field="tags", problem="name at least one")
        self._join()
        datasets: list[DatasetPointer] = []
        partial = False
        for peer_id, record in self.peer.find(tags[0]):
            self._remember(peer_id, record)
            domain = self.domain(peer_id, record.name, record.addresses)
            try:
                datasets.extend(domain.search(*tags))
            except NetworkError:
                partial = True
        return SearchResults(datasets, partial=partial)

    def read_found(self, found: Found) -> SearchResults:
        """Results from records that a network gave: each is believed by its signature only."""
        datasets = []
        for record in found.records:
            body, peer_id = read_dataset(record)
            domain = self.domain(peer_id, body.domain, body.addresses)
            self._known.remember(peer_id, name=body.domain, kind="domain", addresses=body.addresses)
            datasets.append(DatasetPointer(domain, body))
        return SearchResults(datasets, partial=found.partial)

    def close(self) -> None:
        """Ends all links; pointers of this client are of no use afterwards."""
        with self._lock:
            if self._peer is not None:
                self._peer.stop()

    def _remember(self, peer_id: PeerId, record: NodeRecord) -> None:
        self._known.remember(
            peer_id, name=record.name, kind=record.kind, addresses=record.addresses
        )

    def _join(self) -> None:
        addresses = self._known.addresses()
        if self.peer.join(addresses) == 0:
            raise NetworkUnreachableError(
                peer="of the DHT", addresses=len(addresses), reason="no known peer answered"
            )


@cache
def default_client() -> Client:
    """The client behind the module's functions; its home is ``$P2PGRID_HOME``."""
    client = Client()
    atexit.register(client.close)
    return client


def connect(address: str) -> NetworkClient | DomainClient:
    """Dials a node and says who is there; see ``Client.connect``."""
    return default_client().connect(address)


def search(*tags: str) -> SearchResults:
    """Finds announced datasets by the DHT alone; see ``Client.search``."""
    return default_client().search(*tags)


def _refuse(inbound: Inbound) -> None:
    """A scientist's program answers no requests."""
    inbound.link.close(str(RemoteProtocolError("this peer answers no requests")))
