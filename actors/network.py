"""What a network answers: join, search, a place at its relay.

It verifies what it indexes; its clients verify again.
"""

from collections.abc import Mapping
from types import MappingProxyType

from actors.capabilities import Granted
from actors.gateway import Answer, Handler, LinkSession
from actors.meter import Load
from actors.ports import RegistryPort
from actors.record_book import RecordBook, fitting
from p2pgrid.errors import AuthenticationError, PermissionDeniedError
from p2pgrid.net.relay import Relay
from p2pgrid.policy.leases import Lease, Owner
from p2pgrid.protocol.messages import Account, Done, Join, Message, Reserve, Reserved, Search


class Network:
    """The requests of a network; anyone may ask, nobody logs in."""

    kind = "network"

    def __init__(
        self, *, registry: RegistryPort, book: RecordBook, relay: Relay | None = None
    ) -> None:
        self.name = book.name
        self._registry, self._book, self._relay = registry, book, relay
        self.handlers: Mapping[type[Message], Handler] = MappingProxyType(
            {Join: self._join, Search: self._search, Reserve: self._reserve}
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
        """Lists the peer at the other end of the link; nobody can list somebody else."""
        await self._registry.join(session.link.peer, message.node, message.datasets)
        return Answer(Done())

    async def _reserve(self, session: LinkSession, _: Reserve, __: object) -> Answer:
        """Gives a place at the relay to a domain that is listed here."""
        if self._relay is None or not await self._registry.lists(session.link.peer):
            raise PermissionDeniedError(action="a place at its relay", domain=self.name)
        return Answer(Reserved(self._relay.reserve(session.link)))

    async def _search(self, _: LinkSession, message: Search, __: object) -> Answer:
        if not message.tags:
            raise PermissionDeniedError(action="searching without a tag", domain=self.name)
        found = await self._registry.search(message.tags)
        return Answer(fitting(found))
