"""Which objects may move to another domain.

A dataset names the domains to which its values, and what derives from them, may move. An object
that was computed moves only when every dataset that it derives from, its *sources*, allows that
domain; one that derives from nothing private may move anywhere. Owners may move everything, and so
may whoever holds an owner's capability to move this object there.

Whoever operates the receiving domain can read what moves there: to allow a move is to trust that
operator. At the receiving domain the object has a source of its own, which no dataset there is, so
that nobody but that domain's owner may take home what derives from it.
"""

import hashlib
from collections.abc import Mapping

from p2pgrid.errors import CapabilityError, MoveNotPermittedError, SchemaError
from p2pgrid.ids import ID_BYTES, DatasetId, ObjectId, PeerId, public_key_of, short
from p2pgrid.policy.access import Sources
from p2pgrid.protocol.messages import Account
from p2pgrid.protocol.rights import Rights

Destinations = Mapping[DatasetId, frozenset[PeerId]]

MOVE = "move"
"""The operation of a capability that lets its holder move objects."""
DEPOSIT = "deposit"
"""The operation of a capability that lets another domain give us a value."""
FOREIGN_TAG = b"p2pgrid/foreign/1"


def may_move(account: Account, to: PeerId, sources: Sources, allowed: Destinations) -> bool:
    """True when every source allows this domain; a source that is not known allows none."""
    if account.role == "owner":
        return True
    return all(to in allowed.get(source, ()) for source in sources)


def require_move(
    account: Account,
    object_id: ObjectId,
    to: PeerId,
    sources: Sources,
    allowed: Destinations,
    *,
    domain: str,
) -> None:
    """Refuses what ``may_move`` does not allow.

    Raises:
        MoveNotPermittedError: with the object and both domains, and nothing about the values.
    """
    if not may_move(account, to, sources, allowed):
        raise MoveNotPermittedError(object_id=short(object_id), domain=domain, to=to)


def require_destination(to: str, *, own: PeerId) -> PeerId:
    """The peer id of another domain.

    Raises:
        SchemaError: it is none, or our own.
    """
    try:
        public_key_of(PeerId(to))
    except ValueError:
        raise SchemaError(field="to", problem="this is not the peer id of a domain") from None
    if to == own:
        raise SchemaError(field="to", problem="the object is on this domain already")
    return PeerId(to)


def require_deposit(rights: Rights, out: ObjectId) -> None:
    """Checks that a capability is for one deposit, under this name, and for nothing else.

    Raises:
        CapabilityError: "scope".
    """
    scope = rights.scope
    if scope.objects != frozenset({out}) or scope.operations != frozenset({DEPOSIT}):
        raise CapabilityError(reason="scope", domain=rights.domain)


def foreign_source(peer: PeerId) -> DatasetId:
    """What stands for the data of another domain among the sources of an object.

    It is the id of no dataset, so that no permission of this domain can name it.
    """
    return DatasetId(hashlib.blake2b(peer.encode(), key=FOREIGN_TAG, digest_size=ID_BYTES).digest())
