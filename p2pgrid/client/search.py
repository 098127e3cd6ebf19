"""Searches: of one network, of all that are known at once, and of the DHT where there is none."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol

from p2pgrid.client.asking import Asked, Inquiry, Key, ask_all, newest, out_of_reach
from p2pgrid.client.datasets import DatasetPointer
from p2pgrid.client.domain import DomainClient
from p2pgrid.client.known_networks import KnownNetwork, KnownNetworks
from p2pgrid.client.network import NetworkClient
from p2pgrid.client.peers import KnownPeers
from p2pgrid.client.results import Missing, SearchResults
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import InvalidQueryError, NetworkUnreachableError
from p2pgrid.ids import PeerId
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.queries import Query, require_something
from p2pgrid.protocol.records import DatasetRecord

ENTRIES = 32
"""Domains that a search found and that are remembered: by them the DHT is entered later, and a
network that makes domains up cannot fill the file of known peers with them."""

PROVIDERS = 256
"""Domains that are asked of those that announced a tag on the DHT; it tells of a part anyway."""


class Reach(Protocol):
    """By which those who are asked are reached; ``Client`` is one."""

    def domain(self, peer_id: PeerId, name: str, addresses: Sequence[str]) -> DomainClient:
        """The program's one client of a domain."""

    def network(self, address: str) -> NetworkClient:
        """The network at an address."""

    def known_network(self, known: KnownNetwork) -> NetworkClient:
        """A network of the history."""


class Searcher:
    """How a program searches."""

    def __init__(
        self,
        peer: Callable[[], Peer],
        known: KnownPeers,
        networks: KnownNetworks,
        reach: Reach,
        *,
        limits: Limits,
        timing: Timing,
    ) -> None:
        self._peer, self._known, self._networks = peer, known, networks
        self._reach = reach
        self._limits, self._timing = limits, timing

    def everywhere(self, query: Query) -> SearchResults:
        """What all known networks have; the DHT is asked when none of them answers.

        Raises:
            InvalidQueryError: the query asks for nothing; or no network is known, and it names
                no whole tag.
            NetworkUnreachableError: nobody at all answered.
            NetworkKeyError: nobody did, and at least one is not in our closed network.
        """
        inquiries = self._ask(self._known_networks(), query)
        if any(inquiry.has_answered for inquiry in inquiries):
            return self._results(inquiries)
        if query.exact_tags:
            return self._by_dht(query, inquiries)
        if not inquiries:
            raise InvalidQueryError(
                form="these words",
                problem="no network is known here, and without one only whole tags can be looked "
                "up: give one ('#tag'), or save a network first",
            )
        raise _nobody(inquiries) from inquiries[0].failure

    def one(self, network: Asked, query: Query) -> SearchResults:
        """What one network has.

        Raises:
            InvalidQueryError: the query asks for nothing.
            P2PGridError: why it did not answer.
        """
        (inquiry,) = inquiries = self._ask([network], query)
        if inquiry.has_answered:
            return self._results(inquiries)
        raise inquiry.failure or _nobody(inquiries)

    def _by_dht(self, query: Query, silent: Sequence[Inquiry]) -> SearchResults:
        """What the domains have that announced the first of the tags."""
        addresses = self._known.addresses()
        if self._peer().join(addresses) == 0:
            raise NetworkUnreachableError(
                peer="of the DHT", addresses=len(addresses), reason="no known peer answered"
            )
        found = self._peer().find(query.exact_tags[0])[:PROVIDERS]
        domains = [self._reach.domain(peer, told.name, told.addresses) for peer, told in found]
        asked = [Asked(domain.name, domain.link, domain.peer_id) for domain in domains]
        return self._results([*silent, *self._ask(asked, query)])

    def _ask(self, asked: Sequence[Asked], query: Query) -> list[Inquiry]:
        require_something(query)
        return ask_all(asked, query, limits=self._limits, within_s=self._timing.search_s)

    def _known_networks(self) -> list[Asked]:
        """Those of the history, and those of the defaults that never answered."""
        history = [
            Asked(known.name, partial(self._link_to, known), signer=None)
            for known in self._networks.history()
        ]
        new = [
            Asked(address, partial(self._link_at, address), signer=None)
            for address in self._networks.unvisited()
        ]
        return history + new

    def _link_to(self, known: KnownNetwork) -> Link:
        return self._reach.known_network(known).link()

    def _link_at(self, address: str) -> Link:
        return self._reach.network(address).link()

    def _results(self, inquiries: Sequence[Inquiry]) -> SearchResults:
        found = newest(inquiries)
        offline = out_of_reach(found, inquiries)
        networks = {
            signer: each.network
            for each in reversed(inquiries)
            for signer, _ in tuple(each.records)  # who is late goes on in the background
        }
        datasets = [
            self._dataset(key[0], found[key], networks[key[0]])
            for key in found
            if key not in offline
        ]
        self._remember(datasets)
        missing = [Missing(i.name, i.problem) for i in inquiries if not i.is_whole]
        missing += _domains_offline(found, offline)
        return SearchResults(datasets, inquiries, missing=missing)

    def _dataset(self, signer: PeerId, record: DatasetRecord, network: str) -> DatasetPointer:
        """The dataset; its domain is told by which network it was found first, for the wallet."""
        domain = self._reach.domain(signer, record.domain, record.addresses)
        domain.network = domain.network or network
        return DatasetPointer(domain, record)

    def _remember(self, datasets: Sequence[DatasetPointer]) -> None:
        """Takes some of the domains down, as long as few are known."""
        known = {peer.peer_id for peer in self._known.all()}
        for domain in {d.domain.peer_id: d.domain for d in datasets}.values():
            if len(known) >= ENTRIES:
                break
            if domain.peer_id not in known:
                known.add(domain.peer_id)
                self._known.remember(
                    domain.peer_id, name=domain.name, kind="domain", addresses=domain.addresses
                )


def _domains_offline(
    found: Mapping[Key, DatasetRecord], offline: Mapping[Key, Sequence[str]]
) -> Iterator[Missing]:
    """Each domain once, with who says so of its first dataset."""
    counts = Counter(peer_id for peer_id, _ in offline)
    for key, names in offline.items():
        count = counts.pop(key[0], 0)
        if count:
            problem = f"is offline, says {', '.join(names)}; its datasets: {count:,}"
            yield Missing(found[key].domain, problem)


def _nobody(inquiries: Sequence[Inquiry]) -> NetworkUnreachableError:
    names = ", ".join(inquiry.name for inquiry in inquiries)
    return NetworkUnreachableError(
        peer=names, addresses=len(inquiries), reason=f"{inquiries[0].name} {inquiries[0].problem}"
    )
