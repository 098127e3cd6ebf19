"""What pointers, datasets and user lists see of the domain that they belong to."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from p2pgrid.client.session import Session
from p2pgrid.client.transfers import Wishes
from p2pgrid.ids import ObjectId, PeerId
from p2pgrid.net.link import Link
from p2pgrid.protocol.arrays import Array
from p2pgrid.protocol.operations import ArrayMeta


class Home(Protocol):
    """A domain; ``DomainClient`` is one."""

    name: str
    peer_id: PeerId
    literal_limit: int
    """Bytes that an array given as an operand may have."""

    def login(self, user: str | None = None) -> object:
        """Logs in; see ``DomainClient.login``."""

    def account_of(self, user: str | None) -> str:
        """The account for which a user of the wallet is logged in; logs in when need be."""

    def link(self) -> Link:
        """The open link; dials when there is none."""

    def session_for(self, needed: Iterable[Session]) -> Session:
        """The session for operations on objects of the ``needed`` sessions."""

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
        """The values of an object by the right of ``user``; in a file ``to``, if given."""
