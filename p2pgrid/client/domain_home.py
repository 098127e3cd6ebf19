"""A domain as pointers see it: a link, a session, values that come home."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from typing_extensions import override

from p2pgrid.client.delivery import Delivery
from p2pgrid.client.display import Display, Displayed, reached_at
from p2pgrid.client.login import Held, Logins
from p2pgrid.client.session import Session
from p2pgrid.client.transfers import Transfers, Wishes
from p2pgrid.client.wallet import Wallet
from p2pgrid.config import Limits, Timing
from p2pgrid.errors import (
    DomainUnreachableError,
    GetNotPermittedError,
    NoKeyError,
    ObjectGoneError,
    PeerUnreachableError,
)
from p2pgrid.ids import ObjectId, PeerId, short
from p2pgrid.net.link import Link
from p2pgrid.net.peer import Peer
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations import ArrayMeta
from p2pgrid.protocol.web import BY_PEER_ID


class DomainHome(Displayed):
    """A domain; it is dialled and logged in to when that is first needed.

    What pointers, datasets and lists of it see of it is ``Home``; ``DomainClient`` adds what people
    do with a domain.
    """

    def __init__(
        self,
        peer: Peer,
        wallet: Wallet,
        *,
        peer_id: PeerId,
        name: str,
        addresses: Sequence[str],
        limits: Limits,
        timing: Timing,
        shown: Held | None = None,
    ) -> None:
        """``shown`` is a capability that somebody gave us; then all is done by that one."""
        self.peer_id = peer_id
        self.name = name
        self.node = f"{BY_PEER_ID}{peer_id}"
        """Its address as it was given to ``connect`` last; one by which to find it, before that."""
        self.network = ""
        """The name of the network that it was found by; new keys of the wallet note it."""
        self.literal_limit = limits.frame // 2
        self.move_s = timing.move_s
        self.transfers = Transfers(lambda: peer.peer_id, peer_id, timing=timing)
        """What goes by the bulk plane; its ``counters`` count the bytes."""
        self._limits, self._timing = limits, timing
        self._peer, self._wallet = peer, wallet
        self._addresses = tuple(addresses)
        self._logins = Logins(
            peer_id,
            wallet,
            link=self.link,
            own_id=peer.peer_id,
            soon=peer.soon,
            later=peer.later,
            timing=timing,
            shown=shown,
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it was last reached, or said to be."""
        return self._addresses

    def held(self) -> Held:
        """Our own right at this domain, which pointers narrow; logs in when nobody has yet."""
        return self._logins.held()

    def update_addresses(self, addresses: Sequence[str]) -> None:
        """Takes newer addresses, from a verified record."""
        self._addresses = tuple(addresses) or self._addresses

    def link(self) -> Link:
        """The open link to the domain; dials when there is none.

        Raises:
            DomainUnreachableError: nobody answered.
        """
        try:
            return self._peer.link_to(self.peer_id, self._addresses)
        except PeerUnreachableError as error:
            raise DomainUnreachableError(
                peer=self.name, addresses=len(self._addresses), reason="see the cause"
            ) from error

    def session_for(self, needed: Iterable[Session]) -> Session:
        """The session for operations on objects of the ``needed`` sessions.

        Raises:
            ObjectGoneError: an object belongs to a session that has ended.
        """
        live = self._logins.session()
        for session in needed:
            if session.names is not live.names:
                raise ObjectGoneError(object_id="of an ended session", domain=self.name)
        return live

    def account_of(self, user: str | None) -> str:
        """The account of a user; logs in when need be.

        Raises:
            GetNotPermittedError: the wallet has no such user's key.
        """
        try:
            return self._logins.account_of(user)
        except NoKeyError as error:
            raise GetNotPermittedError(object_id="of a call", domain=self.name) from error

    def get(
        self,
        object_id: ObjectId,
        meta: ArrayMeta,
        *,
        needed: Iterable[Session],
        user: str | None,
        to: Path | None,
        wishes: Wishes,
    ) -> Array:
        """The values of an object by the right of ``user``; ``TensorPointer.get`` calls this."""
        live = self.session_for(needed)
        try:
            self._logins.account_of(user)
        except NoKeyError as error:
            raise GetNotPermittedError(object_id=short(object_id), domain=self.name) from error
        delivery = Delivery(
            object_id,
            meta,
            session=live,
            logins=self._logins,
            user=user,
            transfers=self.transfers if meta.nbytes > self._limits.inline_array else None,
            timing=self._timing,
            wishes=wishes,
        )
        return delivery.into_memory() if to is None else delivery.into_file(to)

    @override
    def _display(self) -> Display:
        return Display(reached_at(f"DomainClient {self.name}", self._addresses))
