"""The entry of a program into the grid: one identity on the network, one wallet."""

import secrets
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import Unpack

from p2pgrid.client.accepting import handle_of, read
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.known_networks import KnownNetwork, KnownNetworks
from p2pgrid.client.login import Held
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.networks import Networks
from p2pgrid.client.passphrase import passphrase_from_environment
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.reaching import Reached, Reaching
from p2pgrid.client.results import SearchResults
from p2pgrid.client.search import Searcher
from p2pgrid.client.sharing import Shared
from p2pgrid.client.tables import Table
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import DEFAULT_LIMITS, DEFAULT_TIMING, Limits, Timing, default_home
from p2pgrid.errors import (
    AddressError,
    NotAGridNetworkError,
    P2PGridError,
    RemoteProtocolError,
    TransportError,
)
from p2pgrid.ids import PeerId
from p2pgrid.net.key_file import home_key, read_key
from p2pgrid.net.link import Inbound
from p2pgrid.net.peer import Peer, Routing, libp2p_peer
from p2pgrid.protocol.capability import decode
from p2pgrid.protocol.proxy import parse_proxy
from p2pgrid.protocol.queries import Forms, query_of
from p2pgrid.protocol.web import BY_PEER_ID, is_web


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
        self._known_networks = KnownNetworks(self.home)
        self._limits, self._timing = limits, timing
        self.proxy = None if proxy is None else parse_proxy(proxy)
        self._lock = threading.Lock()
        self._peer = peer
        self._make_peer = make_peer or self._libp2p_peer
        self._domains: dict[PeerId, DomainClient] = {}
        self._reaching = Reaching(
            lambda: self.peer, self._known, self._known_networks, proxy=self.proxy, timing=timing
        )
        self.network_list = Networks(self._known_networks, self, wallet=self.wallet)
        """What ``networks`` shows."""
        self._searcher = Searcher(
            lambda: self.peer, self._known, self._known_networks, self, limits=limits, timing=timing
        )
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
            address: a multiaddr that ends in ``/p2p/`` and the peer id; a URL such as
                ``https://grid.example.org`` (``ws`` and ``wss`` mean the same place), under which
                the node serves its document; or ``p2pgrid://PEER-ID``, looked up among the peers
                that were met before and on the DHT.

        Raises:
            AddressError: it cannot be read.
            DomainUnreachableError, NetworkUnreachableError: nobody answered, or no node.
            IdentityMismatchError: somebody else answered, or the URL led to another node before.
            RecordError: what the node says of itself is not to be believed.
            NetworkKeyError: who answered is not in our closed network, or we are not in its.
            NetworkKeyFileError: our network's key cannot be read.
        """
        reached = self._reaching.reach(address)
        if reached.record.kind == "network":
            self._known_networks.visit(
                peer_id=reached.peer_id,
                name=reached.record.name,
                address=address,
                addresses=reached.addresses,
            )
            return self._network_client(reached, address)
        domain = self.domain(reached.peer_id, reached.record.name, reached.addresses)
        domain.node = address
        return domain

    def network(self, address: str) -> NetworkClient:
        """The network at an address; see ``connect``.

        Raises:
            NetworkUnreachableError: nobody answered.
            NotAGridNetworkError: what is there is no network.
        """
        reached = self._reaching.reach(address, network=True)
        if reached.record.kind != "network":
            raise NotAGridNetworkError(
                address=address, problem=f"that is the domain {reached.record.name!r}"
            )
        return self._network_client(reached, address)

    @property
    def networks(self) -> Table:
        """All networks that are known here, asked anew at each access, all at the same time.

        Returns:
            A row per network: index ``name``; ``id`` (its peer id); ``datasets``, ``models``,
            ``domains`` and ``online``: what the network says that it lists, and how many of its
            domains are connected to it now; ``registered``: for how many the wallet has a key.
            Those that do not answer in time have their last numbers, ``online`` 0, and are named
            in the note.
        """
        return self.network_list.table()

    def save_network(self, address: str) -> Table:
        """Connects to a network and keeps it in ``networks``; says on standard output how it went.

        Args:
            address: its URL, or another address as for ``connect``.

        Returns:
            A table as ``networks``, with its row alone. Twice is as once.

        Raises:
            NetworkUnreachableError: nobody answered.
            NotAGridNetworkError: what is there is no network, or the address cannot be read.
            NetworkNameConflictError: another network of that name is known here.
            IdentityMismatchError: the URL led to another network before, or the key in the
                document is not that of its peer id.
            RecordError: what the network says of itself is forged or outdated.
        """
        sys.stdout.write("Connecting... ")
        sys.stdout.flush()
        try:
            row = self.network_list.add(address)
        except P2PGridError as error:
            sys.stdout.write(f"FAILED: {error}\n")
            raise
        sys.stdout.write("SUCCESS!\n")
        return row

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

    def search(self, *words: str, **forms: Unpack[Forms]) -> SearchResults:
        """The datasets that match, of all networks that this person knows, each listed once.

        All networks are asked at once. One that does not answer within ``Timing.search_s`` makes
        the result partial, and is named in it. When none answers, or none is known, the DHT finds
        datasets whose owners announced them there, by whole tags only.

        Args:
            words: whole tags, with or without ``#``.
            forms: each a text or several. ``anywhere``: words of the name, the description or a
                tag; ``description``: words of it; ``tags``, ``name``: parts of a tag, of the
                name; ``exact_tags``, ``exact_name``: all of it. Everything that is asked for is
                needed, in any order.

        Raises:
            InvalidQueryError: nothing is asked for, or in a form that there is not; or no whole
                tag, and no network is known.
            NetworkUnreachableError: nobody answered at all.
            NetworkKeyError: nobody did, and at least one is not in our closed network.
        """
        return self._searcher.everywhere(query_of(*words, **forms))

    def known_network(self, known: KnownNetwork) -> NetworkClient:
        """A network of the history, and no other: where it was last, or where it is now.

        Raises:
            P2PGridError: see ``network``.
        """
        peer_id = PeerId(known.peer_id)
        try:
            return self._network_client(
                self._reaching.dial(peer_id, known.addresses), known.address
            )
        except TransportError:
            return self.network(known.address if is_web(known.address) else BY_PEER_ID + peer_id)

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

    def _network_client(self, reached: Reached, address: str) -> NetworkClient:
        return NetworkClient(
            self.peer,
            peer_id=reached.peer_id,
            name=reached.record.name,
            address=address,
            addresses=reached.addresses,
            find=self._searcher.one,
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


def _refuse(inbound: Inbound) -> None:
    """A scientist's program answers no requests."""
    inbound.link.close(str(RemoteProtocolError("this peer answers no requests")))
