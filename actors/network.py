"""What a network answers: join, search, how much it lists, a place at its relay.

It verifies what it indexes; its clients verify again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from weakref import WeakValueDictionary

import msgspec

from actors.capabilities import Granted
from actors.gateway import Answer, Handler, LinkSession
from actors.meter import Load
from actors.ports import Census, RegistryPort
from actors.record_book import RecordBook
from p2pgrid.errors import AuthenticationError, PermissionDeniedError
from p2pgrid.ids import PeerId, peer_id_of
from p2pgrid.net.link import Link
from p2pgrid.net.relay import Relay
from p2pgrid.policy.leases import Lease, Owner
from p2pgrid.protocol.messages import (
    Account,
    Describe,
    Done,
    Join,
    Message,
    NetworkStatus,
    Reserve,
    Reserved,
    Search,
)
from p2pgrid.protocol.queries import require_something
from p2pgrid.protocol.records import SignedRecord

FRESH_S = 30.0
"""After its start a network gives domains so long to join it again, which they try every 20 s; it
calls none offline meanwhile that it has not seen go."""


class Network:
    """The requests of a network; anyone may ask, nobody logs in."""

    kind = "network"

    def __init__(
        self,
        *,
        registry: RegistryPort,
        book: RecordBook,
        relay: Relay | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = book.name
        self._registry, self._book, self._relay = registry, book, relay
        self._now, self._began_at = now, now()
        self._joined: dict[PeerId, Link] = {}
        """The link on which each peer listed itself last."""
        self._turns: WeakValueDictionary[PeerId, asyncio.Lock] = WeakValueDictionary()
        self.handlers: Mapping[type[Message], Handler] = MappingProxyType(
            {
                Join: self._join,
                Search: self._search,
                Describe: self._describe,
                Reserve: self._reserve,
            }
        )
        self.by_capability: frozenset[type[Message]] = frozenset()

    def account_of(self, public_key: bytes) -> None:
        """A network has no accounts."""
        del public_key

    def mint(self, account: Account) -> bytes:
        """Nobody logs in."""
        del account
        raise AuthenticationError(domain=self.name)

    def admit(self, capability: bytes, key: bytes) -> Granted:
        """Nobody logs in."""
        del capability, key
        raise AuthenticationError(domain=self.name)

    def claim(self, owner: Owner, holder: LinkSession) -> Lease:
        """Nobody logs in, so nobody has a session."""
        del owner, holder
        raise AuthenticationError(domain=self.name)

    def release(self, lease: Lease, holder: LinkSession) -> None:
        """There are no sessions."""

    async def end(self, lease: Lease) -> None:
        """There are no sessions."""

    def held(self) -> Load:
        """Nothing."""
        return Load()

    def own_record(self) -> bytes:
        """The network's signed record."""
        return self._book.node_record()

    async def _join(self, session: LinkSession, message: Join, _: object) -> Answer:
        """Lists the peer at the other end of the link; nobody can list somebody else.

        Each peer has one page indexed at a time, so that none of them keeps searches waiting.
        """
        peer = session.link.peer
        turn = self._turns[peer] = self._turns.get(peer) or asyncio.Lock()
        async with turn:
            await self._registry.join(peer, message.node, message.datasets, more=message.more)
        if not self._is_fresh():
            self._joined = {peer: link for peer, link in self._joined.items() if link.is_open}
        self._joined[session.link.peer] = session.link
        return Answer(Done())

    async def online_names(self) -> list[str]:
        """The names of the domains that are connected now, as they call themselves."""
        return sorted(self._online(await self._registry.census()).values())

    def _online(self, census: Census) -> dict[PeerId, str]:
        """The listed domains whose link is alive on which they joined."""
        alive = {peer for peer, link in self._joined.items() if link.is_open}
        return {peer: name for peer, name in census.domains.items() if peer in alive}

    async def _describe(self, _: LinkSession, __: Describe, ___: object) -> Answer:
        census = await self._registry.census()
        return Answer(
            NetworkStatus(
                datasets=census.datasets,
                models=0,  # no record describes a model yet
                domains=len(census.domains),
                online=len(self._online(census)),
            )
        )

    async def _reserve(self, session: LinkSession, _: Reserve, __: object) -> Answer:
        """Gives a place at the relay to a domain that is listed here."""
        if self._relay is None or not await self._registry.lists(session.link.peer):
            raise PermissionDeniedError(action="a place at its relay", domain=self.name)
        return Answer(Reserved(self._relay.reserve(session.link)))

    async def _search(self, _: LinkSession, message: Search, __: object) -> Answer:
        require_something(message.query)
        found = await self._registry.search(message.query, after=message.after, limit=message.limit)
        signers = map(signer_of, found.records)
        offline = (place for place, peer in enumerate(signers) if self._is_offline(peer))
        return Answer(msgspec.structs.replace(found, offline=tuple(offline)))

    def _is_offline(self, peer: PeerId) -> bool:
        """Whether a listed domain is not connected, though it had the time to."""
        link = self._joined.get(peer)
        return not self._is_fresh() if link is None else not link.is_open

    def _is_fresh(self) -> bool:
        return self._now() - self._began_at < FRESH_S


def signer_of(record: bytes) -> PeerId:
    """Whose record it is; it was verified when it was listed."""
    return peer_id_of(SignedRecord.decode(record).public_key)
