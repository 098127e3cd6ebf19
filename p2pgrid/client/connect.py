"""The entry of a program into the grid: one identity on the network, one wallet."""

import atexit
import secrets
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from p2pgrid.client.accepting import handle_of, read
from p2pgrid.client.datasets import DatasetPointer, SearchResults
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.login import Held
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.passphrase import passphrase_from_environment
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.records import read_dataset, read_node
from p2pgrid.client.sharing import Shared
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing, default_home
from p2pgrid.errors import (
    AddressError,
    NetworkError,
    NetworkUnreachableError,
    RemoteProtocolError,
    SchemaError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.calls import begin
from p2pgrid.net.key_file import home_key, read_key
from p2pgrid.net.link import Inbound
from p2pgrid.net.peer import Peer, Routing, libp2p_peer
from p2pgrid.net.streams import peer_id_in
from p2pgrid.protocol.capability import decode
from p2pgrid.protocol.messages import Found
from p2pgrid.protocol.proxy import parse_proxy
from p2pgrid.protocol.records import NodeRecord


class Client:
    """A scientist's or an owner's program on the network.

    Its peer id is new in every process, so that nodes cannot link its visits by it; who it is, it
    proves to each domain with that domain's own key from the wallet.

    With a ``network_key`` it is in a closed network, and meets nobody else; in one network only.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        peer: Peer | None = None,
        wallet: Wallet | None = None,
        network_key: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
        timing: Timing = DEFAULT_TIMING,
        proxy: str | None = None,
        make_peer: Callable[[], Peer] | None = None,
    ) -> None:
        """Makes a client; nothing is dialled yet.

        Args:
            home: where the wallet and the known peers are; default: ``$P2PGRID_HOME``.
            peer: our end of the network; default: one of our own.
            wallet: default: the one in ``home``.
            network_key: key file of the closed network that it is in; default: ``network.key`` in
                ``home``, if there is one.
            limits: on what others may send.
            timing: how long anything may take.
            proxy: ``http://host:port`` of an HTTP proxy, through which all connections go.
            make_peer: makes the peers of this client; default: on libp2p.

        Raises:
            SchemaError: ``proxy`` is no such URL.
        """
        self.home = home or default_home()
        self.network_key = network_key or home_key(self.home)
        self.wallet = wallet or Wallet(
            self.home / "wallet.json", passphrase=passphrase_from_environment()
        )
        self._known = KnownPeers(self.home / "peers.json")
        self._limits, self._timing = limits, timing
        self.proxy = None if proxy is None else parse_proxy(proxy)
        self._lock = threading.Lock()
        self._peer = peer
        self._make_peer = make_peer or self._libp2p_peer
        self._domains: dict[PeerId, DomainClient] = {}
        self._granted: dict[bytes, tuple[Peer, DomainClient]] = {}
        """By capability: each is a visit of its own, of a peer of its own."""

    @property
    def peer(self) -> Peer:
        """Our end of the network; it starts when it is first needed."""
        with self._lock:
            if self._peer is None:
                self._peer = self._started_peer()
            return self._peer

    def connect(self, address: str) -> NetworkClient | DomainClient:
        """Dials a node and says who is there.

        Args:
            address: a multiaddr that ends in ``/p2p/`` and the peer id.

        Raises:
            AddressError: it cannot be read.
            NetworkUnreachableError: nobody answered.
            IdentityMismatchError: somebody else answered.
            NetworkKeyError: who answered is not in our closed network, or we are not in its.
            NetworkKeyFileError: our network's key cannot be read.
        """
        peer_id = peer_id_in(address)
        challenge = begin(self.peer.link_to(peer_id, (address,)))
        record = read_node(challenge.record, peer_id)
        self._remember(peer_id, record)
        if record.kind == "domain":
            return self.domain(peer_id, record.name, record.addresses or (address,))
        read = partial(self.read_found, network=record.name)
        return NetworkClient(self.peer, peer_id=peer_id, record=record, read=read)

    def domain_at(self, address: str) -> DomainClient:
        """The domain at an address; see ``connect``.

        Raises:
            AddressError: a network is there.
        """
        found = self.connect(address)
        if not isinstance(found, DomainClient):
            raise AddressError(address=address)
        return found

    def domain(self, peer_id: PeerId, name: str, addresses: Sequence[str]) -> DomainClient:
        """The one client of a domain in this program; nothing is sent yet."""
        known = self._domains.get(peer_id)
        if known is None:
            known = self._domains[peer_id] = self._domain_at(self.peer, peer_id, name)
        known.update_addresses(addresses)
        return known

    def search(self, *tags: str) -> SearchResults:
        """Finds datasets by the DHT alone, without any network: those announced there.

        Raises:
            NetworkUnreachableError: none of the known peers answered.
            NetworkKeyError: none did, and at least one is not in our closed network.
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

    def read_found(self, found: Found, *, network: str = "") -> SearchResults:
        """Results from records that a network gave: each is believed by its signature only."""
        datasets = []
        for record in found.records:
            body, peer_id = read_dataset(record)
            domain = self.domain(peer_id, body.domain, body.addresses)
            domain.network = domain.network or network
            self._known.remember(peer_id, name=body.domain, kind="domain", addresses=body.addresses)
            datasets.append(DatasetPointer(domain, body))
        return SearchResults(datasets, partial=found.partial)

    def accept(self, text: str) -> Any:
        """A handle to what somebody shared with one of this wallet's keys.

        It works by the right in the text and by no other, in a session of its own, and can be
        narrowed and shared further. Nothing is sent yet. Shapes and dtypes are hints of whoever
        shared it; the domain knows better, and says so at the first operation.

        Args:
            text: what ``pointer.share`` returned.

        Returns:
            A handle of the kind that was shared.

        Raises:
            CapabilityError: the text is damaged, forged, expired, or for another key.
        """
        shared, held = read(text, self.wallet)
        return handle_of(self._granted_domain(shared, held), shared)

    def revoke(self, given: str, address: str | None = None) -> None:
        """Takes back what was shared; see ``DomainClient.revoke``.

        Args:
            given: what ``share`` returned, or, with an address, the id of a link.
            address: of the domain; default: as in the text.

        Raises:
            CapabilityError: the text is damaged, or for another domain.
        """
        if address is not None:
            domain = self.domain_at(address)
        else:
            shared = Shared.read(given)
            peer_id = decode(shared.capability).domain
            domain = self.domain(peer_id, shared.name, shared.addresses)
        domain.revoke(given)

    def claim(self, address: str, token: str, user: str = "owner") -> DomainClient:
        """Becomes the first owner of a domain; see ``DomainClient.claim``."""
        return self.domain_at(address).claim(token, user)

    def close(self) -> None:
        """Ends all links; pointers of this client are of no use afterwards."""
        with self._lock:
            for peer, _ in self._granted.values():
                peer.stop()
            if self._peer is not None:
                self._peer.stop()

    def _granted_domain(self, shared: Shared, held: Held) -> DomainClient:
        with self._lock:
            if shared.capability not in self._granted:
                peer = self._started_peer()
                domain = self._domain_at(peer, held.capability.domain, shared.name, held)
                self._granted[shared.capability] = peer, domain
            _, domain = self._granted[shared.capability]
        domain.update_addresses(shared.addresses)
        return domain

    def _domain_at(
        self, peer: Peer, peer_id: PeerId, name: str, shown: Held | None = None
    ) -> DomainClient:
        return DomainClient(
            peer,
            self.wallet,
            peer_id=peer_id,
            name=name,
            addresses=(),
            limits=self._limits,
            timing=self._timing,
            shown=shown,
        )

    def _started_peer(self) -> Peer:
        peer = self._make_peer()
        peer.start()
        return peer

    def _libp2p_peer(self) -> Peer:
        return libp2p_peer(
            secrets.token_bytes(32),
            listen=(),
            on_request=_refuse,
            limits=self._limits,
            timing=self._timing,
            network_key=None if self.network_key is None else read_key(self.network_key),
            routing=Routing(self.proxy),
        )

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


def accept(text: str) -> Any:
    """A handle to what somebody shared with one of our keys; see ``Client.accept``."""
    return default_client().accept(text)


def _refuse(inbound: Inbound) -> None:
    """A scientist's program answers no requests."""
    inbound.link.close(str(RemoteProtocolError("this peer answers no requests")))
